"""What every user moved: totals from the engines' own counters, each counted once."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from app.ledger import history
from app.ledger.database import Database
from app.ledger.history import Point

#: Starts of a workload whose counters are remembered.
KEPT_STARTS = 4


@dataclass(frozen=True)
class Reading:
    """The counters of one start of one workload, as they stand. down, up: bytes.

    late: taken before, and not written then; newer readings may have been counted since.
    """

    user_id: str
    name: str
    start: str
    down: int
    up: int
    fronted: int
    connections: int
    late: bool = False


@dataclass(frozen=True)
class Total:
    """One user's counters; times are Unix seconds, 0.0 for never.

    down, up: bytes since the user exists; reset_down, reset_up: what they were at the
    last reset (reset_at). down_rate, up_rate: bytes/s between the last two samples.
    fronted: probes that were passed to the cover host. connections: open at `sampled_at`.
    last_seen: when a session was last open, or moved something. next_reset: when the
    reset cycle `cycle` is due.
    """

    down: int = 0
    up: int = 0
    fronted: int = 0
    connections: int = 0
    sampled_at: float = 0.0
    down_rate: float = 0.0
    up_rate: float = 0.0
    last_seen: float = 0.0
    reset_down: int = 0
    reset_up: int = 0
    reset_at: float = 0.0
    cycle: str = ""
    next_reset: float = 0.0

    @property
    def period_down(self) -> int:
        return self.down - self.reset_down

    @property
    def period_up(self) -> int:
        return self.up - self.reset_up

    @property
    def period(self) -> int:
        """Bytes since the last reset, both directions: what counts towards the limit."""
        return self.period_down + self.period_up


@dataclass(frozen=True)
class Due:
    """One user's reset cycle as it should be noted. reset: the period ends now.
    expected: the next_reset that this was decided upon."""

    user_id: str
    cycle: str
    expected: float
    next_reset: float
    reset: bool


class Traffic:
    def __init__(self, database: Database):
        self._database = database

    def account(self, readings: Iterable[Reading], at: float | None = None) -> set[str]:
        """Add what is new in each reading to its user's total and history, all in one transaction.

        at: Unix seconds; now, if not given. Returns the ids of users who had a session.
        A baseline belongs to one start of one workload: after a restart the
        engine counts from zero, and so does the difference.
        """
        at = time.time() if at is None else at
        moved: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        active = set()
        with self._database.transaction() as db:
            for reading in readings:
                down, up, fronted = _difference(db, reading)
                if down or up:
                    before = moved[reading.user_id]
                    moved[reading.user_id] = (before[0] + down, before[1] + up)
                in_use = bool(down or up or reading.connections)
                if in_use:
                    active.add(reading.user_id)
                db.execute("""
                    INSERT INTO traffic (user_id, down, up, fronted, connections, sampled_at, last_seen)
                    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user_id) DO UPDATE SET
                    down = down + excluded.down, up = up + excluded.up, fronted = fronted + excluded.fronted,
                    connections = excluded.connections, sampled_at = excluded.sampled_at,
                    last_seen = iif(excluded.last_seen > 0, excluded.last_seen, last_seen),
                    down_rate = iif(excluded.sampled_at > sampled_at,
                                    excluded.down / (excluded.sampled_at - sampled_at), 0),
                    up_rate = iif(excluded.sampled_at > sampled_at,
                                  excluded.up / (excluded.sampled_at - sampled_at), 0)""",
                           (reading.user_id, down, up, fronted,
                            0 if reading.late else reading.connections, at, at if in_use else 0))
            history.add(db, at, moved)
        return active

    def totals(self) -> dict[str, Total]:
        """Totals by user id; a user who was never sampled may be missing."""
        columns = ", ".join(field.name for field in fields(Total))
        rows = self._database.query(f"SELECT user_id, {columns} FROM traffic")
        return {row["user_id"]: Total(*tuple(row)[1:]) for row in rows}

    def history(self, user_id: str | None, since: float, step: int) -> list[Point]:
        """See history.points. step: history.TEN_SECONDS, HOUR or DAY."""
        return history.points(self._database, user_id, since, step)

    def sums(self, since: float, step: int) -> dict[str, tuple[int, int]]:
        """See history.sums."""
        return history.sums(self._database, since, step)

    def reset(self, user_ids: Iterable[str], at: float) -> None:
        """Begin a new period for these users. Baselines stay, so nothing comes back."""
        with self._database.transaction() as db:
            for user_id in user_ids:
                _reset(db, user_id, at)

    def carry_out(self, dues: Iterable[Due], at: float) -> list[str]:
        """Note cycles, and end the periods that are due; the ids of users whose period this call ended.

        What somebody else did in the meantime is not done again.
        """
        ended = []
        with self._database.transaction() as db:
            for due in dues:
                _make_row(db, due.user_id)
                changed = db.execute(
                    "UPDATE traffic SET cycle = ?, next_reset = ? WHERE user_id = ? AND next_reset = ?",
                    (due.cycle, due.next_reset, due.user_id, due.expected)).rowcount
                if changed and due.reset:
                    _reset(db, due.user_id, at)
                    ended.append(due.user_id)
        return ended

    def import_once(self, name: str, totals: Mapping[str, tuple[int, int]]) -> bool:
        """Add (down, up) bytes by user id from a file of this name; False if that was done before."""
        with self._database.transaction() as db:
            if not db.execute("INSERT OR IGNORE INTO imports VALUES (?, ?)", (name, time.time())).rowcount:
                return False
            for user_id, (down, up) in totals.items():
                _make_row(db, user_id)
                db.execute("UPDATE traffic SET down = down + ?, up = up + ? WHERE user_id = ?",
                           (down, up, user_id))
        return True

    def forget(self, user_id: str) -> None:
        """Drop a deleted user's total and history."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM traffic WHERE user_id = ?", (user_id,))
            history.forget(db, user_id)


def _difference(db: sqlite3.Connection, reading: Reading) -> tuple[int, int, int]:
    """What this start's counters have grown by, which become its baseline."""
    now = (reading.down, reading.up, reading.fronted)
    row = db.execute("SELECT down, up, fronted FROM counters WHERE name = ? AND start = ?",
                     (reading.name, reading.start)).fetchone()
    before = tuple(row) if row else (0, 0, 0)
    if any(a < b for a, b in zip(now, before)):
        if reading.late:
            return 0, 0, 0
        before = (0, 0, 0)
    if row is None or tuple(row) != now:
        db.execute("INSERT INTO counters VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                   "down = excluded.down, up = excluded.up, fronted = excluded.fronted",
                   (reading.name, reading.start, *now))
    if row is None:
        db.execute("DELETE FROM counters WHERE name = ? AND rowid NOT IN "
                   "(SELECT rowid FROM counters WHERE name = ? ORDER BY rowid DESC LIMIT ?)",
                   (reading.name, reading.name, KEPT_STARTS))
    down, up, fronted = (a - b for a, b in zip(now, before))
    return down, up, fronted


def _make_row(db: sqlite3.Connection, user_id: str) -> None:
    db.execute("INSERT OR IGNORE INTO traffic (user_id) VALUES (?)", (user_id,))


def _reset(db: sqlite3.Connection, user_id: str, at: float) -> None:
    _make_row(db, user_id)
    db.execute("UPDATE traffic SET reset_down = down, reset_up = up, reset_at = ? WHERE user_id = ?",
               (at, user_id))
