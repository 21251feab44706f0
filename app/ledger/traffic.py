"""What every user moved: totals from the engines' own counters, each counted once.

A start of a workload whose engine tells no counters is estimated from those of its network. Once the
engine has told any, they are the only ones of that start, however often it is silent later.
"""

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

#: Bytes. An estimate that grows by no more than this between two samples is no sign of use: the
#: network's counters hold scanners' handshakes and the network's own chatter, too.
NOISE = 64 << 10


@dataclass(frozen=True)
class Reading:
    """The counters of one start of one workload, as they stand. down, up: bytes.

    late: taken before, and not written then; newer readings may have been counted since.
    estimated: from the network's counters, not the engine's own.
    """

    user_id: str
    name: str
    start: str
    down: int
    up: int
    fronted: int
    connections: int
    late: bool = False
    estimated: bool = False


@dataclass(frozen=True)
class Total:
    """One user's counters; times are Unix seconds, 0.0 for never.

    down, up: bytes since the user exists; reset_down, reset_up: what they were at the
    last reset (reset_at). down_rate, up_rate: bytes/s between the last two samples.
    fronted: probes that were passed to the cover host. connections: open at `sampled_at`.
    last_seen: when a session was last open, or moved something. next_reset: when the
    reset cycle `cycle` is due. estimated_since: when an estimate was first added; period_estimated:
    whether one was since the last reset; estimating: whether one was at `sampled_at`.
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
    estimated_since: float = 0.0
    period_estimated: bool = False
    estimating: bool = False

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
        engine counts from zero, and so does the difference. Connections and speeds are
        the sums over a user's readings in this call.
        """
        at = time.time() if at is None else at
        sums: dict[str, _Sum] = defaultdict(_Sum)
        used = set()
        with self._database.transaction() as db:
            for reading in readings:
                grown = _difference(db, reading)
                if grown is not None and sums[reading.user_id].add(reading, *grown):
                    used.add(reading.name)
            db.executemany("""
                INSERT INTO traffic (user_id, down, up, fronted, connections, sampled_at, last_seen,
                                     estimated_since, period_estimated, estimating)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user_id) DO UPDATE SET
                down = down + excluded.down, up = up + excluded.up, fronted = fronted + excluded.fronted,
                connections = excluded.connections, sampled_at = excluded.sampled_at,
                last_seen = iif(excluded.last_seen > 0, excluded.last_seen, last_seen),
                down_rate = iif(excluded.sampled_at > sampled_at,
                                excluded.down / (excluded.sampled_at - sampled_at), 0),
                up_rate = iif(excluded.sampled_at > sampled_at,
                              excluded.up / (excluded.sampled_at - sampled_at), 0),
                estimated_since = iif(estimated_since > 0, estimated_since, excluded.estimated_since),
                period_estimated = max(period_estimated, excluded.period_estimated),
                estimating = excluded.estimating""", [
                (user_id, s.down, s.up, s.fronted, s.connections, at, at if s.in_use else 0,
                 at if s.estimated else 0, s.estimated, s.estimated) for user_id, s in sums.items()])
            db.executemany("INSERT INTO link_uses VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at",
                           [(name, at) for name in sorted(used)])
            history.add(db, at, {user_id: (s.down, s.up) for user_id, s in sums.items() if s.down or s.up})
        return {user_id for user_id, s in sums.items() if s.in_use}

    def last_uses(self) -> dict[str, float]:
        """When each workload was last in use, in Unix seconds, by its name; one that never was is missing."""
        return dict(tuple(row) for row in self._database.query("SELECT name, at FROM link_uses"))

    def move_use(self, name: str, to: str) -> None:
        """What was the use of one workload is that of another, which serves the same link from now on."""
        with self._database.transaction() as db:
            db.execute("UPDATE OR REPLACE link_uses SET name = ? WHERE name = ?", (to, name))

    def forget_use(self, *names: str) -> None:
        """The links that these workloads serve from now on were never used."""
        with self._database.transaction() as db:
            db.executemany("DELETE FROM link_uses WHERE name = ?", [(name,) for name in names])

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
        """Drop a deleted user's total, history and refusals."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM traffic WHERE user_id = ?", (user_id,))
            db.execute("DELETE FROM refusals WHERE user_id = ?", (user_id,))
            history.forget(db, user_id)


@dataclass
class _Sum:
    """What one call of account() adds to one user."""

    down: int = 0
    up: int = 0
    fronted: int = 0
    connections: int = 0
    in_use: bool = False
    estimated: bool = False

    def add(self, reading: Reading, down: int, up: int, fronted: int) -> bool:
        """Add what one reading has grown by; whether its workload was in use."""
        connections = 0 if reading.late else reading.connections
        in_use = down + up > (NOISE if reading.estimated else 0) or reading.connections > 0
        self.down, self.up, self.fronted = self.down + down, self.up + up, self.fronted + fronted
        self.connections += connections
        self.in_use = self.in_use or in_use
        self.estimated = self.estimated or reading.estimated
        return in_use


def _difference(db: sqlite3.Connection, reading: Reading) -> tuple[int, int, int] | None:
    """What this start's counters have grown by, which become its baseline. None for an estimate that
    does not count, as the engine has told its own counters of this start."""
    now = (reading.down, reading.up, reading.fronted)
    row = db.execute("SELECT down, up, fronted, estimated FROM counters WHERE name = ? AND start = ?",
                     (reading.name, reading.start)).fetchone()
    before = tuple(row)[:3] if row else (0, 0, 0)
    if row and bool(row["estimated"]) != reading.estimated:
        if reading.estimated:
            return None
        grown = _beyond(now, before)
    else:
        if any(a < b for a, b in zip(now, before)):
            if reading.late:
                return 0, 0, 0
            before = (0, 0, 0)
        grown = tuple(a - b for a, b in zip(now, before))
    if row is None or tuple(row) != (*now, reading.estimated):
        db.execute("INSERT INTO counters VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                   "down = excluded.down, up = excluded.up, fronted = excluded.fronted, "
                   "estimated = excluded.estimated",
                   (reading.name, reading.start, *now, reading.estimated))
    if row is None:
        db.execute("DELETE FROM counters WHERE name = ? AND rowid NOT IN "
                   "(SELECT rowid FROM counters WHERE name = ? ORDER BY rowid DESC LIMIT ?)",
                   (reading.name, reading.name, KEPT_STARTS))
    return grown


def _beyond(now: tuple[int, int, int], estimate: tuple[int, int, int]) -> tuple[int, int, int]:
    """What an engine that tells its counters late has counted beyond the estimate that was added for
    the same start. Nothing is taken back where the estimate was higher."""
    down, up, fronted = now
    counted = down + up
    missing = max(0, counted - estimate[0] - estimate[1])
    new_down = round(missing * down / counted) if counted else 0
    return new_down, missing - new_down, fronted


def _make_row(db: sqlite3.Connection, user_id: str) -> None:
    db.execute("INSERT OR IGNORE INTO traffic (user_id) VALUES (?)", (user_id,))


def _reset(db: sqlite3.Connection, user_id: str, at: float) -> None:
    _make_row(db, user_id)
    db.execute("UPDATE traffic SET reset_down = down, reset_up = up, reset_at = ?, "
               "period_estimated = estimating WHERE user_id = ?", (at, user_id))
