"""A web process as in production, and clients that write arbitrary bytes to it."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Self

import pytest

from bench.slow import CHECK
from tests.places import free_port
from tests.stack import eventually
from tests.webapp.test_serving import Web, serving

TOOL = json.dumps({"toolCall": {"arguments": {"date": "tomorrow"}}})


@contextlib.contextmanager
def one_process(tmp_path_factory: pytest.TempPathFactory, **variables: str) -> Iterator[Web]:
    """The web as in production, with one process, which gets every connection.

    It waits so long for its clients that a busy machine makes no client too slow.
    """
    variables = {"APP_ENV": "production", "WEB_CONCURRENCY": "1", "CLIENT_GRACE": "120"} | variables
    with serving(tmp_path_factory.mktemp("web"), free_port(), **variables) as served:
        eventually(served.answers)
        yield served


class Client:
    """A socket, and the bytes of answers that have arrived."""

    def __init__(self, web: Web, *pieces: bytes | str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", web.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._come = b""
        self.send(*pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes | str) -> None:
        for piece in pieces:
            self.socket.sendall(piece.encode() if isinstance(piece, str) else piece)

    def answer(self) -> tuple[int, str, bytes]:
        """Status, head and body of the next answer. Raises EOFError if the connection ends instead."""
        head = self._until(b"\r\n\r\n").decode()
        length = 0
        for line in head.lower().split("\r\n"):
            if line.startswith("content-length:"):
                length = int(line.split(":")[1])
        while len(self._come) < length:
            self._more()
        body, self._come = self._come[:length], self._come[length:]
        return int(head.split()[1]), head, body

    @property
    def status(self) -> int:
        return self.answer()[0]

    def is_closed(self) -> bool:
        """Whether the server ends the connection without an answer."""
        try:
            return not self._come and not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def _until(self, end: bytes) -> bytes:
        while end not in self._come:
            self._more()
        found, _, self._come = self._come.partition(end)
        return found

    def _more(self) -> None:
        data = self.socket.recv(64 * 1024)
        if not data:
            raise EOFError(self._come)
        self._come += data


def head(length: int, secret: str, *more: str, path: str = CHECK) -> str:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]
    if secret:
        lines.append(f"Authorization: Bearer {secret}")
    return "\r\n".join([*lines, *more, "", ""])


def whole(secret: str, body: str = TOOL) -> str:
    return head(len(body), secret) + body
