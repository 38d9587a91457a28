"""A small HTTP client that keeps a few connections busy, at the least cost to the machine."""

from __future__ import annotations

import dataclasses
import selectors
import socket
import time
from collections.abc import Callable

RENEW = 50  # requests after which a connection is replaced, so that all processes get their share


@dataclasses.dataclass
class _Connection:
    socket: socket.socket
    sent: int = 0
    answer: bytes = b""


def load(
    port: int, request: Callable[[], bytes], *, expect: bytes, connections: int, seconds: float
) -> tuple[int, float]:
    """Send requests for `seconds`; returns the number of answers, and the seconds that they took.

    Raises RuntimeError at the first answer that does not contain `expect`.
    """
    answered = 0
    began = time.monotonic()
    deadline = began + seconds
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            _send(selector, None, port, request)
        while selector.get_map():
            ready = selector.select(60)
            if not ready:
                raise RuntimeError("the server has not answered for a minute")
            for key, _ in ready:
                connection: _Connection = key.data
                if not _read(connection):
                    continue
                if expect not in connection.answer:
                    raise RuntimeError(f"unexpected answer: {connection.answer[:600]!r}")
                answered += 1
                if time.monotonic() < deadline:
                    _send(selector, connection, port, request)
                else:
                    _close(selector, connection)
    return answered, time.monotonic() - began


def post(path: str, body: bytes, secret: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _send(
    selector: selectors.BaseSelector,
    connection: _Connection | None,
    port: int,
    request: Callable[[], bytes],
) -> None:
    if connection is not None and connection.sent >= RENEW:
        _close(selector, connection)
        connection = None
    if connection is None:
        connection = _Connection(socket.create_connection(("127.0.0.1", port), timeout=10))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    connection.sent += 1
    connection.answer = b""
    connection.socket.sendall(request())


def _read(connection: _Connection) -> bool:
    """Read what has arrived; returns whether the answer is complete."""
    data = connection.socket.recv(65536)
    if not data:
        raise RuntimeError(f"the server hung up after {connection.answer!r}")
    connection.answer += data
    head, found, body = connection.answer.partition(b"\r\n\r\n")
    if not found:
        return False
    _, _, length = head.lower().partition(b"content-length:")
    return len(body) >= int(length.split(b"\r\n")[0])


def _close(selector: selectors.BaseSelector, connection: _Connection) -> None:
    selector.unregister(connection.socket)
    connection.socket.close()
