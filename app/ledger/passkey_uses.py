"""When each passkey was last used to log in."""

from __future__ import annotations

import time
from collections.abc import Collection

from app.ledger.database import Database


class PasskeyUses:
    def __init__(self, database: Database):
        self._database = database

    def note(self, passkey: str, patience: float | None = None) -> None:
        """It was used just now. patience: seconds to wait for somebody else's transaction, see Database."""
        with self._database.best_effort("the use of a passkey"), self._database.transaction(patience) as db:
            db.execute("INSERT OR REPLACE INTO passkey_uses VALUES (?, ?)", (passkey, time.time()))

    def all(self) -> dict[str, float]:
        """Unix seconds, by passkey."""
        return {row["passkey"]: row["at"] for row in self._database.query("SELECT passkey, at FROM passkey_uses")}

    def keep_only(self, passkeys: Collection[str]) -> None:
        """Forget those that are declared no more."""
        with self._database.best_effort("the uses of passkeys"), self._database.transaction() as db:
            known = [row["passkey"] for row in db.execute("SELECT passkey FROM passkey_uses")]
            db.executemany("DELETE FROM passkey_uses WHERE passkey = ?",
                           [(each,) for each in known if each not in passkeys])
