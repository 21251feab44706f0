"""Which addresses are the internet's: strangers may be passed on to these only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: From IANA's registries of special addresses: those that may lead to somebody's own network, or to no single host.
#: Not Python's is_private, which is another one in each version. The ranges for examples in documents are left
#: out: nobody is there.
_NOT_PUBLIC = tuple(map(ipaddress.IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    "168.63.129.16/32")))  # Azure's own services, on every machine there

#: What of IPv6 is the internet's at all, and the parts of it that are not: Teredo with its neighbours.
_UNICAST, _NOT_PUBLIC_6 = ipaddress.IPv6Network("2000::/3"), (ipaddress.IPv6Network("2001::/23"),)

#: IPv6 prefixes that an IPv4 address follows: mapped, NAT64 (RFC 6052) and 6to4; with how many bits follow it.
_EMBEDDED = tuple((ipaddress.IPv6Network(prefix), bits) for prefix, bits in (
    ("::ffff:0:0/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80)))


def is_public(address: str, own: Iterable[Network] = ()) -> bool:
    """Whether this IP address is one of the internet's, and in none of these networks of our own.

    An IPv6 address that stands for an IPv4 address is what that one is. Raises ValueError for what is no address.
    """
    # A zone ("%eth0") says through which interface; the address is the same.
    parsed = ipaddress.ip_address(address.partition("%")[0])
    forms = [parsed]
    if isinstance(parsed, ipaddress.IPv6Address):
        for prefix, bits in _EMBEDDED:
            if parsed in prefix:
                forms.append(ipaddress.IPv4Address(int(parsed) >> bits & 0xFFFFFFFF))
    own = tuple(own)
    if any(form in network for form in forms for network in own):
        return False
    plain = forms[-1]
    if isinstance(plain, ipaddress.IPv4Address):
        return not any(plain in network for network in _NOT_PUBLIC)
    return plain in _UNICAST and not any(plain in network for network in _NOT_PUBLIC_6)
