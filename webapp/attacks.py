"""Attacks leave a trace: counted by kind, told in few lines of the log, and kept as rows for /metrics.

Counting costs a dictionary and no database, whoever comes however often. A thread writes what was counted
every few seconds, while there is something to write; a process that is killed takes with it what it counted
since. Nothing of what was tried is kept or logged, only where it came from, as webapp/addresses.py groups
it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import has_request_context, request

from models.base.session import Door
from models.clinics import attacks
from models.clinics.attacks import Kind as Kind  # noqa: PLC0414 (read from here by what counts)
from webapp.addresses import group
from webapp.state import carried, per_app
from webapp.unit_of_work import Busy, DatabaseAway, in_system_transaction

log = logging.getLogger(__name__)

#: Seconds between two lines of one kind, the first of which comes at once.
TOLD_EVERY = 10.0

#: Seconds between two writes of one process.
WRITTEN_EVERY = 3.0

#: Networks of one kind that are told apart between two lines.
MOST_NETWORKS = 1000


@dataclass(slots=True)
class _Untold:
    """What came of one kind since its last line."""

    count: int = 0
    networks: set[str] = field(default_factory=set)
    last: dict[str, str] = field(default_factory=dict)
    quiet_until: float = 0.0


class Trace:
    """The counts of one application. `write` keeps what came since; it raises if it cannot."""

    def __init__(
        self, write: Callable[[Counter[Kind]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # taken before the other one, by nobody who counts
        self._unwritten: Counter[Kind] = Counter()
        self._untold: dict[Kind, _Untold] = {}
        self._writer: threading.Thread | None = None

    def count(self, kind: Kind, network: str, **about: str) -> None:
        """One more of this kind. `about` is named in the line that may come of it: ids, never what was
        tried.
        """
        with self._lock:
            self._unwritten[kind] += 1
            untold = self._untold.setdefault(kind, _Untold())
            untold.count += 1
            untold.last = {"network": network, **about}
            if len(untold.networks) < MOST_NETWORKS:
                untold.networks.add(network)
            if self._writer is None:
                self._writer = threading.Thread(target=self._go_on, name="attacks", daemon=True)
                self._writer.start()
        self.tell()

    def tell(self) -> None:
        """A line for each kind whose time has come."""
        with self._lock:
            now = self._clock()
            due = [
                (kind, each) for kind, each in self._untold.items() if each.count and now >= each.quiet_until
            ]
            for kind, _ in due:
                self._untold[kind] = _Untold(quiet_until=now + TOLD_EVERY)
        for kind, untold in due:
            log.warning(
                "attack: %s, %d since the last such line, from %s%d networks",
                kind.value,
                untold.count,
                "at least " if len(untold.networks) == MOST_NETWORKS else "",
                len(untold.networks),
                extra=untold.last,
            )

    def flush(self) -> bool:
        """Write what was counted. False if the database could not take it now: then it is kept for later.

        What another thread is writing is there as well when this returns.
        """
        with self._writing:
            with self._lock:
                counted, self._unwritten = self._unwritten, Counter()
            if not counted:
                return True
            try:
                self._write(counted)
            except (Busy, DatabaseAway):
                with self._lock:
                    self._unwritten += counted
                return False
            return True

    def forget(self) -> None:
        """What was counted and is not yet written or told: as after a start."""
        with self._writing, self._lock:
            self._unwritten.clear()
            self._untold.clear()

    def _go_on(self) -> None:
        """Until nothing is left to write or to tell."""
        while True:
            time.sleep(WRITTEN_EVERY)
            self.flush()
            self.tell()
            with self._lock:
                if not self._unwritten and not any(each.count for each in self._untold.values()):
                    self._writer = None
                    return


def _add(counted: Counter[Kind]) -> None:
    in_system_transaction(Door.METRICS, lambda session: attacks.add(session, counted))


@per_app
def _trace() -> Trace:
    return Trace(carried(_add))


def flush() -> bool:
    """Write what the application has counted so far. False if the database could not take it now."""
    return _trace().flush()


def forget() -> None:
    """What was counted and is not yet written or told: as after a start."""
    _trace().forget()


def count(kind: Kind, *, address: str | None = None, org_id: uuid.UUID | None = None) -> None:
    """Somebody tried this once more. The address is the request's own unless it is given."""
    if address is None and has_request_context():
        address = request.remote_addr
    about = {"org_id": str(org_id)} if org_id else {}
    _trace().count(kind, group(address or "unknown"), **about)
