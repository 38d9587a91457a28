"""So many at once, so many waiting in the order in which they came, and no more."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class NoTurn(Exception):
    """It did not come in time, or too many wait already."""


class Turns:
    """Like a semaphore, but first come, first served. To a semaphore the one that asks again at once is the
    first again, and among many who ask without end somebody who asks once would wait for ever.

    Each one that waits keeps a thread that a telephone call may need: `waiting` is how many may.
    """

    def __init__(self, most: int, *, waiting: int) -> None:
        self._free = most
        self._most_waiting = waiting
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, *, longest: float) -> Iterator[None]:
        """Waits `longest` seconds at most. Raises NoTurn."""
        with self._lock:
            mine = None if self._free else threading.Event()
            if mine is None:
                self._free -= 1
            elif len(self._waiting) >= self._most_waiting:
                raise NoTurn
            else:
                self._waiting.append(mine)
        if mine is not None and not mine.wait(longest):
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    raise NoTurn
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._free += 1
