"""The client's address of a request, in the form in which limits count it, and the URL it was sent to."""

from __future__ import annotations

import ipaddress
import re

from flask import Request

import settings

#: An IPv4 address with its port, as some gateways write it, and an IPv6 address in brackets, with or without
#: a port.
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{0,5}")
_IN_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\](?::[0-9]{0,5})?")

#: Characters of the longest IPv6 address with a zone and a port; longer text is not parsed.
_LONGEST = 100


def read(written: str) -> str | None:
    """An address in its canonical form, without a port: 192.0.2.1, also for ::ffff:192.0.2.1.

    None if the text is not an address.
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
    """What an address is counted under: for IPv6 its /64 network, since one client has the whole network."""
    known = read(address)
    if known is None:
        return address
    if ":" in known:
        return str(ipaddress.ip_network((known, 64), strict=False))
    return known


def url_of(request: Request) -> str:
    """The public URL, which the sender of the request signed: behind a proxy the request's own differs."""
    query = request.query_string.decode("latin-1")
    return settings.get().public_base_url.rstrip("/") + request.path + (f"?{query}" if query else "")
