"""What every user moved: totals from the engines' own counters, each counted once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from app.ledger.database import Database


@dataclass(frozen=True)
class Reading:
    """The counters of one start of one workload, as they stand. down, up: bytes."""

    user_id: str
    name: str
    start: str
    down: int
    up: int
    fronted: int
    connections: int


@dataclass(frozen=True)
class Total:
    """down, up: bytes since the user exists. connections: open at `sampled_at` (Unix seconds)."""

    down: int = 0
    up: int = 0
    fronted: int = 0
    connections: int = 0
    sampled_at: float = 0.0


class Traffic:
    def __init__(self, database: Database):
        self._database = database

    def account(self, readings: Iterable[Reading]) -> None:
        """Add what is new in each reading to its user's total, all in one transaction.

        A baseline belongs to one start of one workload: after a restart the
        engine counts from zero, and so does the difference.
        """
        with self._database.transaction() as db:
            for reading in readings:
                self._account_one(db, reading)

    def _account_one(self, db: sqlite3.Connection, reading: Reading) -> None:
        row = db.execute("SELECT start, down, up, fronted FROM baselines WHERE name = ?",
                         (reading.name,)).fetchone()
        now = (reading.down, reading.up, reading.fronted)
        before = (row["down"], row["up"], row["fronted"]) if row and row["start"] == reading.start else (0, 0, 0)
        if any(a < b for a, b in zip(now, before)):
            before = (0, 0, 0)
        down, up, fronted = (a - b for a, b in zip(now, before))
        db.execute("INSERT OR REPLACE INTO baselines VALUES (?, ?, ?, ?, ?)",
                   (reading.name, reading.start, *now))
        db.execute("""INSERT INTO traffic VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (user_id) DO UPDATE SET
                      down = down + excluded.down, up = up + excluded.up,
                      fronted = fronted + excluded.fronted, connections = excluded.connections,
                      sampled_at = excluded.sampled_at""",
                   (reading.user_id, down, up, fronted, reading.connections, time.time()))

    def totals(self) -> dict[str, Total]:
        """Totals by user id; a user who was never sampled is missing."""
        rows = self._database.query(
            "SELECT user_id, down, up, fronted, connections, sampled_at FROM traffic")
        return {row["user_id"]: Total(*tuple(row)[1:]) for row in rows}

    def forget(self, user_id: str) -> None:
        """Drop a deleted user's total."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM traffic WHERE user_id = ?", (user_id,))
