"""REDIS_URL in the forms that Celery, kombu and redis-py document, read once for all clients of Redis.

Each of the three reads an address in its own way: one raises where another ignores. So none of them is given
the address; each is given what `read` made of it.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

_TCP = ("redis", "rediss")
_SOCKET = ("unix", "redis+socket")

_FORMS = (
    "it must be redis://:password@host:port/0, the same with rediss:// for TLS, or"
    " unix:///path/of/the/socket?db=0; /, ? and # in the password are written %2F, %3F and %23"
)
_REQUIREMENTS = ("none", "optional", "required")
_TRUTH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_SECONDS = ("socket_timeout", "socket_connect_timeout")
_KNOWN = (
    *("db", "virtual_host", *_SECONDS, "socket_keepalive", "health_check_interval", "retry_on_timeout"),
    *("client_name", "ssl_cert_reqs", "ssl_check_hostname", *_FILES),
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is, and how to connect to it."""

    host: str
    port: int
    db: int
    username: str | None
    password: str | None = field(repr=False)
    socket_path: str | None
    #: How TLS is checked, by redis-py's names; None is no TLS.
    tls: dict[str, Any] | None
    #: Timeouts (seconds) and other options, by the names that redis-py's clients and kombu's transport share.
    options: dict[str, Any]

    @property
    def url(self) -> str:
        """For Celery and kombu: without the parts that they would read in their own way.

        A socket is not in it: thrifty_redis takes the socket from the transport's options.
        """
        user, password = (quote(part or "", safe="") for part in (self.username, self.password))
        login = f"{user}{':' if password else ''}{password}@" if user or password else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'redis' if self.tls is None else 'rediss'}://{login}{host}:{self.port}/{self.db}"

    @property
    def transport_options(self) -> dict[str, Any]:
        """The options of the transport in thrifty_redis."""
        return self.options | ({"socket_path": self.socket_path} if self.socket_path else {})

    def client(self, *, patience: float | None = None) -> dict[str, Any]:
        """The arguments of redis.Redis; with `patience` it waits once, for at most this many seconds."""
        where: dict[str, Any] = {"host": self.host, "port": self.port}
        if self.socket_path:
            where = {"unix_socket_path": self.socket_path}
        elif self.tls is not None:
            where |= {"ssl": True, **self.tls}
        waits: dict[str, Any] = {}
        if patience is not None:
            waits = {name: min(self.options.get(name, patience), patience) for name in _SECONDS}
            waits["retry"] = None
        login = {"db": self.db, "username": self.username, "password": self.password}
        return {**where, **login, **self.options, **waits}


def read(url: str, *, accept_self_signed: bool) -> RedisAddress:
    """The parts of `url`. `accept_self_signed` counts only if the URL does not say how to check certificates.

    Raises ValueError with a sentence that quotes nothing of the login.
    """
    parts = _split(url)
    said = _query(parts)
    tls = {name: value for name, value in said.items() if name.startswith("ssl_")}
    if tls and parts.scheme != "rediss":
        raise ValueError(
            f"{next(iter(tls))} is about TLS, which {parts.scheme}:// does not speak; write rediss://"
        )
    if parts.scheme == "rediss":
        tls = {"ssl_cert_reqs": "none" if accept_self_signed else "required"} | tls
        _load(tls)
    socket = parts.scheme in _SOCKET
    return RedisAddress(
        host="localhost" if socket else unquote(parts.hostname or ""),
        port=6379 if socket else parts.port or 6379,
        db=_database(parts, said),
        username=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        socket_path=unquote(parts.path) if socket else None,
        tls=tls if parts.scheme == "rediss" else None,
        options={name: value for name, value in said.items() if name not in ("db", "virtual_host", *tls)},
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- reading it checks it; its error may quote half of a password
    except ValueError:
        raise ValueError(_FORMS) from None
    tcp = parts.scheme in _TCP and parts.hostname
    socket = parts.scheme in _SOCKET and parts.path.strip("/") and not parts.hostname
    if not (tcp or socket) or parts.fragment or re.search(r"\s", url):
        raise ValueError(_FORMS)
    return parts


def _query(parts: SplitResult) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _KNOWN:
            raise ValueError(f"“{name[:40]}” in it is not understood; these are: {', '.join(_KNOWN)}")
        said[name] = _value(name, value)
    return said


def _value(name: str, value: str) -> Any:  # noqa: ANN401 -- the type depends on the name
    if name == "ssl_cert_reqs":
        wanted = value.lower().removeprefix("cert_")
        if wanted not in _REQUIREMENTS:
            raise ValueError(f"ssl_cert_reqs in it must be one of {', '.join(_REQUIREMENTS)}")
        return wanted
    if name in _FILES:
        if not os.access(value, os.R_OK):
            raise ValueError(
                f"{name} in it names a file that is not there, or that this account may not read"
            )
        return value
    if name == "client_name":
        return value
    if name in ("socket_keepalive", "retry_on_timeout", "ssl_check_hostname"):
        if value.lower() not in _TRUTH:
            raise ValueError(f"{name} in it must be true or false")
        return _TRUTH[value.lower()]
    return _number(name, value)


def _load(tls: dict[str, Any]) -> None:
    """Load the files as the clients do at each connection, where they would raise unexpected errors."""
    own, key = tls.get("ssl_certfile"), tls.get("ssl_keyfile")
    if key and not own:
        raise ValueError("ssl_keyfile in it needs ssl_certfile beside it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authorities = {"cafile": tls.get("ssl_ca_certs"), "capath": tls.get("ssl_ca_path")}
    try:
        if any(authorities.values()):
            context.load_verify_locations(**authorities)
    except OSError as error:
        raise ValueError(f"ssl_ca_certs in it cannot be used ({_reason(error)})") from None
    try:
        if own:
            context.load_cert_chain(own, key, password=lambda: "")  # else it would ask at the terminal
    except OSError as error:
        raise ValueError(f"ssl_certfile and ssl_keyfile in it cannot be used ({_reason(error)})") from None


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or "no certificate or key is in it")


def _number(name: str, value: str) -> float | int:
    if name in _SECONDS:
        if not re.fullmatch(r"\d{1,4}(\.\d{1,6})?", value) or not float(value):
            raise ValueError(f"{name} in it must be a number of seconds, and more than 0")
        return float(value)
    if not re.fullmatch(r"\d{1,6}", value):
        raise ValueError(f"{name} in it must be a whole number")
    return int(value)


def _database(parts: SplitResult, said: dict[str, Any]) -> int:
    path = "" if parts.scheme in _SOCKET else unquote(parts.path).strip("/")
    named = {int(each) for each in (said.get("db"), said.get("virtual_host")) if each is not None}
    if path:
        named.add(int(_number("the database", path)))
    if len(named) > 1:
        raise ValueError("it names two databases, one of them in its path, db or virtual_host")
    return named.pop() if named else 0
