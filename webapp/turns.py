"""A limit on how many threads work at once and how many wait, in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class NoTurn(Exception):
    """The turn did not come in time, or too many wait already."""


class Turns:
    """A semaphore that serves in order of arrival. At an ordinary semaphore a thread that asks again at once
    comes first again, and beside many of these a thread that asks once could wait for ever.

    `most` threads work at once and `waiting` may wait: each of these keeps a thread that a call may need.
    """

    def __init__(self, most: int, *, waiting: int) -> None:
        self._free = most
        self._most_waiting = waiting
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, *, longest: float) -> Iterator[None]:
        """Wait for a turn, `longest` seconds at most. Raises NoTurn."""
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
