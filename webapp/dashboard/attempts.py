"""Who tries to sign in too often: a few wrong passwords are mistakes, more are guesses."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from webapp.addresses import group

#: Attempts in one window: for one e-mail address, from wherever, and from one place, whoever it says it is.
MOST_BY_EMAIL = 10
MOST_BY_ADDRESS = 30
WINDOW = 15 * 60.0

#: Names and places that are remembered; beyond these the one that came first is forgotten.
MOST_KEYS = 10_000


class Attempts:
    """Counted in this process's own memory: every web process counts for itself.

    An address that nobody has is counted like any other, or the limit would tell who is there.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allow(self, email: str, address: str) -> bool:
        """Whether one more attempt may be made. Counted before it is made, so that many at once are too."""
        keys = {f"email {email}": MOST_BY_EMAIL, f"address {group(address)}": MOST_BY_ADDRESS}
        with self._lock:
            now = self._clock()
            if any(self._count(key, now) >= most for key, most in keys.items()):
                return False
            for key in keys:
                until, count = self._counts.pop(key, (0.0, 0))
                self._counts[key] = (until, count + 1) if now < until else (now + WINDOW, 1)
            while len(self._counts) > MOST_KEYS:
                self._counts.popitem(last=False)
            return True

    def forget(self, email: str) -> None:
        """Whoever it is came in. The place stays counted: it may try others' addresses, too."""
        with self._lock:
            self._counts.pop(f"email {email}", None)

    def _count(self, key: str, now: float) -> int:
        until, count = self._counts.get(key, (0.0, 0))
        return count if now < until else 0
