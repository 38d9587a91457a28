"""Who tries links that do not exist: a few a minute may be mistakes, more are guesses."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from webapp.addresses import group

#: Unknown links of one address in one minute, after which it is answered no more until the minute is over.
MOST = 10
MINUTE = 60.0

#: Addresses that are remembered; beyond these the one that came first is forgotten.
MOST_ADDRESSES = 10_000


class Guesses:
    """Counted in this process's own memory: every web process counts for itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def record(self, address: str) -> None:
        """Whoever is at this address tried a link that does not exist."""
        with self._lock:
            until, count = self._counts.pop(group(address), (0.0, 0))
            now = self._clock()
            self._counts[group(address)] = (until, count + 1) if now < until else (now + MINUTE, 1)
            if len(self._counts) > MOST_ADDRESSES:
                self._counts.popitem(last=False)

    def too_many(self, address: str) -> bool:
        with self._lock:
            until, count = self._counts.get(group(address), (0.0, 0))
            return count >= MOST and self._clock() < until
