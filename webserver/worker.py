"""A gunicorn worker that gives a thread only to a request that has arrived whole.

Gunicorn's own threaded worker reads a request in the thread that answers it, so a client that sends half a
request keeps that thread for as long as it likes. Here the event loop reads, within deadlines and bounds
(webserver/limits.py), and a thread finds all that it needs in memory. The answer goes into the kernel's
buffer, so that a client that does not read keeps no thread either. docs/decisions/0020 gives the reasons.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import time
from concurrent.futures import Future
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER

from webserver import limits
from webserver.connection import ClientSocket, Connection, Phase
from webserver.limits import Reason
from webserver.standing import Gate, Standing
from webserver.waiting import UNREAD, WaitingRoom

#: Connections accepted from a listening socket before the event loop looks at the others again.
_AT_ONCE = 32

#: Files that a process may have open beside its connections to clients.
_OTHER_FILES = 128


class PatientWorker(WaitingRoom):
    """It relies on internal names of gunicorn: tests/webapp/test_slow_clients.py lists them, and fails if one
    is gone.
    """

    worker_connections: int

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Exit with a sentence if the configuration asks for TLS, which this worker does not speak."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise SystemExit(
                "TLS is for the proxy in front of the web: --certfile and --keyfile do not work."
            )

    def init_process(self) -> None:
        """Make the connections that are asked for fit into the files that a process may open."""
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
        """The application's side; called once, when the application is loaded."""
        raise NotImplementedError

    # --- a new connection

    def accept(self, listener: Any) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, client = listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._make_way()
                elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                    raise
                return
            sock = ClientSocket(fileno=accepted.detach())
            connection = Connection(self.cfg, sock, client, listener.getsockname())
            self.nr_conns += 1
            self._guarded(self._welcome, connection)
            # Otherwise no more clients would be accepted.
            while self.nr_conns >= self.worker_connections and self._make_way():
                pass

    def _welcome(self, connection: Connection) -> None:
        connection.network = self._gate.network(None, connection.peer)
        self._read(connection)  # most clients send their request as they connect

    def _make_way(self) -> bool:
        """End the longest-waiting connection whose sender is not known; False if there is none."""
        for each in self._waiting:
            if each.standing is not Standing.KNOWN:
                self._turn_away(each, limits.CROWDED, Reason.CROWDED, at_once=True)
                return True
        return False

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(64 * 1024)
        except BlockingIOError:
            if not connection.polled:
                self._wait(connection, Phase.FRESH, self.grace)
            return
        if data:
            connection.arrival.feed(data)
        elif connection.arrival.request is None:
            waited = time.monotonic() - connection.since
            if connection.phase is not Phase.IDLE and waited > limits.NOTED_AFTER:
                fresh = connection.phase is Phase.FRESH
                self._note(connection, Reason.SILENT if fresh else Reason.SLOW_HEAD)
            self._drop(connection)
            return
        else:
            connection.cut = True
        self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Take the request as far as the bytes that have come allow."""
        arrival = connection.arrival
        arrival.advance(connection.allowance)
        if arrival.request is None and not arrival.whole:
            if arrival.begun and self._fits(connection):
                self._wait(connection, Phase.HEAD, self.grace)
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
        """Whether there is room for this request, whose head has come."""
        request = connection.arrival.request
        if request is not None and not connection.admitted:
            connection.admitted = True
            headers: list[tuple[str, str]] = request.headers
            self._comes_from(connection, self._gate.network(headers, connection.peer))
            connection.credential = self._gate.key(headers, request.query)
            if not self._credentials.join(connection.credential, connection):
                others = self._credentials.of(connection.credential)
                waits = next((each for each in others if each.phase is not Phase.WORK), connection)
                self._turn_away(waits, limits.OF_ONE_CREDENTIAL, Reason.CREDENTIAL)
        ended = connection.phase in (Phase.LINGER, Phase.GONE)
        return not ended and self._fits(connection)

    def _fits(self, connection: Connection) -> bool:
        """Whether there is memory for the bytes of this request; others make way for it, the oldest first."""
        held = connection.arrival.held
        self._memory.hold(connection, held, connection.standing, connection.credential)
        while too_many := self._memory.too_many(connection):
            waits = (
                each for each in too_many if each is connection or each.phase in (Phase.HEAD, Phase.BODY)
            )
            victim = next(waits, connection)
            self._turn_away(victim, limits.NO_ROOM, Reason.NO_ROOM)
            if victim is connection:
                return False
        return True

    def _wait_for_body(self, connection: Connection) -> None:
        arrival = connection.arrival
        if arrival.expects_to_be_told():
            connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._wait(connection, Phase.BODY, self.grace + arrival.body.tell() / limits.SLOWEST)

    # --- a large body

    def _large(self, connection: Connection) -> None:
        """Handle a body that is, or is announced as, larger than is read from any sender."""
        arrival = connection.arrival
        if connection.standing is None:
            self._stop_waiting(connection, Phase.WORK)
            judging = self.tpool.submit(self._judge, connection)
            judging.add_done_callback(lambda done: self.method_queue.defer(self._judged, connection, done))
        elif connection.standing is not Standing.KNOWN:
            self._turn_away(connection, limits.TOO_LARGE_TO_CHECK, Reason.TOO_LARGE)
        elif arrival.body.tell() >= connection.allowance:
            connection.cut = True
            arrival.cut()
            self._hand_over(connection)
        else:
            self._wait_for_body(connection)

    def _judge(self, connection: Connection) -> Standing:
        """Runs in a thread, because it may ask the database."""
        request = connection.arrival.request
        assert request is not None  # noqa: S101 -- its head said how long its body is
        network = connection.network or connection.peer
        return self._gate.judge(request.path, request.query, request.headers, network)

    def _judged(self, connection: Connection, done: Future[Standing]) -> None:
        self._guarded(lambda each: self._follow(each, done.result()), connection)

    def _follow(self, connection: Connection, standing: Standing) -> None:
        if standing is Standing.SMALL:
            self._turn_away(connection, limits.TOO_LARGE, Reason.TOO_LARGE)
        elif standing is Standing.REFUSED:
            connection.cut = True  # the application refuses it without the rest
            self._advance(connection)
        else:
            connection.standing = standing
            connection.allowance = self._gate.MOST_OF_A_BODY
            self._advance(connection)

    # --- to a thread and back

    def _hand_over(self, connection: Connection) -> None:
        if connection.sock.unsent() > UNREAD:
            self._stop_waiting(connection, Phase.WORK)
            self._wait(connection, Phase.UNREAD, limits.UNREAD_FOR * self.grace)
            return
        self._stop_waiting(connection, Phase.WORK)
        connection.arrival.expects_to_be_told()  # clears it: the body is complete
        connection.parser = connection.arrival
        connection.sock.patience = self.grace
        self.enqueue_req(connection)

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """Go on in the event loop after the thread has answered."""
        self._credentials.leave(conn.credential, conn)
        self._memory.release(conn)
        again = not fs.cancelled() and fs.exception() is None and bool(fs.result()) and not conn.cut
        self._guarded(self._next_request if again else self._say_goodbye, conn)

    def _next_request(self, connection: Connection) -> None:
        connection.sock.setblocking(False)
        connection.arrival = connection.arrival.following()
        connection.forget_request()
        connection.network = self._gate.network(None, connection.peer)
        # The answer said that the connection is kept, so the client may be sending its next request already.
        self._wait(connection, Phase.IDLE, self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
        if connection.arrival.begun:
            self._advance(connection)
