"""Fetches what is at an address that somebody typed in, which may be meant to reach what they cannot.

Only https, only addresses of the public internet, and only so much for so long. The name is resolved once:
the connection is made to the very address that was checked, so that a name that answers differently the
second time gains nothing, and the certificate has to be that of the name. A redirect is a new address,
checked like the first.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urljoin, urlsplit

import certifi
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

import settings
from models.clinics.calendar_feeds import FeedProblem

#: Seconds from the first question to the last byte, all redirects included, and for one connection.
SECONDS = 8.0
SECONDS_TO_CONNECT = 4.0

#: Of the answer, whether or not it was compressed on the way.
MOST_BYTES = 5 * 1024 * 1024

MOST_REDIRECTS = 3

PORT = 443

#: Addresses of one name that are tried.
MOST_ADDRESSES = 4

_PART = 64 * 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[..., list[Any]]


class CannotFetch(Exception):
    """Its text is a code, and has nothing of the address, which is a secret."""

    def __init__(self, problem: FeedProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Fetched:
    """Without a body, nothing has changed since the answer that `etag` and `last_modified` are from."""

    body: bytes | None
    etag: str | None
    last_modified: str | None


def fetch(
    address: str,
    *,
    etag: str | None = None,
    last_modified: str | None = None,
    resolve: Resolver = socket.getaddrinfo,
    seconds: float = SECONDS,
) -> Fetched:
    """What is at the address, unless it is the same as before. Raises CannotFetch."""
    headers = {"User-Agent": "Holdline", "Accept": "text/calendar, */*;q=0.1", "Accept-Encoding": "gzip"}
    if etag:
        headers["If-None-Match"] = etag
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    with _Deadline(seconds) as deadline:
        try:
            for _ in range(MOST_REDIRECTS + 1):
                answer = _ask(address, headers, resolve, deadline)
                if isinstance(answer, Fetched):
                    return answer
                address = answer
        except CannotFetch as problem:
            raise CannotFetch(FeedProblem.TOO_SLOW if deadline.is_over else problem.problem) from None
        except ssl.SSLCertVerificationError:
            raise CannotFetch(FeedProblem.NOT_TRUSTED) from None
        except (OSError, HTTPError, http.client.HTTPException, ValueError):
            raise CannotFetch(FeedProblem.TOO_SLOW if deadline.is_over else FeedProblem.UNREACHABLE) from None
    raise CannotFetch(FeedProblem.TOO_MANY_REDIRECTS)


# --- whom may be asked ----------------------------------------------------------------------------


def is_public(address: Address) -> bool:
    """Whether an address is of one machine on the public internet.

    `is_global` of the standard library alone is not that: it is true of multicast, of site-local addresses,
    and of those that lead through a translator to any IPv4 address, private ones included.
    """
    if isinstance(address, ipaddress.IPv6Address):
        # 2000::/3 is all that was ever given out; beyond it are mapped and translated IPv4, and local nets.
        is_given_out = address in _GIVEN_OUT and address.sixtofour is None and address.teredo is None
    else:
        is_given_out = address not in _RELAYS
    return (
        is_given_out
        and address.is_global
        and not (address.is_multicast or address.is_reserved)
        and not any(address in each for each in _SPECIAL)
    )


_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")
#: Newer than the tables of the oldest Python that we run on: documentation, and protocols of the IETF.
_SPECIAL = (ipaddress.IPv6Network("3fff::/20"), ipaddress.IPv4Network("192.0.0.0/24"))


def _may_be_asked(address: Address) -> bool:
    return is_public(address) or (address.is_loopback and settings.get().feed_loopback)


def _checked(address: str) -> tuple[SplitResult, str, int]:
    """The parts of an address, its host and its port. Raises CannotFetch if it is not one to be asked."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        raise CannotFetch(FeedProblem.BAD_ADDRESS) from None
    if parts.scheme != "https" or not host or parts.username is not None or parts.password is not None:
        raise CannotFetch(FeedProblem.BAD_ADDRESS)
    if not address.isascii() or not address.isprintable() or " " in address:
        raise CannotFetch(FeedProblem.BAD_ADDRESS)
    if port != PORT and not settings.get().feed_loopback:
        raise CannotFetch(FeedProblem.BAD_ADDRESS)
    return parts, host, port


def _resolved(host: str, port: int, resolve: Resolver, deadline: _Deadline) -> list[Address]:
    """The addresses of a name. Raises CannotFetch if any of them may not be asked."""
    found: list[Address] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            known = resolve(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(ipaddress.ip_address(each[4][0].partition("%")[0]) for each in known))
        except (OSError, ValueError) as problem:
            failed.append(problem)

    asking = threading.Thread(target=ask, daemon=True)  # no resolver can be told how long it may take
    asking.start()
    asking.join(deadline.left)
    if asking.is_alive():
        raise CannotFetch(FeedProblem.TOO_SLOW)
    if failed or not found:
        raise CannotFetch(FeedProblem.NO_SUCH_HOST)
    if not all(_may_be_asked(each) for each in found):
        raise CannotFetch(FeedProblem.NOT_PUBLIC)
    return found[:MOST_ADDRESSES]


