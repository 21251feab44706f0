"""The audit log: who did what to whom, and what the panel repaired by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.ledger.database import Database

KEPT = 10_000


@dataclass(frozen=True)
class Event:
    """at: Unix seconds. actor: 'cli', 'panel' or 'admin:NAME'."""

    at: float
    actor: str
    action: str
    subject: str
    detail: str


class Events:
    def __init__(self, database: Database):
        self._database = database

    def record(self, actor: str, action: str, subject: str = "", detail: str = "") -> None:
        with self._database.best_effort("the audit log"), self._database.transaction() as db:
            db.execute("INSERT INTO events (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
                       (time.time(), actor, action, subject, detail))
            db.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (KEPT,))

    def recent(self, limit: int = 50, subject: str = "") -> list[Event]:
        """The newest events, newest first; those of one subject, if it is named."""
        rows = self._database.query(
            "SELECT at, actor, action, subject, detail FROM events WHERE ? IN ('', subject) ORDER BY id DESC LIMIT ?",
            subject, limit)
        return [Event(*row) for row in rows]
