"""Rows that every request is checked against, kept in memory as a whole and read again at a limited rate.

Checking a request against a snapshot costs a dictionary look-up. So a flood of requests that match no row
makes no work for the database, and pushes no valid entry out of a cache.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from webapp.limits import Limiter

T = TypeVar("T")
A = TypeVar("A")

#: Seconds for which a snapshot counts. A row that was revoked stays valid for as long.
REMEMBERED = 1.0

#: Reads a second that keys missing from the snapshot may cause before it is that old: by one network, and by
#: all together, each with a burst of ten seconds' worth. A new row is found at its first use; in a flood,
#: within a second.
READS_OF_A_NETWORK = 2.0
READS = 5.0


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    read_at: float
    rows: T


class Snapshot(Generic[T]):
    """`read` reads the rows in its own transaction; what it raises is raised to every thread that waits."""

    def __init__(self, read: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """As after a start of the process."""
        self._held: _Held[T] | None = None
        self._failures = 0
        self._failure: Exception | None = None
        self._by_network = Limiter(READS_OF_A_NETWORK, clock=self._clock)
        self._by_all = Limiter(READS, clock=self._clock)

    def ask(self, look: Callable[[T], A | None], network: str | None) -> A | None:
        """What `look` finds in the rows; None if it finds nothing.

        `look` may be called twice: on the snapshot, and if it found nothing, on a newer one. `network` is
        who asks (webapp/addresses.py); without it the snapshot is not renewed before REMEMBERED is over.
        Raises what `read` raises.
        """
        began, held, failures = self._clock(), self._held, self._failures
        if held is not None and began < held.read_at + REMEMBERED:
            found = look(held.rows)
            if found is not None or network is None or not self._may_read(network):
                return found
        with self._lock:
            if self._failures != failures and self._failure is not None:
                raise self._failure  # the read failed in another thread while this one waited
            if self._held is None or self._held is held or self._held.read_at < began:
                self._held = self._renewed()
            rows = self._held.rows
        return look(rows)

    def _may_read(self, network: str) -> bool:
        # The network comes first: a flood that its own limit stops uses up nothing of the common limit.
        return self._by_network.allow(network) and self._by_all.allow("all")

    def _renewed(self) -> _Held[T]:
        began = self._clock()
        try:
            return _Held(began, self._read())
        except Exception as error:
            self._failures += 1
            self._failure = error
            raise
