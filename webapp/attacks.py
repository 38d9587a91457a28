"""Attacks are counted by kind, logged in few lines, and kept as rows for /metrics.

Counting costs a dictionary look-up and no database, however many requests come. A thread writes the counts
every few seconds while there are any; a process that is killed loses the counts since the last write. What
was tried is neither kept nor logged, only the network that it came from, as webapp/addresses.py groups it.
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

#: Seconds between two log lines of one kind. The first line is logged at once.
TOLD_EVERY = 10.0

#: Seconds between two writes of one process.
WRITTEN_EVERY = 3.0

#: Networks of one kind that are counted separately between two log lines.
MOST_NETWORKS = 1000


@dataclass(slots=True)
class _Untold:
    """The attacks of one kind since its last log line."""

    count: int = 0
    networks: set[str] = field(default_factory=set)
    last: dict[str, str] = field(default_factory=dict)
    quiet_until: float = 0.0


class Trace:
    """The counts of one application. `write` stores the new counts; it raises if it cannot."""

    def __init__(
        self, write: Callable[[Counter[Kind]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # taken before _lock, and never by `count`
        self._unwritten: Counter[Kind] = Counter()
        self._untold: dict[Kind, _Untold] = {}
        self._writer: threading.Thread | None = None

    def count(self, kind: Kind, network: str, **about: str) -> None:
        """Count one attack of this kind. The log line names `about`: ids only, never what was tried."""
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
        """Log a line for each kind whose last line is old enough."""
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
        """Write the counts. False if the database could not take them now: they are then kept for later.

        Counts that another thread is writing have also been written when this returns.
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
        """Drop the counts that are not yet written or logged, as after a start."""
        with self._writing, self._lock:
            self._unwritten.clear()
            self._untold.clear()

    def _go_on(self) -> None:
        """Write and log every few seconds, until nothing is left."""
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
    """Write what the application has counted so far. False if the database could not take the counts now."""
    return _trace().flush()


def forget() -> None:
    """Drop the counts that are not yet written or logged, as after a start."""
    _trace().forget()


def count(kind: Kind, *, address: str | None = None, org_id: uuid.UUID | None = None) -> None:
    """Count one attack. `address` is the client's; by default that of the current request."""
    if address is None and has_request_context():
        address = request.remote_addr
    about = {"org_id": str(org_id)} if org_id else {}
    _trace().count(kind, group(address or "unknown"), **about)
