"""The connections that no thread has: how long each may wait, which has to make way, and how they end."""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

import settings
from webserver import limits
from webserver.arrival import BAD_CHUNKS, Refusal, Refused
from webserver.connection import Connection, Phase
from webserver.limits import Groups, Reason
from webserver.memory import Memory
from webserver.standing import Gate

#: Seconds between two checks of the deadlines.
_LOOK_EVERY = 0.25

#: Bytes of earlier answers that may be unread when a thread takes the connection's next request.
UNREAD = 16 * 1024

#: Bytes that are read and thrown away if a client goes on sending: many read no answer before they have sent
#: all.
_MOST_DISCARDED = 64 * 1024 * 1024


class WaitingRoom(ThreadWorker):  # type: ignore[misc]
    """Runs only in the event loop, and does not itself read requests."""

    _gate: Gate

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = settings.get()
        self.grace = config.client_grace
        self._waiting: dict[Connection, None] = {}  # the longest-waiting connection first
        self._networks: Groups[Connection] = Groups(config.connections_per_address)
        self._credentials: Groups[Connection] = Groups(config.requests_per_credential)
        self._memory: Memory[Connection] = Memory()
        self._log = limits.Log()
        self._look_at = 0.0
        self._stopping_since: float | None = None

    def _read(self, connection: Connection) -> None:
        """Called when bytes have come."""
        raise NotImplementedError

    def _hand_over(self, connection: Connection) -> None:
        """Hand a request that has arrived whole to a thread."""
        raise NotImplementedError

    def _note(self, connection: Connection, reason: Reason) -> None:
        """Count that a connection is ended for this reason."""
        self._log.note(reason)
        self._gate.turned_away(connection.network or connection.peer)

    # --- waiting, in the event loop

    def _wait(self, connection: Connection, phase: Phase, seconds: float) -> None:
        """Wait for the client, at most `seconds` from the beginning of this phase."""
        if connection.phase is not phase:
            connection.since = time.monotonic()
        connection.phase = phase
        connection.deadline = connection.since + seconds
        if connection not in self._waiting:
            self._waiting[connection] = None
            if phase is not Phase.LINGER:
                self._join_network(connection)
        if connection.phase is not Phase.GONE and not connection.polled and phase is not Phase.UNREAD:
            callback = partial(self._guarded_event, connection)
            self.poller.register(connection.sock, selectors.EVENT_READ, callback)
            connection.polled = True

    def _comes_from(self, connection: Connection, network: str | None) -> None:
        if network != connection.network:
            self._networks.leave(connection.network, connection)
            connection.network = network
            if connection in self._waiting:
                self._join_network(connection)

    def _join_network(self, connection: Connection) -> None:
        """Count a waiting connection for its network. If that has too many, its oldest connection makes way,
        or this connection if it is idle, so that others may ask.
        """
        if not self._networks.join(connection.network, connection):
            idle = connection.phase is Phase.IDLE
            first = connection if idle else next(self._networks.of(connection.network))
            self._turn_away(first, limits.OF_ONE_ADDRESS, Reason.ADDRESS, at_once=True)

    def _stop_waiting(self, connection: Connection, phase: Phase) -> None:
        connection.phase = phase
        self._waiting.pop(connection, None)
        self._networks.leave(connection.network, connection)
        if connection.polled:
            connection.polled = False
            with contextlib.suppress(OSError, KeyError, ValueError):
                self.poller.unregister(connection.sock)

    def _guarded_event(self, connection: Connection, _: object) -> None:
        if connection.polled:  # else it was ended after the poller saw it
            self._guarded(self._discard if connection.phase is Phase.LINGER else self._read, connection)

    def _guarded(self, step: Callable[[Connection], None], connection: Connection) -> None:
        """Run `step`; an error in it ends this connection, and not the process."""
        try:
            step(connection)
        except Refused as error:
            reason = Reason.UNREADABLE if error.refusal is BAD_CHUNKS else Reason.TOO_LARGE
            self._turn_away(connection, error.refusal, reason)
        except OSError:
            self._drop(connection)
        except Exception:
            self.log.exception("Error reading a request")
            self._drop(connection)

    # --- the end of a connection

    def _turn_away(
        self, connection: Connection, refusal: Refusal, reason: Reason, *, at_once: bool = False
    ) -> None:
        """Tell the client why, if it has begun to ask for anything, and end the connection."""
        self._note(connection, reason)
        asked = connection.phase in (Phase.HEAD, Phase.BODY, Phase.WORK) or connection.arrival.begun
        connection.cut = True
        self._credentials.leave(connection.credential, connection)
        self._memory.release(connection)
        with contextlib.suppress(OSError):
            connection.sock.setblocking(False)
            if asked and connection.phase is not Phase.LINGER:
                connection.sock.send(refusal.answer())
        if at_once or not asked:
            self._drop(connection)
        else:
            self._guarded(self._say_goodbye, connection)

    def _say_goodbye(self, connection: Connection) -> None:
        """Close our side, and wait until the client has read all: a reset may lose it (RFC 9112, 9.6)."""
        if connection.sock.fileno() < 0:
            self._drop(connection)
            return
        if connection.sock.stuck:
            self._note(connection, Reason.UNREAD)
            self._drop(connection, reset=True)
            return
        connection.sock.setblocking(False)
        connection.sock.shutdown(socket.SHUT_WR)
        self._stop_waiting(connection, Phase.WORK)
        self._wait(connection, Phase.LINGER, self.grace if connection.cut and self.alive else 2.0)

    def _discard(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(64 * 1024)
        except BlockingIOError:
            return
        connection.discarded += len(data)
        if not data or connection.discarded > _MOST_DISCARDED:
            self._drop(connection)
        elif connection.cut:
            self._wait(connection, Phase.LINGER, self.grace + connection.discarded / limits.SLOWEST)

    def _drop(self, connection: Connection, *, reset: bool = False) -> None:
        """Close the connection; with `reset` what the client has not read is thrown away."""
        if connection.phase is Phase.GONE:
            return
        self._stop_waiting(connection, Phase.GONE)
        self._credentials.leave(connection.credential, connection)
        self._memory.release(connection)
        self.nr_conns -= 1
        if reset:
            with contextlib.suppress(OSError):
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    # --- deadlines

    def murder_pending(self) -> None:
        """End connections that have waited too long; gunicorn calls this after each round of its loop."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY
        if not self.alive and self._stopping_since is None:
            self._stopping_since = now
        end = math.inf if self._stopping_since is None else self._stopping_since + limits.GRACE_AT_THE_END
        for each in [*self._waiting]:
            if each.phase is Phase.UNREAD and each.sock.unsent() <= UNREAD:
                self._guarded(self._hand_over, each)
            elif now >= min(each.deadline, end):
                self._guarded(self._give_up, each)
        self._log.tell()

    def _give_up(self, connection: Connection) -> None:
        if connection.phase in (Phase.HEAD, Phase.BODY):
            slow = Reason.SLOW_HEAD if connection.phase is Phase.HEAD else Reason.SLOW_BODY
            self._turn_away(connection, limits.SLOW, slow)
        elif connection.phase is Phase.UNREAD or (
            connection.phase is Phase.LINGER and connection.sock.unsent()
        ):
            if time.monotonic() >= connection.since + limits.UNREAD_FOR * self.grace:
                self._note(connection, Reason.UNREAD)
                self._drop(connection, reset=True)
        else:
            if connection.phase is Phase.FRESH:
                self._note(connection, Reason.SILENT)
            self._drop(connection)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 (gunicorn's signature)
        """Nothing, because all connections in `_waiting` have deadlines; with `force` close them all."""
        if force:
            for each in [*self._waiting]:
                self._drop(each)
            self._log.tell(all_of_it=True)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close idle connections that ask for nothing by `deadline`: this worker is stopping."""
        for each in self._waiting:
            if each.phase is Phase.IDLE:
                each.deadline = min(each.deadline, deadline)