# --- one question ---------------------------------------------------------------------------------


class _Deadline:
    """Breaks every connection that it watches when the time is over: a server that sends one byte now and
    then is never late by the time limit of a socket.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._break)
        self._timer.daemon = True

    @property
    def left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.left == 0

    def watch(self, sock: socket.socket) -> None:
        """A copy of the descriptor, since TLS takes the first one over."""
        with self._lock:
            self._watched.append(sock.dup())
        if self.is_over:
            self._break()

    def _break(self) -> None:
        with self._lock:
            for sock in self._watched:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it has ended by itself

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for sock in self._watched:
                sock.close()
            self._watched.clear()


class _Connection(HTTPSConnection):
    """To an address and not to a name: nothing is resolved again."""

    deadline: _Deadline

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self.deadline.watch(sock)
        return sock


def _ask(address: str, headers: dict[str, str], resolve: Resolver, deadline: _Deadline) -> Fetched | str:
    """The answer of one server, or where it sends us."""
    parts, host, port = _checked(address)
    connection = _connected(_resolved(host, port, resolve, deadline), host, port, deadline)
    try:
        connection.timeout = max(0.1, deadline.left)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(
            "GET",
            target,
            headers={"Host": parts.netloc} | headers,
            preload_content=False,
            decode_content=False,
        )
        answer = connection.getresponse()
        try:
            if answer.status in _REDIRECTS and (where := answer.headers.get("Location")):
                return urljoin(address, where)
            return _read(answer, deadline)
        finally:
            answer.close()
    finally:
        connection.close()


def _connected(addresses: list[Address], host: str, port: int, deadline: _Deadline) -> _Connection:
    context = ssl.create_default_context()  # knows SSL_CERT_FILE, and what the machine trusts
    context.load_verify_locations(certifi.where())
    for number, each in enumerate(addresses, 1):
        connection = _Connection(
            str(each),
            port,
            timeout=max(0.1, min(SECONDS_TO_CONNECT, deadline.left)),
            ssl_context=context,
            server_hostname=host,
        )
        connection.deadline = deadline
        try:
            connection.connect()
        except (OSError, HTTPError) as problem:
            connection.close()
            if number == len(addresses) or isinstance(problem, ssl.SSLError) or deadline.is_over:
                raise
        else:
            return connection
    raise CannotFetch(FeedProblem.UNREACHABLE)


_REDIRECTS = {301, 302, 303, 307, 308}

_PROBLEMS = {
    HTTPStatus.UNAUTHORIZED: FeedProblem.REFUSED,
    HTTPStatus.FORBIDDEN: FeedProblem.REFUSED,
    HTTPStatus.NOT_FOUND: FeedProblem.NOT_FOUND,
    HTTPStatus.GONE: FeedProblem.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: FeedProblem.SERVER_FAILED,
}


def _read(answer: BaseHTTPResponse, deadline: _Deadline) -> Fetched:
    kept = [_header(answer, name) for name in ("ETag", "Last-Modified")]
    if answer.status == HTTPStatus.NOT_MODIFIED:
        return Fetched(None, *kept)
    if answer.status != HTTPStatus.OK:
        known = FeedProblem.SERVER_FAILED if answer.status >= 500 else FeedProblem.BAD_ANSWER
        raise CannotFetch(next((each for code, each in _PROBLEMS.items() if code == answer.status), known))
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise CannotFetch(FeedProblem.BAD_ANSWER)
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding.endswith("gzip") else None
    said = answer.headers.get("Content-Length", "")
    length = int(said) if said.isdecimal() and "Transfer-Encoding" not in answer.headers else None
    body = bytearray()
    came = 0
    while part := answer.read1(_PART):
        came += len(part)
        try:
            body += unzip.decompress(part, MOST_BYTES + 1 - len(body)) if unzip else part
        except zlib.error:
            raise CannotFetch(FeedProblem.BAD_ANSWER) from None
        if len(body) > MOST_BYTES or came > MOST_BYTES:
            raise CannotFetch(FeedProblem.TOO_LARGE)
    # A calendar that broke off would free what is busy in the rest of it. The deadline breaks it off, too.
    if deadline.is_over or (length is not None and came < length) or (unzip and not unzip.eof):
        raise CannotFetch(FeedProblem.UNREACHABLE)
    return Fetched(bytes(body), *kept)


def _header(answer: BaseHTTPResponse, name: str) -> str | None:
    """A header that can be sent back, unless it is too long to keep."""
    value = answer.headers.get(name, "")
    return value if value and value.isascii() and value.isprintable() and len(value) <= 500 else None
