"""One connection of a client: where it stands, and how long a thread waits for it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import socket
import struct
import termios
import time
from collections.abc import Hashable
from enum import Enum, auto
from typing import Any

from gunicorn.workers.gthread import TConn

from webserver.arrival import Arrival
from webserver.limits import GRACE, SLOWEST, SMALL
from webserver.standing import Standing

#: Bytes of answers that the kernel takes off a thread for each connection, whether or not they are read. All
#: pages and files that anybody can ask for are smaller.
_SEND_BUFFER = 208 * 1024


class Phase(Enum):
    """Where a connection stands."""

    FRESH = auto()  # nothing has come yet
    IDLE = auto()  # it was answered, and nothing of another request has come
    HEAD = auto()
    BODY = auto()
    WORK = auto()  # a thread has it
    UNREAD = auto()  # its next request is there, and the answers before are not read
    LINGER = auto()  # the last answer is on its way
    GONE = auto()


class ClientSocket(socket.socket):
    """Its sendall waits for a client that reads slowly, but not for ever."""

    #: Seconds that a thread may still wait for this client, while it answers one request.
    patience = GRACE
    stuck = False

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Raises BrokenPipeError where the client does not read; its connection is of no more use."""
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
        """Bytes that the client has not taken yet; 0 where the system does not tell."""
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
        self.initialized = self.data_ready = True  # what gunicorn does then, `arrival` does
        self.arrival = Arrival(config, client)
        self.phase = Phase.FRESH
        self.polled = False
        self.since = self.deadline = time.monotonic()
        self.discarded = 0  # bytes, after its last answer
        self.address: Hashable | None = None  # as a group
        self.forget_request()

    def forget_request(self) -> None:
        """What is known of one request, and not of the next one on this connection."""
        self.admitted = False
        self.credential: Hashable | None = None  # as a group
        self.standing: Standing | None = None  # once it had to be known
        self.allowance = SMALL
        self.cut = False

    @property
    def known(self) -> bool:
        return self.standing is Standing.KNOWN

    @property
    def signed(self) -> bool:
        return self.standing is Standing.SIGNED


def group_of(address: str) -> Hashable | None:
    """Addresses that one client can have any number of are one: a /64 of IPv6. None if it is no address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return ip.ipv4_mapped
        return ipaddress.ip_network((int(ip) >> 64 << 64, 64))
    return ip


def forwarded(header: str, proxies: int) -> str:
    """The address that the outermost of so many trusted proxies saw, without its port."""
    listed = [each.strip().strip('"') for each in header.split(",")]
    said = listed[-proxies] if 0 < proxies <= len(listed) else ""
    if said.startswith("["):
        return said[1:].partition("]")[0]
    return said.partition(":")[0] if said.count(":") == 1 else said
