"""Updates of the live page: a limited number of streams, and one thread that looks for changes.

A stream takes a thread of the web server while its page is open, so there are few, and a browser that finds
no place asks every two seconds instead. A stream has no database connection while it waits.
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

#: Streams of one process, at most a quarter of its threads, since the others are for tool calls. One clinic
#: gets half of them at most.
MOST_STREAMS = 8

#: Seconds between two looks at the database, while there are streams.
EVERY = 0.5

#: Seconds between two comments, since a proxy cuts a silent connection; and the longest that a stream lasts.
COMMENT_EVERY = 15.0
LONGEST = 300.0

#: Seconds until the place of a browser that went away is free again.
MISSED_AFTER = 1.0


def went_away(connection: socket.socket | None) -> bool:
    """Whether the browser has closed the connection, which otherwise only the next comment would show.

    `connection` is None if the web server does not expose it; the answer is then False.
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
    """The places for streams, at most `most` of them; each clinic gets its share."""

    def __init__(self, most: int) -> None:
        self._shares = Shares(most)

    def take(self, org_id: uuid.UUID) -> Place | None:
        return Place(self._shares, org_id) if self._shares.take(org_id) else None


class Place:
    """The place of one stream. Only the first `give_back` counts, since several ends of an answer call it."""

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
    """The version of each clinic with a stream. The thread ends when the last stream has ended."""

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
        """Wait for a version other than `known`, and return it; None after `timeout` seconds without one."""
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
        except Exception as error:  # noqa: BLE001 (all streams share the thread; it looks again soon)
            log.warning("the live page cannot look: %s", type(error).__name__)
            return None
