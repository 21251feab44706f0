"""One customer of a provider, as far as an address tells: what is counted, kept and banned together."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

#: Bits of an IPv6 address that are a customer's, who has all addresses with them.
IPV6_BITS = 64


@lru_cache(maxsize=65536)
def place(address: str) -> str:
    """The one form in which a place is written: an IPv4 address, or the first address of an IPv6 /64 ("2001:db8::").

    An IPv4 address that is written as an IPv6 one (::ffff:203.0.113.7) is that IPv4 address. Raises ValueError for what
    is no address.
    """
    parsed = ipaddress.ip_address(address.strip().strip("[]").partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, IPV6_BITS), strict=False).network_address)
    return str(parsed)


def shown(address: str) -> str:
    """A place as people read it: an IPv6 one with its length."""
    return f"{address}/{IPV6_BITS}" if ":" in address else address
