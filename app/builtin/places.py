"""Who may hold a connection: so many places in all, and few of them for whoever has proved nothing.

A connection is unproven until its handshake was valid, and then proven; or it is fronted, handed to the
cover host. A newcomer is let in by ending the oldest unproven one where places are short: an honest
client proves itself within a round trip, and who only holds a place has held it longest. A proven one
is never ended for a newcomer, and does not count against the share of its address: behind one address of
a provider there may be a thousand users, but not a thousand half handshakes at a time.

Every verb takes the same time however many connections there are, and nothing is kept of an address
that holds none.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Protocol

#: Of all places: what unproven and fronted connections may have together. The rest is kept for the proven.
_UNPROVEN, _FRONTED = 1 / 2, 1 / 4
#: Of all places: what one address may have of each.
_UNPROVEN_SHARE, _FRONTED_SHARE = 1 / 16, 1 / 32
#: No share is smaller: a browser opens six connections, a telephone eight.
_SMALLEST_SHARE = 8


class Holder(Protocol):
    """A connection that holds a place."""

    def end(self) -> None:
        """Close soon: the place is somebody else's already."""


class Places:
    """The places of one process. ended: connections that were ended early, by "address" or "full"."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.ended = {"address": 0, "full": 0}
        self._unproven = _Group(total, _UNPROVEN, _UNPROVEN_SHARE)
        self._fronted = _Group(total, _FRONTED, _FRONTED_SHARE)
        self._proven: set[Holder] = set()

    def __len__(self) -> int:
        return len(self._unproven) + len(self._fronted) + len(self._proven)

    def enter(self, holder: Holder, address: str) -> bool:
        """Take a place for a newcomer; False if all are held by the proven.

        address: as share_of() names it, "" if it is not known yet.
        """
        if len(self) >= self.total and not self._end_one("full", self._unproven, self._fronted):
            return False
        self._join(self._unproven, holder, address)
        return True

    def name(self, holder: Holder, address: str) -> None:
        """The address of a newcomer that entered without."""
        if self._unproven.leave(holder) is not None:
            self._join(self._unproven, holder, address)

    def prove(self, holder: Holder) -> None:
        if self._unproven.leave(holder) is not None:
            self._proven.add(holder)

    def front(self, holder: Holder) -> None:
        address = self._unproven.leave(holder)
        if address is not None:
            self._join(self._fronted, holder, address)

    def leave(self, holder: Holder) -> None:
        """Give the place back; nothing happens if it was taken away."""
        if self._unproven.leave(holder) is None and self._fronted.leave(holder) is None:
            self._proven.discard(holder)

    def _join(self, group: _Group, holder: Holder, address: str) -> None:
        if oldest := group.oldest_beyond_share(address):
            self._end(oldest, "address")
        elif len(group) >= group.most:
            self._end_one("full", group)
        group.join(holder, address)

    def _end_one(self, why: str, *groups: _Group) -> bool:
        for group in groups:
            if oldest := group.oldest():
                self._end(oldest, why)
                return True
        return False

    def _end(self, holder: Holder, why: str) -> None:
        self.ended[why] += 1
        self.leave(holder)
        holder.end()


class _Group:
    """Holders in the order of their arrival, all of them and those of each address."""

    def __init__(self, total: int, part: float, share: float) -> None:
        self.most = max(1, int(total * part))
        self._share = min(self.most, max(_SMALLEST_SHARE, int(total * share)))
        self._all: OrderedDict[Holder, str] = OrderedDict()
        # Not plain dicts: finding the first key of one that loses its first keys gets slower and slower.
        self._by_address: dict[str, OrderedDict[Holder, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def join(self, holder: Holder, address: str) -> None:
        self._all[holder] = address
        if address:
            self._by_address.setdefault(address, OrderedDict())[holder] = None

    def leave(self, holder: Holder) -> str | None:
        """The address of the holder, which is here no more; None if it was not here."""
        address = self._all.pop(holder, None)
        if address:
            held = self._by_address[address]
            del held[holder]
            if not held:
                del self._by_address[address]
        return address

    def oldest(self) -> Holder | None:
        return next(iter(self._all), None)

    def oldest_beyond_share(self, address: str) -> Holder | None:
        """Whom a further one of this address would displace; None while its share lasts."""
        held = self._by_address.get(address, ())
        return next(iter(held)) if len(held) >= self._share else None


def share_of(host: str) -> str:
    """What shares one share: an IPv4 address, or the /64 of an IPv6 address, as everybody has one.

    host: an IP address.
    """
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return address.packed[:8].hex()
