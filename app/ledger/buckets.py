"""Rate limits that every worker of the panel shares: failures per bucket in a sliding window."""

from __future__ import annotations

import time

from app.ledger.database import Database


class Buckets:
    def __init__(self, database: Database):
        self._database = database

    def wait(self, bucket: str, allowed: int, window: float) -> float:
        """Seconds until the bucket takes another attempt; 0.0 if it does now.

        `allowed` attempts fit into any `window` seconds. One that seems to come from further ahead than
        that was noted by a clock that has been set back since: it keeps nobody out until then.
        """
        now = time.time()
        rows = self._database.query(
            "SELECT at FROM attempts WHERE bucket = ? AND at > ? AND at < ? ORDER BY at DESC LIMIT ?",
            bucket, now - window, now + window, allowed)
        return max(0.0, rows[-1]["at"] + window - now) if len(rows) == allowed else 0.0

    def add(self, bucket: str, window: float) -> None:
        """Count an attempt, and forget those of every bucket that are older than `window` seconds."""
        with self._database.best_effort("a rate limit"), self._database.transaction() as db:
            db.execute("INSERT INTO attempts VALUES (?, ?)", (bucket, time.time()))
            db.execute("DELETE FROM attempts WHERE at < ?", (time.time() - window,))

    def clear(self, bucket: str) -> None:
        with self._database.best_effort("a rate limit"), self._database.transaction() as db:
            db.execute("DELETE FROM attempts WHERE bucket = ?", (bucket,))
