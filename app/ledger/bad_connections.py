"""Connections that an engine turned away, by its own name for the reason and by hour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.ledger.database import Database

#: Seconds for which they are counted together, and for which the counts are kept.
_HOUR, KEPT = 3600, 30 * 86400
_DAY = 86400


@dataclass(frozen=True)
class Told:
    """What one run of a workload has counted since its start, by reason. engine: its name."""

    engine: str
    run_id: str
    counts: dict[str, int]


@dataclass(frozen=True)
class Bad:
    """Connections of one reason: in the last 24 hours, and in the last 30 days."""

    engine: str
    reason: str
    day: int
    month: int


class BadConnections:
    def __init__(self, database: Database):
        self._database = database

    def account(self, told: Iterable[Told], now: float) -> None:
        """Add what is new. now: Unix seconds. Runs of these engines that are not among them are over."""
        known = {(row["run"], row["reason"]): row["count"]
                 for row in self._database.query("SELECT run, reason, count FROM bad_counters")}
        told = list(told)
        new = [(each, reason, count) for each in told for reason, count in each.counts.items()
               if known.get((each.run_id, reason), 0) != count]
        # Most ticks bring nothing new, and then nothing is written.
        if not new:
            return
        hour, runs = now // _HOUR * _HOUR, {each.run_id for each in told}
        with self._database.transaction() as db:
            # A clock that was ahead has left hours that would never pass.
            db.execute("DELETE FROM bad_connections WHERE at <= ? OR at > ?", (now - KEPT - _HOUR, now + _HOUR))
            db.executemany("DELETE FROM bad_counters WHERE run = ?",
                           [(run,) for run in {run for run, _ in known} - runs])
            for each, reason, count in new:
                before = known.get((each.run_id, reason), 0)
                # A smaller one is of an engine that has begun anew.
                grown = count - before if count >= before else count
                db.execute("INSERT INTO bad_connections VALUES (?, ?, ?, ?) "
                           "ON CONFLICT (at, engine, reason) DO UPDATE SET count = count + excluded.count",
                           (hour, each.engine, reason, grown))
                db.execute("INSERT OR REPLACE INTO bad_counters VALUES (?, ?, ?)", (each.run_id, reason, count))

    def recent(self, now: float) -> list[Bad]:
        """What there was in the 30 days before now (Unix seconds), the most frequent of the last day first."""
        rows = self._database.query(
            "SELECT engine, reason, SUM(CASE WHEN at > ? THEN count ELSE 0 END) AS day, SUM(count) AS month "
            "FROM bad_connections WHERE at > ? GROUP BY engine, reason HAVING month > 0 "
            "ORDER BY day DESC, month DESC, reason", now - _DAY, now - KEPT)
        return [Bad(row["engine"], row["reason"], row["day"], row["month"]) for row in rows]
