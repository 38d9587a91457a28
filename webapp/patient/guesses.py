"""Who tries links that do not exist: a few a minute may be mistakes, more are guesses."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from webapp.addresses import group

#: Unknown links of one address in one minute; further ones are refused until the minute is over.
MOST = 10
MINUTE = 60.0

#: Addresses that are remembered; beyond these the one that came first is forgotten.
MOST_ADDRESSES = 10_000


@dataclass
class Attempt:
    """One link that somebody tries. `wrong` is set by whoever looked it up."""

    too_many: bool
    wrong: bool = False


class Guesses:
    """Counted in this process's own memory: every web process counts for itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @contextmanager
    def attempt(self, address: str) -> Iterator[Attempt]:
        """Counts before the link is looked up, so that many at once are counted, too, and takes it back if it
        was not wrong: a good link, and one that could not be looked up, never counts.
        """
        key = group(address)
        until, count = self._add(key)
        attempt = Attempt(too_many=count > MOST)
        try:
            yield attempt
        finally:
            if not attempt.wrong:
                self._take_back(key, until)

    def _add(self, key: str) -> tuple[float, int]:
        with self._lock:
            now = self._clock()
            until, count = self._counts.pop(key, (0.0, 0))
            counted = (until, count + 1) if now < until else (now + MINUTE, 1)
            self._counts[key] = counted
            if len(self._counts) > MOST_ADDRESSES:
                self._counts.popitem(last=False)
            return counted

    def _take_back(self, key: str, until: float) -> None:
        with self._lock:
            still, count = self._counts.get(key, (0.0, 0))
            if still != until:
                return  # that minute is over
            if count > 1:
                self._counts[key] = (still, count - 1)
            else:
                del self._counts[key]
