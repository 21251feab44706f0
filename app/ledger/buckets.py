"""Rate limits that every worker of the panel shares: attempts per bucket in a sliding window."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.ledger.fallback import Fallback

#: Seconds. All buckets have the same, so that what is older can be forgotten for all of them.
WINDOW = 300.0


@dataclass(frozen=True)
class Place:
    """An attempt that was counted in `buckets` at `at` (Unix seconds); wait: seconds until one would be, if it was
    not."""

    buckets: tuple[str, ...] = ()
    at: float = 0.0
    wait: float = 0.0


class Buckets:
    """Where panel.db can't be written, attempts are counted in memory: a limit never opens by itself."""

    def __init__(self, store: Fallback):
        self._store = store

    def take(self, allowed: Mapping[str, int]) -> Place:
        """Count an attempt in each of these buckets, if none of them is full: all in one transaction, so that
        attempts at the same time never get more than `allowed` says of each bucket and WINDOW seconds."""
        return self._store.write(lambda db: _take(db, allowed, time.time()))[0]

    def give_back(self, place: Place) -> None:
        """The attempt did not happen, or was none of those that are limited."""
        self._store.write_both(lambda db: db.executemany(
            "DELETE FROM attempts WHERE bucket = ? AND at = ?", [(bucket, place.at) for bucket in place.buckets]))

    def clear(self, *buckets: str) -> None:
        """Forget the attempts in these buckets, and in those whose names go on with a "/"."""
        self._store.write_both(lambda db: db.executemany(
            "DELETE FROM attempts WHERE bucket = ?1 OR substr(bucket, 1, length(?1) + 1) = ?1 || '/'",
            [(bucket,) for bucket in buckets]))

    def mark(self, bucket: str) -> None:
        """Note something that is_marked() tells for WINDOW seconds."""
        self._store.write(lambda db: db.execute("INSERT INTO attempts VALUES (?, ?)", (bucket, time.time())))

    def is_marked(self, bucket: str) -> bool:
        now = time.time()
        return bool(self._store.query("SELECT 1 FROM attempts WHERE bucket = ? AND at > ? AND at <= ?",
                                      bucket, now - WINDOW, now))

    def marked(self, prefix: str) -> set[str]:
        """What follows the prefix, in each name that is_marked() tells."""
        now = time.time()
        return {name.removeprefix(prefix) for name, in self._store.query(
            "SELECT DISTINCT bucket FROM attempts WHERE bucket >= ? AND bucket < ? AND at > ? AND at <= ?",
            prefix, f"{prefix}\U0010ffff", now - WINDOW, now)}


def _take(db: sqlite3.Connection, allowed: Mapping[str, int], now: float) -> Place:
    # One that seems to come from further ahead was noted by a clock that has been set back since.
    db.execute("DELETE FROM attempts WHERE at < ? OR at > ?", (now - WINDOW, now + WINDOW))
    wait = max((_wait(db, bucket, most, now) for bucket, most in allowed.items()), default=0.0)
    if wait:
        return Place(wait=wait)
    db.executemany("INSERT INTO attempts VALUES (?, ?)", [(bucket, now) for bucket in allowed])
    return Place(tuple(allowed), now)


def _wait(db: sqlite3.Connection, bucket: str, allowed: int, now: float) -> float:
    rows = db.execute("SELECT at FROM attempts WHERE bucket = ? ORDER BY at DESC LIMIT ?",
                      (bucket, allowed)).fetchall()
    return max(0.001, rows[-1]["at"] + WINDOW - now) if len(rows) == allowed else 0.0
