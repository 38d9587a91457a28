"""How the live page moves by itself: who may stream, and one thread that looks whether anything changed.

A stream has a thread of the web server for as long as somebody looks, so there are few, and whoever finds
no place asks every two seconds instead. It has no connection to the database while it waits.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from webapp.shares import Shares

log = logging.getLogger(__name__)

#: Streams of one process, and no more than every fourth of its threads: the others are for tool calls. One
#: clinic has half of them at most.
MOST_STREAMS = 8

#: Seconds between two looks at the database, while anybody watches.
EVERY = 0.5

#: Seconds between two signs of life: a proxy cuts a silent connection.
COMMENT_EVERY = 15.0
LONGEST = 300.0

#: Seconds until the place of a browser that went away is free again.
MISSED_AFTER = 1.0


def went_away(connection: socket.socket | None) -> bool:
    """Whether the browser has closed its end. Otherwise only the next comment would find out.

    None where the web server does not show its connection.
    """
    if connection is None:
        return False
    try:
        poll = select.poll()  # select() knows no more than 1,024 open files
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0)) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True


class Places:
    """So many streams, and not one more; each clinic has its share of them."""

    def __init__(self, most: int) -> None:
        self._shares = Shares(most)

    def take(self, org_id: uuid.UUID) -> Place | None:
        return Place(self._shares, org_id) if self._shares.take(org_id) else None


class Place:
    """Given back once, by whoever ends the answer first."""

    def __init__(self, shares: Shares, org_id: uuid.UUID) -> None:
        self._shares, self._org_id = shares, org_id
        self._lock = threading.Lock()
        self._mine = True

    def give_back(self) -> None:
        with self._lock:
            mine, self._mine = self._mine, False
        if mine:
            self._shares.give_back(self._org_id)


class Watch:
    """The version of each clinic that somebody watches. The thread ends with the last of them."""

    def __init__(self, read: Callable[[uuid.UUID], str], *, every: float = EVERY) -> None:
        self._read = read
        self._every = every
        self._changed = threading.Condition()
        self._watchers: Counter[uuid.UUID] = Counter()
        self._versions: dict[uuid.UUID, str] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, org_id: uuid.UUID) -> Iterator[None]:
        with self._changed:
            self._watchers[org_id] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="live-watch", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._watchers[org_id] -= 1
                if not self._watchers[org_id]:
                    del self._watchers[org_id]
                    self._versions.pop(org_id, None)

    def wait(self, org_id: uuid.UUID, known: str | None, timeout: float) -> str | None:
        """The version once it is another than `known`; None when it is not, after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._versions.get(org_id, known) != known, timeout)
            version = self._versions.get(org_id)
        return version if version != known else None

    @property
    def runs(self) -> bool:
        return self._thread is not None

    def _look(self) -> None:
        while orgs := self._watched():
            for org_id in orgs:
                version = self._version(org_id)
                with self._changed:
                    if version and org_id in self._watchers and self._versions.get(org_id) != version:
                        self._versions[org_id] = version
                        self._changed.notify_all()
            time.sleep(self._every)

    def _watched(self) -> list[uuid.UUID]:
        with self._changed:
            if not self._watchers:
                self._thread = None
            return list(self._watchers)

    def _version(self, org_id: uuid.UUID) -> str | None:
        try:
            return self._read(org_id)
        except Exception as error:  # noqa: BLE001 (the thread is everybody's: it looks again in a moment)
            log.warning("the live page cannot look: %s", type(error).__name__)
            return None
