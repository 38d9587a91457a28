"""The addresses of web servers among the settings: their form, and whether others can read what is sent."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit


def read(url: str, *schemes: str) -> SplitResult | None:
    """The parts of a URL, or None unless it has one of these schemes and a readable host and port."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- reading it checks it; its error may quote half of a password
    except ValueError:
        return None
    return parts if parts.scheme in schemes and parts.hostname and not re.search(r"\s", url) else None


def is_private(url: str) -> bool:
    """Whether what is sent there cannot be read on the way: it uses TLS, or never leaves the machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_a_host_alone(parts: SplitResult) -> bool:
    """Whether the URL has no path, no query and no login. A slash at the end does not count."""
    return not any((parts.path.strip("/"), parts.query, parts.fragment, parts.username))


def is_a_dsn(parts: SplitResult | None) -> bool:
    """Whether it has the form of a Sentry DSN: https://key@host/project."""
    return bool(parts and parts.username and parts.path.rpartition("/")[2].isdecimal())


def is_listened_on(host: str) -> bool:
    """Whether a server can listen on it: an IP address or localhost."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
