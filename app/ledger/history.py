"""Traffic over time: a point for every 10 seconds, hour and day in which something was moved."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.ledger.database import Database
from app.ledger.latest import MOST

TEN_SECONDS, HOUR, DAY = 10, 3600, 86400

#: How long the points of each step are kept, in seconds: charts show each with the period before.
KEPT = {TEN_SECONDS: 2 * HOUR, HOUR: 90 * DAY, DAY: 731 * DAY}

EVERYBODY = 0


@dataclass(frozen=True)
class Point:
    """What was moved in the step that began at `at` (Unix seconds). down, up: bytes."""

    at: int
    down: int
    up: int


def begin(at: float, step: int) -> int:
    """When the step that `at` is in began; a day begins at midnight in the server's time zone."""
    if step == DAY:
        # fold: where clocks show midnight twice, the day has still one beginning.
        midnight = datetime.fromtimestamp(at).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return int(midnight.timestamp())
    return int(at) // step * step


def finest(seconds: float) -> int:
    """The shortest step whose points reach back that long."""
    return next((step for step, kept in KEPT.items() if seconds <= kept), DAY)


def add(db: sqlite3.Connection, at: float, moved: Mapping[str, tuple[int, int]]) -> None:
    """Within the caller's transaction: add (down, up) bytes by user id, and drop what is certainly too old: not by a
    clock that was set far ahead a moment ago (ledger/latest).

    The key begins with the time, so that all of one moment lies side by side: a
    tick changes a handful of pages, however many users there are.
    """
    for user_id in moved:
        db.execute("INSERT INTO series (user_id) SELECT ? WHERE NOT EXISTS "
                   "(SELECT 1 FROM series WHERE user_id = ?)", (user_id, user_id))
    numbers = {row["user_id"]: row["number"] for row in db.execute("SELECT user_id, number FROM series")}
    everybody = (EVERYBODY, sum(d for d, _ in moved.values()), sum(u for _, u in moved.values()))
    row = db.execute("SELECT latest FROM latest_time WHERE latest BETWEEN 0 AND ?", (MOST,)).fetchone()
    certainly = min(at, row["latest"]) if row else 0.0
    rows = sorted([everybody, *((numbers[user], down, up) for user, (down, up) in moved.items())])
    for step, kept in KEPT.items():
        if moved:
            start = begin(at, step)
            db.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                           "down = down + excluded.down, up = up + excluded.up",
                           [(step, start, *row) for row in rows])
        db.execute("DELETE FROM points WHERE step = ? AND at < ?", (step, certainly - kept))


def points(database: Database, user_id: str | None, since: float, step: int) -> list[Point]:
    """The points of a user (None: of everybody together) from the step that `since` is in, oldest first.

    Steps in which nothing was moved have no point.
    """
    # From one moment of the key to the next by seeks: other users' rows are never read.
    rows = database.query("""
        WITH RECURSIVE moments(at) AS (
            SELECT min(at) FROM points WHERE step = :step AND at >= :since
            UNION ALL
            SELECT (SELECT min(at) FROM points WHERE step = :step AND at > moments.at)
            FROM moments WHERE moments.at IS NOT NULL)
        SELECT moments.at, points.down, points.up FROM moments CROSS JOIN points
        ON points.step = :step AND points.at = moments.at AND points.series = :series""",
        step=step, since=begin(since, step), series=_number(database, user_id))
    return [Point(*row) for row in rows]


def sums(database: Database, since: float, step: int) -> dict[str, tuple[int, int]]:
    """(down, up) bytes by user id from the step that `since` is in."""
    rows = database.query("SELECT user_id, sum(down), sum(up) FROM points JOIN series ON number = series "
                          "WHERE step = ? AND at >= ? GROUP BY series", step, begin(since, step))
    return {user_id: (down, up) for user_id, down, up in rows}


def daily(database: Database, user_ids: Sequence[str], days: Sequence[int]) -> dict[str, list[int]]:
    """Bytes, both directions, by user id, in each of these days, named by when they begin (see begin); users who moved
    nothing in any are missing."""
    rows = database.query(
        "SELECT user_id, at, down + up AS moved FROM series JOIN points ON series = number "
        f"WHERE step = ? AND at IN ({', '.join('?' * len(days))}) AND user_id IN ({', '.join('?' * len(user_ids))})",
        DAY, *days, *user_ids)
    found: dict[str, list[int]] = {}
    for user_id, at, moved in rows:
        found.setdefault(user_id, [0] * len(days))[days.index(at)] += moved
    return found


def forget(db: sqlite3.Connection, user_id: str) -> None:
    """Drop a user's points; what they moved stays in those of everybody."""
    db.execute("DELETE FROM points WHERE series IN (SELECT number FROM series WHERE user_id = ?)", (user_id,))
    db.execute("DELETE FROM series WHERE user_id = ?", (user_id,))


def _number(database: Database, user_id: str | None) -> int:
    if user_id is None:
        return EVERYBODY
    rows = database.query("SELECT number FROM series WHERE user_id = ?", user_id)
    return rows[0]["number"] if rows else -1
