"""From how many addresses a link is used at a time, and the limit on that."""

from __future__ import annotations

from app.builtin.places import share_of


class Addresses:
    """Addresses with a live session each: an IPv4 address, or the /64 of an IPv6 one, as everybody has one.

    limit: how many may be in use at a time, 0 for any number. refused: sessions of a further one, ever. Lowering the
    limit ends nobody's session. Telling them apart is only as good as what stands before the engine tells them.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.refused = 0
        self._sessions: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def enter(self, host: str) -> bool:
        """Begin a session from this IP address; False, and it is counted as refused, where it would be one too many."""
        address = share_of(host)
        if self.limit and address not in self._sessions and len(self._sessions) >= self.limit:
            self.refused += 1
            return False
        self._sessions[address] = self._sessions.get(address, 0) + 1
        return True

    def leave(self, host: str) -> None:
        """End a session that was let in."""
        address = share_of(host)
        self._sessions[address] -= 1
        if not self._sessions[address]:
            del self._sessions[address]
