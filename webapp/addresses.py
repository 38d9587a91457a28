"""Where a request comes from, as what is counted by address takes it; and where it was sent to."""

from __future__ import annotations

import ipaddress
import re

from flask import Request

import settings

#: An address with its port, as some gateways write it, and one of IPv6 in brackets, with a port or without.
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{0,5}")
_IN_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\](?::[0-9]{0,5})?")

#: The longest address of IPv6 with a zone and a port; what is longer is not looked at.
_LONGEST = 100


def read(written: str) -> str | None:
    """An address in its one form, without its port: 192.0.2.1, also where it was ::ffff:192.0.2.1.

    None for what is no address.
    """
    text = written.strip()
    if len(text) > _LONGEST:
        return None
    found = _WITH_PORT.fullmatch(text) or _IN_BRACKETS.fullmatch(text)
    try:
        parsed = ipaddress.ip_address(found[1] if found else text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def group(address: str) -> str:
    """Whose address it is: of IPv6 the first half, for whoever has one address there has them all."""
    known = read(address)
    if known is None:
        return address
    if ":" in known:
        return str(ipaddress.ip_network((known, 64), strict=False))
    return known


def url_of(request: Request) -> str:
    """The URL as whoever signed the request was told it: behind a proxy the request's own would differ."""
    query = request.query_string.decode("latin-1")
    return settings.get().public_base_url.rstrip("/") + request.path + (f"?{query}" if query else "")
