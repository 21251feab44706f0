"""Memory of the handshakes seen, so that a recorded one is not accepted again."""

from __future__ import annotations

import hashlib

#: What one remembered handshake costs in a Python set, roughly: the number and its slot.
_ENTRY_BYTES = 80


class ReplayCache:
    """Remembers at least the last `size` / 160 handshakes, and at most twice as many.

    Forgetting goes by number, not by age: a FakeTLS hello's time can be changed without the key.
    """

    def __init__(self, size: int) -> None:
        self._half = max(1, size // _ENTRY_BYTES // 2)
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def seen_before(self, proof: bytes) -> bool:
        """Whether this was shown before; remembers it. proof: the part that can't be forged."""
        mark = int.from_bytes(hashlib.blake2b(proof, digest_size=8).digest(), "big")
        if mark in self._recent or mark in self._older:
            return True
        if len(self._recent) >= self._half:
            self._older, self._recent = self._recent, set()
        self._recent.add(mark)
        return False
