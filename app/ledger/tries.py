"""The panel's own tries of links, which are no use of them: what a try may have moved is taken off the next reading."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from app.ledger.database import Database

#: Seconds in which what a try has moved is read at the latest, and for which a try may last.
WAITS, LASTS = 300.0, 30.0


@dataclass
class Tried:
    """down, up: bytes of one user's tries that were in no reading yet, at most."""

    down: int
    up: int

    def without(self, down: int, up: int) -> tuple[int, int]:
        """What of this growth nobody but the user can have moved; what the tries may have moved is used up."""
        if not (down or up):
            return down, up
        left = max(0, down - self.down), max(0, up - self.up)
        self.down = self.up = 0
        return left


class Tries:
    def __init__(self, database: Database):
        self._database = database

    def note(self, user_id: str, at: float, down: int, up: int) -> None:
        """A link of this user is about to be tried. at: Unix seconds. down, up: bytes that it moves at most."""
        with self._database.best_effort("a try of a link"), self._database.transaction() as db:
            db.execute("INSERT INTO tries VALUES (?, ?, ?, ?)", (user_id, at, down, up))


def of_users(db: sqlite3.Connection, at: float) -> dict[str, Tried]:
    """What was tried lately, by user id."""
    rows = db.execute("SELECT user_id, sum(down), sum(up) FROM tries WHERE abs(at - ?) < iif(up > 0, ?, ?) "
                      "GROUP BY user_id", (at, WAITS, LASTS)).fetchall()
    return {user: Tried(down, up) for user, down, up in rows}


def settle(db: sqlite3.Connection, tried: dict[str, Tried], at: float) -> None:
    """Note whose tries were read, and forget those that are over."""
    if tried:
        db.executemany("UPDATE tries SET down = 0, up = 0 WHERE user_id = ?",
                       [(user,) for user, one in tried.items() if not one.up])
        db.execute("DELETE FROM tries WHERE abs(at - ?) >= iif(up > 0, ?, ?)", (at, WAITS, LASTS))
