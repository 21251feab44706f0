"""Where Telegram's data centres are.

Addresses as built into Telegram's own clients; 203 is the CDN. All of them answer on port 443.
"""

from __future__ import annotations

PORT = 443
DEFAULT_DC = 2

_IPV4: dict[int, tuple[str, ...]] = {
    1: ("149.154.175.50",),
    2: ("149.154.167.51", "95.161.76.100"),
    3: ("149.154.175.100",),
    4: ("149.154.167.91",),
    5: ("149.154.171.5",),
    203: ("91.105.192.100",),
}
_IPV6: dict[int, tuple[str, ...]] = {
    1: ("2001:b28:f23d:f001::a",),
    2: ("2001:67c:4e8:f002::a",),
    3: ("2001:b28:f23d:f003::a",),
    4: ("2001:67c:4e8:f004::a",),
    5: ("2001:b28:f23f:f005::a",),
    203: ("2a0a:f280:203:a:5000::100",),
}

#: prefer-ip value -> address tables in the order of trial.
_ORDER = {
    "only-ipv4": (_IPV4,),
    "only-ipv6": (_IPV6,),
    "prefer-ipv4": (_IPV4, _IPV6),
    "prefer-ipv6": (_IPV6, _IPV4),
}
PREFER_IP = tuple(_ORDER)


def known(dc: int) -> int:
    """The data centre that a client's id means: media ids are negative, 0 means "any". 0 if unknown."""
    number = abs(dc) or DEFAULT_DC
    return number if number in _IPV4 else 0


def addresses(dc: int, prefer_ip: str) -> list[str]:
    """IP addresses of a data centre (a positive id), best first; empty for an unknown id."""
    return [address for table in _ORDER[prefer_ip] for address in table.get(dc, ())]
