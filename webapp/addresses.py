"""Where a request comes from, as what is counted by address takes it; and where it was sent to."""

from __future__ import annotations

import ipaddress

from flask import Request

import settings


def group(address: str) -> str:
    """Of IPv6 the first half: whoever has one address there has them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


def url_of(request: Request) -> str:
    """The URL as whoever signed the request was told it: behind a proxy the request's own would differ."""
    query = request.query_string.decode("latin-1")
    return settings.get().public_base_url.rstrip("/") + request.path + (f"?{query}" if query else "")
