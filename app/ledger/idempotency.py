"""Creations that a program has asked for under a key of its own, so that asking again makes nothing a second time.

Kept is what was made, by its id, and not the answer: it would hold links.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable

from app.ledger.database import Database
from app.messages.refused import Refused

#: Seconds for which a key is remembered, and keys of one asker; their oldest give way.
KEPT, MOST = 86400.0, 2000
#: Seconds after which a creation that never ended, as its process did, is no obstacle any more.
UNDER_WAY = 120.0


class KeyInUse(Refused):
    """The first request with this key is not done yet."""


class Keys:
    def __init__(self, database: Database):
        self._database = database

    def once(self, whose: str, key: str, asked: bytes, now: float, make: Callable[[], str]) -> tuple[str, bool]:
        """(what was made, whether that was now) by this key, or an earlier request with it.

        whose: keys of one are no keys of another. asked: what is asked for; a key with something else is refused. make:
        makes it, and returns its id. Raises what `make` raises, and then the key is as if it was never used; KeyInUse,
        and Refused for a key that stands for something else. sqlite3.OperationalError where nothing can be noted: then
        nothing is made.
        """
        # Those of one asker stand together, so that they can be counted.
        hashed = _hash(whose)[:16] + _hash(f"{whose}\0{key}")
        fingerprint = hashlib.sha256(asked).hexdigest()
        with self._database.transaction() as db:
            made = _made_before(db, hashed, fingerprint, now)
        if made is not None:
            return made, False
        try:
            made = make()
        except BaseException:
            with self._database.best_effort("a key that came to nothing"), self._database.transaction() as db:
                db.execute("DELETE FROM idempotency_keys WHERE key = ?", (hashed,))
            raise
        with self._database.best_effort("what was made by a key"), self._database.transaction() as db:
            db.execute("UPDATE idempotency_keys SET made = ? WHERE key = ?", (made, hashed))
        return made, True


def _made_before(db: sqlite3.Connection, key: str, fingerprint: str, now: float) -> str | None:
    """What was made by this key; None where it is to be made now, which is noted."""
    # One from the future was noted by a clock that has been set back since.
    db.execute("DELETE FROM idempotency_keys WHERE at < ? OR at > ?", (now - KEPT, now + KEPT))
    row = db.execute("SELECT fingerprint, made, at FROM idempotency_keys WHERE key = ?", (key,)).fetchone()
    if row and row["fingerprint"] != fingerprint:
        raise Refused("key.other", "Idempotency-Key")
    if row and row["made"]:
        return str(row["made"])
    if row and abs(now - row["at"]) < UNDER_WAY:
        raise KeyInUse("key.in_use", "Idempotency-Key")
    db.execute("INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, '', ?)", (key, fingerprint, now))
    # ("g" comes after every hex digit.)
    db.execute("DELETE FROM idempotency_keys WHERE key IN (SELECT key FROM idempotency_keys WHERE key BETWEEN ? AND ? "
               "ORDER BY at DESC LIMIT -1 OFFSET ?)", (key[:16], key[:16] + "g", MOST))
    return None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
