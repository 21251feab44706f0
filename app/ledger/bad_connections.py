"""Connections that an engine turned away, by its own name for the reason and by hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.ledger.database import Database

#: Seconds for which they are counted together, and for which the counts are kept.
_HOUR, KEPT = 3600, 30 * 86400
_DAY = 86400

#: The reason of connections that were refused for the limit on addresses, whoever refuses them.
ADDRESSES = "unique_ips"
#: What stands in the place of a reason beside the moment (microseconds) up to which a log was read.
_READ_TO = "read to"


@dataclass(frozen=True)
class Told:
    """What one run of a workload has counted since its start, by reason. engine: its name. user_id: whose proxy it is,
    "" for one of several users. read_to: where counts are what its log has told since the last time, up to which line
    that was read (Unix seconds); None where they are counters."""

    engine: str
    run_id: str
    counts: Mapping[str, int]
    user_id: str = ""
    read_to: float | None = None


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

    def read_to(self, run_id: str) -> float | None:
        """Up to which line the log of this run was counted (Unix seconds); None if it was not."""
        rows = self._database.query("SELECT count FROM bad_counters WHERE run = ? AND reason = ?", run_id, _READ_TO)
        return rows[0]["count"] / 1e6 if rows else None

    def account(self, told: Iterable[Told], now: float, whole: bool = True) -> None:
        """Add what is new. now: Unix seconds. whole: whether these are all that run; others are over then."""
        known = {(row["run"], row["reason"]): row["count"]
                 for row in self._database.query("SELECT run, reason, count FROM bad_counters")}
        told = list(told)
        new = [(each, reason, count if each.read_to is not None else _grown(before, count))
               for each in told for reason, count in each.counts.items()
               if (before := 0 if each.read_to is not None else known.get((each.run_id, reason), 0)) != count]
        begun = [each for each in told if each.read_to is not None and (each.run_id, _READ_TO) not in known]
        # Most ticks bring nothing new, and then nothing is written.
        if not (new or begun):
            return
        hour, runs = now // _HOUR * _HOUR, {each.run_id for each in told}
        with self._database.transaction() as db:
            # A clock that was ahead has left hours that would never pass.
            for table in ("bad_connections", "refused_addresses"):
                db.execute(f"DELETE FROM {table} WHERE at <= ? OR at > ?", (now - KEPT - _HOUR, now + _HOUR))
            if whole:
                db.executemany("DELETE FROM bad_counters WHERE run = ?",
                               [(run,) for run in {run for run, _ in known} - runs])
            for each, reason, grown in new:
                db.execute("INSERT INTO bad_connections VALUES (?, ?, ?, ?) "
                           "ON CONFLICT (at, engine, reason) DO UPDATE SET count = count + excluded.count",
                           (hour, each.engine, reason, grown))
                if each.user_id and reason == ADDRESSES:
                    db.execute("INSERT INTO refused_addresses VALUES (?, ?, ?) "
                               "ON CONFLICT (at, user) DO UPDATE SET count = count + excluded.count",
                               (hour, each.user_id, grown))
                if each.read_to is None:
                    db.execute("INSERT OR REPLACE INTO bad_counters VALUES (?, ?, ?)",
                               (each.run_id, reason, each.counts[reason]))
            db.executemany("INSERT OR REPLACE INTO bad_counters VALUES (?, ?, ?)",
                           [(each.run_id, _READ_TO, round(each.read_to * 1e6)) for each in told
                            if each.read_to is not None])

    def refused_addresses(self, now: float) -> dict[str, tuple[int, int]]:
        """Connections of each user that were refused for the limit on addresses, in the 24 hours and in the 30 days
        before now (Unix seconds), by user id."""
        rows = self._database.query(
            "SELECT user, SUM(CASE WHEN at > ? THEN count ELSE 0 END) AS day, SUM(count) AS month "
            "FROM refused_addresses WHERE at > ? GROUP BY user", now - _DAY, now - KEPT)
        return {row["user"]: (row["day"], row["month"]) for row in rows}

    def recent(self, now: float) -> list[Bad]:
        """What there was in the 30 days before now (Unix seconds), the most frequent of the last day first."""
        rows = self._database.query(
            "SELECT engine, reason, SUM(CASE WHEN at > ? THEN count ELSE 0 END) AS day, SUM(count) AS month "
            "FROM bad_connections WHERE at > ? GROUP BY engine, reason HAVING month > 0 "
            "ORDER BY day DESC, month DESC, reason", now - _DAY, now - KEPT)
        return [Bad(row["engine"], row["reason"], row["day"], row["month"]) for row in rows]


def _grown(before: int, count: int) -> int:
    """By how much a counter has; a smaller one is of an engine that has begun anew."""
    return count - before if count >= before else count
