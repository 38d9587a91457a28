"""A connection to Postgres that breaks in the COMMIT that a test chooses."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Self

from sqlalchemy import make_url


class Breaks(Enum):
    BEFORE = auto()
    """The server never hears of the COMMIT."""
    AFTER = auto()
    """It commits, and nobody hears of that."""
    MEANWHILE = auto()
    """The client's side breaks at once; the server hears of the COMMIT when the test says `go_on`."""
    AFTERWARDS = auto()
    """The COMMIT is answered, and what is sent after it is not."""


@dataclass
class Line:
    """Forwards bytes, and breaks once after it was armed. A context manager; `url` leads through it."""

    database_url: str
    refuses: bool = False
    _armed: tuple[bytes, Breaks] | None = None
    _then_refuse: bool = False
    _seen: bytearray = field(default_factory=bytearray)
    _go_on: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        self._listener.close()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return (
            make_url(self.database_url).set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        )

    def break_commit_of(self, statement: str, how: Breaks, *, then_refuse: bool = False) -> None:
        """Break in the COMMIT of the next transaction in which this text was sent. `then_refuse`: refuse all
        connections after it, until `refuses` is set to false.
        """
        self._then_refuse = then_refuse
        self._go_on.clear()
        self._seen.clear()
        self._armed = (statement.encode(), how)

    def go_on(self) -> None:
        self._go_on.set()

    def has_broken(self) -> bool:
        return self._armed is None

    def count(self, statement: str) -> int:
        """How often this text was sent since the break was armed."""
        return bytes(self._seen).count(statement.encode())

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                else:
                    threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        target = make_url(self.database_url)
        server = socket.create_connection((target.host, target.port))
        muted = threading.Event()
        threading.Thread(target=_answer, args=[server, client, muted], daemon=True).start()
        transaction = b""
        with contextlib.suppress(OSError), server, client:
            while data := client.recv(65536):
                self._seen += data
                transaction += data
                if b"COMMIT\x00" not in data and b"ROLLBACK\x00" not in data:
                    server.sendall(data)
                    continue
                armed = self._armed
                if armed and armed[0] in transaction and b"COMMIT\x00" in data:
                    self.refuses = self._then_refuse
                    self._armed = None
                    self._break(client, server, muted, data, armed[1])
                    return
                transaction = b""
                server.sendall(data)

    def _break(
        self, client: socket.socket, server: socket.socket, muted: threading.Event, data: bytes, how: Breaks
    ) -> None:
        if how is Breaks.BEFORE:
            server.shutdown(socket.SHUT_RDWR)
            return
        if how is Breaks.AFTERWARDS:
            server.sendall(data)
            client.recv(1)
            return
        muted.set()
        if how is Breaks.MEANWHILE:
            client.shutdown(socket.SHUT_RDWR)
            self._go_on.wait(30)
        server.sendall(data)
        server.recv(1, socket.MSG_PEEK)  # an answer: the server has committed


def _answer(server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(65536):
            if muted.is_set():
                break
            client.sendall(data)
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
