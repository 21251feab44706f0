"""When, and from where, tokens of the API were last used: for people who ask themselves whether one is still needed."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app.ledger.database import Database

#: Seconds between two notes about one token: programs ask every few seconds.
STEP = 600.0


@dataclass(frozen=True)
class Use:
    """at: Unix seconds. address: of the program."""

    at: float
    address: str


class TokenUses:
    def __init__(self, database: Database):
        self._database = database
        self._noted: dict[str, float] = {}

    def note(self, token_id: str, address: str, now: float, known: Collection[str]) -> None:
        """Note a use, once in a while; what was noted of tokens that are not `known` any more is forgotten."""
        if time.monotonic() - self._noted.get(token_id, -STEP) < STEP:
            return
        # On a full disk, too: no program is to wait for this again and again.
        self._noted = {each: at for each, at in self._noted.items() if each in known} | {token_id: time.monotonic()}
        with self._database.best_effort("the use of a token"), self._database.transaction(0.0) as db:
            db.execute("INSERT OR REPLACE INTO token_uses VALUES (?, ?, ?)", (token_id, now, address))
            db.execute(f"DELETE FROM token_uses WHERE id NOT IN ({', '.join('?' * len(known))})", tuple(known))

    def last(self) -> Mapping[str, Use]:
        """By token id; a token that was never used is not in it."""
        return {row["id"]: Use(row["at"], row["address"])
                for row in self._database.query("SELECT id, at, address FROM token_uses")}
