"""One connection of a client: its phase, and how long a thread waits for the client."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Hashable
from enum import Enum, auto
from typing import Any

from gunicorn.workers.gthread import TConn

from webserver.arrival import Arrival
from webserver.limits import SLOWEST, SMALL
from webserver.standing import Standing

#: Bytes of answers that the kernel takes from a thread for each connection, whether or not the client reads
#: them. All pages and files that any client can ask for are smaller.
_SEND_BUFFER = 208 * 1024


class Phase(Enum):
    """What a connection waits for."""

    FRESH = auto()  # no bytes have come yet
    IDLE = auto()  # it was answered, and no bytes of another request have come
    HEAD = auto()
    BODY = auto()
    WORK = auto()  # a thread has it
    UNREAD = auto()  # its next request has come, but the client has not read the earlier answers
    LINGER = auto()  # the last answer is on its way
    GONE = auto()


class ClientSocket(socket.socket):
    """A socket whose sendall waits for a client that reads slowly, but not for ever."""

    #: Seconds that a thread may still wait for this client while it answers one request.
    patience = 0.0
    stuck = False

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Raises BrokenPipeError if the client does not read; the connection is then of no use."""
        begun = time.monotonic()
        self.patience += len(data) / SLOWEST
        self.settimeout(max(self.patience, 0.001))  # for all of the data together
        try:
            super().sendall(data, flags)
        except TimeoutError:
            self.stuck = True
            raise BrokenPipeError(errno.EPIPE, "the client does not read its answer") from None
        finally:
            self.patience -= time.monotonic() - begun
            self.settimeout(None)

    def unsent(self) -> int:
        """Bytes that the client has not taken yet; 0 if the system does not say."""
        try:
            return int(struct.unpack("i", fcntl.ioctl(self, termios.TIOCOUTQ, b"\0" * 4))[0])
        except (OSError, ValueError):
            return 0


class Connection(TConn):  # type: ignore[misc]
    """A client's connection, from the moment it is accepted until it is closed."""

    sock: ClientSocket

    def __init__(self, config: Any, sock: ClientSocket, client: Any, server: Any) -> None:
        super().__init__(config, sock, client, server)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.initialized = self.data_ready = True  # `arrival` does what gunicorn would do next
        self.arrival = Arrival(config, client)
        self.phase = Phase.FRESH
        self.polled = False
        self.since = self.deadline = time.monotonic()
        self.discarded = 0  # bytes, after its last answer
        self.network: str | None = None  # the network whose limit it counts to, if any
        self.forget_request()

    def forget_request(self) -> None:
        """Reset what is known about one request, for the next one on this connection."""
        self.admitted = False
        self.credential: Hashable | None = None  # the group of its requests
        self.standing: Standing | None = None  # set once it has to be known
        self.allowance = SMALL
        self.cut = False

    @property
    def peer(self) -> str:
        """The address at the other end, which may be a proxy's."""
        return str(self.client[0]) if isinstance(self.client, tuple) else ""
