"""Clients that are slow on purpose, many of each kind.

`python -m bench.slow PORT KIND MANY` keeps that number open until its standard input ends.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

CHECK = "/api/vapi/tools/calendar/check"
HEAD = f"POST {CHECK} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

#: Seconds until a connection of a `renewed` kind is replaced, and between two bytes of the other kinds.
RENEWED_AFTER, DRIPS_EVERY = 4.5, 1.0


@dataclass
class Slow:
    """`many` sockets that each send `first` and then one byte of `drip` a second. They read nothing, or with
    `sips` one byte a second. With `half_closed` each closes its sending side.

    A socket that the server ends is replaced; with `renewed` all are replaced every RENEWED_AFTER seconds.
    """

    port: int
    many: int
    first: bytes = b""
    drip: bytes = b""
    renewed: bool = False
    sips: bool = False
    half_closed: bool = False
    _sockets: list[socket.socket] = field(default_factory=list)
    _ready: threading.Event = field(default_factory=threading.Event)
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """All sockets are open when the block begins; a thread keeps them open until it ends."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, self.many * 2 + 1024)), hard))
        keeper = threading.Thread(target=self._keep)
        keeper.start()
        try:
            if not self._ready.wait(120):
                raise RuntimeError("the slow sockets were not all accepted")
            yield
        finally:
            self._enough.set()
            keeper.join(60)
            for each in self._sockets:
                each.close()

    def _connect(self) -> socket.socket:
        each = socket.socket()
        each.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
        )  # what the client does not read stays at the server
        each.settimeout(60)
        each.connect(("127.0.0.1", self.port))
        with contextlib.suppress(OSError):
            each.sendall(self.first)
            if self.half_closed:
                each.shutdown(socket.SHUT_WR)
        return each

    def _keep(self) -> None:
        self._sockets = [self._connect() for _ in range(self.many)]
        self._ready.set()
        position = 0
        while not self._enough.wait(RENEWED_AFTER if self.renewed else DRIPS_EVERY):
            for number, each in enumerate(self._sockets):
                if self.renewed or self._is_over(each):
                    each.close()
                    self._sockets[number] = self._connect()
                else:
                    with contextlib.suppress(OSError):
                        if self.drip:
                            each.send(self.drip[position % len(self.drip) :][:1])
                        if self.sips:
                            each.recv(1)
                if self._enough.is_set():
                    return
            position += 1

    def _is_over(self, each: socket.socket) -> bool:
        """Whether the server has ended the connection or answered; looks without reading."""
        with selectors.PollSelector() as poll:
            poll.register(each, selectors.EVENT_READ)
            if not poll.select(0):
                return False
        if not self.drip and b"GET" in self.first:
            return False  # only its answer, which a client of this kind leaves unread
        try:
            return not each.recv(1, socket.MSG_PEEK) or b"HTTP" in each.recv(64, socket.MSG_PEEK)
        except OSError:
            return True


def kinds(cookie: str) -> dict[str, Callable[[int, int], Slow]]:
    """Each kind by name: a function of port and number that makes it. `cookie` is a signed-in person's."""
    post = f"{HEAD}Content-Length: 2000\r\n\r\n".encode()
    # Far more than the kernel keeps for a client that does not read.
    pages = b"GET /static/vendor/htmx.min.js HTTP/1.1\r\nHost: x\r\n\r\n" * 150
    stream = f"GET /dashboard/live/stream HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode()
    large = f"{HEAD}Content-Length: 4000000\r\n".encode()
    padding = "".join(f"X-Padding-{number}: {'x' * 1000}\r\n" for number in range(60)).encode()
    return {
        "no byte": Slow,
        "half a head": lambda port, many: Slow(port, many, post[:60]),
        "a head and one byte": lambda port, many: Slow(port, many, post + b"{"),
        "a head by the byte": lambda port, many: Slow(port, many, post[:20], drip=post[20:]),
        "a body by the byte": lambda port, many: Slow(port, many, post, drip=b"{ "),
        "a chunked body by the byte": lambda port, many: Slow(
            port, many, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), drip=b"1\r\n{\r\n"
        ),
        "4 MB announced": lambda port, many: Slow(port, many, large + b"\r\n{"),
        "4 MB announced, as if signed": lambda port, many: Slow(
            port, many, large + b"X-Signature: 00\r\n\r\n{"
        ),
        "large heads without a body": lambda port, many: Slow(port, many, post[:-2] + padding + b"\r\n"),
        "answers not read": lambda port, many: Slow(port, many, pages),
        "answers read by the byte": lambda port, many: Slow(port, many, pages, sips=True),
        "streams not read": lambda port, many: Slow(port, many, stream),
        "streams half closed": lambda port, many: Slow(port, many, stream, half_closed=True),
        "bare connections, made anew": lambda port, many: Slow(port, many, renewed=True),
        "half heads, made anew": lambda port, many: Slow(port, many, post[:60], renewed=True),
    }


if __name__ == "__main__":
    with kinds("")[sys.argv[2]](int(sys.argv[1]), int(sys.argv[3])).standing():
        print("standing", flush=True)
        sys.stdin.read()
