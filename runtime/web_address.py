"""The addresses of web servers among the settings: what one must look like, and what travels there unread."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit


def read(url: str, *schemes: str) -> SplitResult | None:
    """A URL of one of these schemes, in its parts; None if it is another, or no host or port can be read."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- reading it is what tells; its error may quote half of a password
    except ValueError:
        return None
    return parts if parts.scheme in schemes and parts.hostname and not re.search(r"\s", url) else None


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there: it is TLS, or never leaves the machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_a_host_alone(parts: SplitResult) -> bool:
    """Whether it has no path, no query and no login. A slash at the end is no path."""
    return not any((parts.path.strip("/"), parts.query, parts.fragment, parts.username))


def is_a_dsn(parts: SplitResult | None) -> bool:
    return bool(parts and parts.username and parts.path.rpartition("/")[2].isdecimal())


def is_listened_on(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
