"""Where a request comes from, as what is counted by address takes it."""

from __future__ import annotations

import ipaddress


def group(address: str) -> str:
    """Of IPv6 the first half: whoever has one address there has them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
