"""How much of a shared resource one clinic may have at once, counted in this process's memory.

Threads, database connections and streams are each a number of places. A clinic may not hold more places than
are left free, so one clinic alone gets half of them, two clinics get a third each, and a clinic that has none
finds one. No place is reserved, and there is nothing to set for a clinic.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from flask import Flask, g

import settings
from webapp.state import per_app


class Shares:
    """A number of places. A holder, such as a clinic's id, gets another while it has fewer than are free."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._held: Counter[Hashable] = Counter()
        self._waiting: defaultdict[Hashable, deque[object]] = defaultdict(deque)
        self._changed = threading.Condition()

    def take(self, holder: Hashable, *, wait: float = 0.0) -> bool:
        """Take one more place, which `give_back` gives back. False if there is none.

        A holder that already has its share waits up to `wait` seconds. The requests of one holder are served
        in the order in which they came, so none runs out of time because later ones overtook it.
        """
        until = time.monotonic() + wait
        with self._changed:
            turn, queue = object(), self._waiting[holder]
            queue.append(turn)
            while not self._is_next(turn, holder):
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            got = self._is_next(turn, holder)
            if got:
                self._held[holder] += 1
                self._free -= 1
            queue.remove(turn)
            if queue:
                self._changed.notify_all()
            else:
                del self._waiting[holder]
            return got

    def _is_next(self, turn: object, holder: Hashable) -> bool:
        return self._held[holder] < self._free and self._waiting[holder][0] is turn

    def give_back(self, holder: Hashable) -> None:
        with self._changed:
            self._free += 1
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
            self._changed.notify_all()

    def held(self, holder: Hashable) -> int:
        """How many places the holder has."""
        with self._changed:
            return self._held.get(holder, 0)

    @contextmanager
    def place(self, holder: Hashable, *, wait: float = 0.0) -> Iterator[bool]:
        """A place while the block runs; yields False if there is none."""
        got = self.take(holder, wait=wait)
        try:
            yield got
        finally:
            if got:
                self.give_back(holder)


# --- the threads of this process ----------------------------------------------------------------


@per_app
def threads() -> Shares:
    """The web threads. A request takes one when its clinic is known, and keeps it until it is answered."""
    return Shares(settings.get().threads_of_web)


def admit(org_id: Hashable) -> bool:
    """Whether this request may go on, by the threads that its clinic has. An admitted request stays so."""
    if "admitted" not in g:
        if not threads().take(org_id):
            return False
        g.admitted = org_id
    return True


def register(app: Flask) -> None:
    """Give back what `admit` took when the request is over; for a stream, when the stream ends."""

    @app.teardown_request
    def _leave(_error: BaseException | None) -> None:
        if "admitted" in g:
            threads().give_back(g.pop("admitted"))
