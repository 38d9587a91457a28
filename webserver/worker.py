"""A gunicorn worker that gives a thread only to a request that has arrived whole.

Gunicorn's own threaded worker reads a request in the thread that answers it, so a client that sends half of
one has that thread for as long as it likes. Here the event loop reads, within deadlines and bounds
(webserver/limits.py), and a thread finds all that it needs in memory. What it answers goes into the kernel's
buffer, so that a client that does not read has no thread either. docs/decisions/0020 says why it is so.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import selectors
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

import settings
from webserver import limits
from webserver.arrival import BAD_CHUNKS, Refusal, Refused
from webserver.connection import ClientSocket, Connection, Phase, forwarded, group_of
from webserver.limits import Groups, Reason
from webserver.memory import Memory
from webserver.standing import Gate, Standing

#: Connections taken from a listening socket before those that are there are looked at again.
_AT_ONCE = 32

#: Seconds between two looks at the deadlines.
_LOOK_EVERY = 0.25

#: Bytes that may be unread of earlier answers when the next request of a connection is worked on.
_UNREAD = 16 * 1024

#: Bytes that are thrown away of a client that sends on: many hear no answer before they have sent it all.
_MOST_DISCARDED = 64 * 1024 * 1024

#: Files that a process has open beside its connections to clients.
_OTHER_FILES = 128


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """It leans on names within gunicorn; tests/webapp/test_slow_clients.py says which, and fails without."""

    _gate: Gate
    worker_connections: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = settings.get()
        self._proxies = config.proxies_in_front
        self._waiting: dict[Connection, None] = {}  # all that no thread has, the longest wait first
        self._addresses: Groups[Connection] = Groups(config.connections_per_address)
        self._credentials: Groups[Connection] = Groups(config.requests_per_credential)
        self._memory: Memory[Connection] = Memory()
        self._log = limits.Log()
        self._look_at = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Ends the master, with a sentence, for what this worker cannot do."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise SystemExit(
                "TLS is for the proxy in front of the web: --certfile and --keyfile do not work."
            )

    def init_process(self) -> None:
        """As many connections as are asked for must fit into the files that a process may open."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.worker_connections + _OTHER_FILES
        if soft != resource.RLIM_INFINITY and soft < wanted:
            soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            self.worker_connections = max(_OTHER_FILES, min(self.worker_connections, soft - _OTHER_FILES))
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._gate = self.gate()

    def gate(self) -> Gate:
        """Who is asked before a large body is waited for; called once, when the application is there."""
        raise NotImplementedError

    # --- a connection comes

    def accept(self, listener: Any) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, client = listener.accept()
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                    return
                raise
            sock = ClientSocket(fileno=accepted.detach())
            connection = Connection(self.cfg, sock, client, listener.getsockname())
            self.nr_conns += 1
            self._guarded(self._welcome, connection)
            # Otherwise nobody would be accepted any more.
            while self.nr_conns >= self.worker_connections and self._make_way():
                pass

    def _welcome(self, connection: Connection) -> None:
        if not self._proxies:
            connection.address = group_of(self._sender(connection))
        self._read(connection)  # most have sent their request as they connected

    def _sender(self, connection: Connection) -> str:
        """The client's address; behind proxies what they say of it, once the head is there."""
        request = connection.arrival.request
        if self._proxies and request is not None:
            lines = [value for name, value in request.headers if name == "X-FORWARDED-FOR"]
            return forwarded(",".join(lines), self._proxies)
        return str(connection.client[0]) if isinstance(connection.client, tuple) else ""

    def _make_way(self) -> bool:
        """End the connection that has waited longest, of those whose sender is not known."""
        for each in self._waiting:
            if not each.known:
                self._turn_away(each, limits.CROWDED, Reason.CROWDED, at_once=True)
                return True
        return False

    # --- it waits, in the event loop

    def _wait(self, connection: Connection, phase: Phase, seconds: float) -> None:
        """Wait for the client, at most so many seconds from when it came to this phase."""
        if connection.phase is not phase:
            connection.since = time.monotonic()
        connection.phase = phase
        connection.deadline = connection.since + seconds
        if connection not in self._waiting:
            self._waiting[connection] = None
            if not self._addresses.join(connection.address, connection):
                oldest = next(self._addresses.of(connection.address))
                self._turn_away(oldest, limits.OF_ONE_ADDRESS, Reason.ADDRESS, at_once=True)
        if connection.phase is not Phase.GONE and not connection.polled and phase is not Phase.UNREAD:
            callback = partial(self._guarded_event, connection)
            self.poller.register(connection.sock, selectors.EVENT_READ, callback)
            connection.polled = True

    def _stop_waiting(self, connection: Connection, phase: Phase) -> None:
        connection.phase = phase
        self._waiting.pop(connection, None)
        self._addresses.leave(connection.address, connection)
        if connection.polled:
            connection.polled = False
            with contextlib.suppress(OSError, KeyError, ValueError):
                self.poller.unregister(connection.sock)

    def _guarded_event(self, connection: Connection, _: object) -> None:
        if connection.polled:  # else it was ended since the poller saw it
            self._guarded(self._discard if connection.phase is Phase.LINGER else self._read, connection)

    def _guarded(self, step: Callable[[Connection], None], connection: Connection) -> None:
        """One connection's trouble ends that connection, and not the process."""
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

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(64 * 1024)
        except BlockingIOError:
            if not connection.polled:
                self._wait(connection, Phase.FRESH, limits.GRACE)
            return
        if data:
            connection.arrival.feed(data)
        elif connection.arrival.request is None:
            self._drop(connection)
            return
        else:
            connection.cut = True
        self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Go as far as what has come allows."""
        arrival = connection.arrival
        arrival.advance(connection.allowance)
        if arrival.request is None and not arrival.whole:
            if arrival.begun and self._fits(connection):
                self._wait(connection, Phase.HEAD, limits.GRACE)
            return
        if not self._admit(connection):
            return
        if connection.cut:
            arrival.cut()
        if arrival.whole:
            self._hand_over(connection)
        elif arrival.body.tell() >= connection.allowance or (arrival.declared or 0) > connection.allowance:
            self._large(connection)
        else:
            self._wait_for_body(connection)

    def _admit(self, connection: Connection) -> bool:
        """Whether there is room for this request, whose head is there."""
        request = connection.arrival.request
        if request is not None and not connection.admitted:
            connection.admitted = True
            headers: list[tuple[str, str]] = request.headers
            if self._proxies and connection.address is None:
                connection.address = group_of(self._sender(connection))
                if not self._addresses.join(connection.address, connection):
                    oldest = next(self._addresses.of(connection.address))
                    self._turn_away(oldest, limits.OF_ONE_ADDRESS, Reason.ADDRESS)
            connection.credential = self._gate.key(headers, request.query)
            if not self._credentials.join(connection.credential, connection):
                others = self._credentials.of(connection.credential)
                waits = next((each for each in others if each.phase is not Phase.WORK), connection)
                self._turn_away(waits, limits.OF_ONE_CREDENTIAL, Reason.CREDENTIAL)
        ended = connection.phase in (Phase.LINGER, Phase.GONE)
        return not ended and self._fits(connection)

    def _fits(self, connection: Connection) -> bool:
        """Whether there is memory for what has come of it; the oldest of its kind makes way for it."""
        self._memory.hold(
            connection,
            connection.arrival.held,
            known=connection.known,
            signed=connection.signed,
            group=connection.credential,
        )
        while too_many := self._memory.too_many(connection):
            waits = (each for each in too_many if each.phase in (Phase.HEAD, Phase.BODY))
            victim = next(waits, connection)
            self._turn_away(victim, limits.NO_ROOM, Reason.NO_ROOM)
            if victim is connection:
                return False
        return True

    def _wait_for_body(self, connection: Connection) -> None:
        arrival = connection.arrival
        if arrival.expects_to_be_told():
            connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._wait(connection, Phase.BODY, limits.GRACE + arrival.body.tell() / limits.SLOWEST)

    # --- a large body

    def _large(self, connection: Connection) -> None:
        """More is announced, or has come, than is read of anybody."""
        arrival = connection.arrival
        if connection.standing is None:
            self._stop_waiting(connection, Phase.WORK)
            judging = self.tpool.submit(self._judge, connection)
            judging.add_done_callback(lambda done: self.method_queue.defer(self._judged, connection, done))
        elif connection.signed:
            self._turn_away(connection, limits.TOO_LARGE_TO_CHECK, Reason.TOO_LARGE)
        elif arrival.body.tell() >= connection.allowance:
            connection.cut = True
            arrival.cut()
            self._hand_over(connection)
        else:
            self._wait_for_body(connection)

    def _judge(self, connection: Connection) -> Standing:
        """In a thread, for it may ask the database."""
        request = connection.arrival.request
        assert request is not None  # noqa: S101 -- its head said how long its body is
        return self._gate.judge(request.path, request.query, request.headers, self._sender(connection))

    def _judged(self, connection: Connection, done: Future[Standing]) -> None:
        self._guarded(lambda each: self._follow(each, done.result()), connection)

    def _follow(self, connection: Connection, standing: Standing) -> None:
        if standing is Standing.SMALL:
            self._turn_away(connection, limits.TOO_LARGE, Reason.TOO_LARGE)
        elif standing is Standing.REFUSED:
            connection.cut = True  # the application says so without the rest
            self._advance(connection)
        else:
            connection.standing = standing
            connection.allowance = self._gate.MOST_OF_A_BODY
            self._advance(connection)

    # --- a thread has it

    def _hand_over(self, connection: Connection) -> None:
        if connection.sock.unsent() > _UNREAD:
            self._stop_waiting(connection, Phase.WORK)
            self._wait(connection, Phase.UNREAD, limits.UNREAD_FOR)
            return
        self._stop_waiting(connection, Phase.WORK)
        connection.parser = connection.arrival
        connection.sock.patience = limits.GRACE
        self.enqueue_req(connection)

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """The thread has answered; in the event loop again."""
        self._credentials.leave(conn.credential, conn)
        self._memory.release(conn)
        again = not fs.cancelled() and fs.exception() is None and bool(fs.result()) and not conn.cut
        self._guarded(self._next_request if again else self._say_goodbye, conn)

    def _next_request(self, connection: Connection) -> None:
        connection.sock.setblocking(False)
        connection.arrival = connection.arrival.following()
        connection.forget_request()
        if self._proxies:
            connection.address = None
        # The answer announced that the connection is kept, so the client may be sending the next already.
        self._wait(connection, Phase.IDLE, self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
        if connection.arrival.begun:
            self._advance(connection)

    # --- its end

    def _turn_away(
        self, connection: Connection, refusal: Refusal, reason: Reason, *, at_once: bool = False
    ) -> None:
        """Tell the client why, as far as it has asked for anything, and end the connection."""
        self._log.note(reason)
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
        """Send the end, and wait until the client has it: what is reset may be lost (RFC 9112, 9.6)."""
        if connection.sock.fileno() < 0:
            self._drop(connection)
            return
        if connection.sock.stuck:
            self._log.note(Reason.UNREAD)
            self._drop(connection, reset=True)
            return
        connection.sock.setblocking(False)
        connection.sock.shutdown(socket.SHUT_WR)
        self._stop_waiting(connection, Phase.WORK)
        self._wait(connection, Phase.LINGER, limits.GRACE if connection.cut else 2.0)

    def _discard(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(64 * 1024)
        except BlockingIOError:
            return
        connection.discarded += len(data)
        if not data or connection.discarded > _MOST_DISCARDED:
            self._drop(connection)
        elif connection.cut:
            self._wait(connection, Phase.LINGER, limits.GRACE + connection.discarded / limits.SLOWEST)

    def _drop(self, connection: Connection, *, reset: bool = False) -> None:
        """Close it; with `reset` what the client has not read is thrown away."""
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
        """End what has waited too long; gunicorn calls it after each round of its loop."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY
        for each in [*self._waiting]:
            if each.phase is Phase.UNREAD and each.sock.unsent() <= _UNREAD:
                self._guarded(self._hand_over, each)
            elif now >= each.deadline:
                self._guarded(self._give_up, each)
        self._log.tell()

    def _give_up(self, connection: Connection) -> None:
        if connection.phase in (Phase.HEAD, Phase.BODY):
            slow = Reason.SLOW_HEAD if connection.phase is Phase.HEAD else Reason.SLOW_BODY
            self._turn_away(connection, limits.SLOW, slow)
        elif connection.phase is Phase.UNREAD or (
            connection.phase is Phase.LINGER and connection.sock.unsent()
        ):
            if time.monotonic() >= connection.since + limits.UNREAD_FOR:
                self._log.note(Reason.UNREAD)
                self._drop(connection, reset=True)
        else:
            if connection.phase is Phase.FRESH:
                self._log.note(Reason.SILENT)
            self._drop(connection)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 (gunicorn's signature)
        """All have their deadlines in `_waiting`; at the very end they are closed."""
        if force:
            for each in [*self._waiting]:
                self._drop(each)
            self._log.tell(all_of_it=True)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close those that ask for nothing by then: this worker is stopping."""
        for each in self._waiting:
            if each.phase is Phase.IDLE:
                each.deadline = min(each.deadline, deadline)
