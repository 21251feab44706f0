"""What every user moved: totals from the engines' own counters, each counted once.

Counters are those of one link in one run of the workload that serves it. A run whose engine tells none is
estimated from those of its network. Once the engine has told any, they are the only ones of that run,
however often it is silent later.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from app.ledger import history, tries
from app.ledger.database import Database
from app.ledger.history import Point
from app.ledger.tries import Tried

#: Runs of a link whose counters are remembered.
KEPT_RUNS = 4

#: Bytes. An estimate that grows by no more than this between two samples is no sign of use: the
#: network's counters hold scanners' handshakes and the network's own chatter, too.
NOISE = 64 << 10


@dataclass(frozen=True)
class Reading:
    """The counters of one link in one run of a workload, as they stand. down, up: bytes.

    link: its id. guessed: the workload, of an older version, does not tell which link it serves; if
    this run was read before, it is the link of then.
    late: taken before, and not written then; newer readings may have been counted since.
    estimated: from the network's counters, not the engine's own.
    addresses: from which the link is used now; None if the engine does not tell.
    """

    user_id: str
    link: str
    run_id: str
    down: int
    up: int
    fronted: int
    connections: int
    late: bool = False
    estimated: bool = False
    guessed: bool = False
    addresses: int | None = None


@dataclass(frozen=True)
class Total:
    """One user's counters; times are Unix seconds, 0.0 for never.

    down, up: bytes since the user exists; reset_down, reset_up: what they were at the
    last reset (reset_at). down_rate, up_rate: bytes/s between the last two samples.
    fronted: probes that were passed to the cover host. connections: open at `sampled_at`.
    last_seen: when a session was last open, or moved something. next_reset: when the
    reset cycle `cycle` is due. estimated_since: when an estimate was first added; period_estimated:
    whether one was since the last reset; estimating: whether one was at `sampled_at`.
    addresses: from which the links were used at `sampled_at`, added up; None if the engine does not tell.
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
    addresses: int | None = None

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
        A baseline belongs to one link in one run of a workload: after a restart the
        engine counts from zero, and so does the difference. Connections and speeds are
        the sums over a user's readings in this call. What the panel's own tries of a link have moved is neither billed
        nor a use, and while one may be open, a session alone is none.
        """
        at = time.time() if at is None else at
        sums: dict[str, _Sum] = defaultdict(_Sum)
        used: dict[str, str] = {}
        with self._database.transaction() as db:
            tried = tries.of_users(db, at)
            for reading in readings:
                reading = _with_its_link(db, reading)
                grown = _difference(db, reading)
                if grown is not None and sums[reading.user_id].add(reading, *grown, tried.get(reading.user_id)):
                    used[reading.link] = reading.user_id
            tries.settle(db, tried, at)
            db.executemany("""
                INSERT INTO traffic (user_id, down, up, fronted, connections, sampled_at, last_seen,
                                     estimated_since, period_estimated, estimating, addresses)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user_id) DO UPDATE SET
                down = down + excluded.down, up = up + excluded.up, fronted = fronted + excluded.fronted,
                connections = excluded.connections, sampled_at = excluded.sampled_at,
                last_seen = iif(excluded.last_seen > 0, excluded.last_seen, last_seen),
                down_rate = iif(excluded.sampled_at > sampled_at,
                                excluded.down / (excluded.sampled_at - sampled_at), 0),
                up_rate = iif(excluded.sampled_at > sampled_at,
                              excluded.up / (excluded.sampled_at - sampled_at), 0),
                estimated_since = iif(estimated_since > 0, estimated_since, excluded.estimated_since),
                period_estimated = max(period_estimated, excluded.period_estimated),
                estimating = excluded.estimating, addresses = excluded.addresses""", [
                (user_id, s.down, s.up, s.fronted, s.connections, at, at if s.in_use else 0,
                 at if s.estimated else 0, s.estimated, s.estimated, s.addresses) for user_id, s in sums.items()])
            db.executemany("INSERT INTO links VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
                           "user_id = excluded.user_id, last_used = excluded.last_used",
                           [(link, user_id, at) for link, user_id in sorted(used.items())])
            history.add(db, at, {user_id: (s.down, s.up) for user_id, s in sums.items() if s.down or s.up})
        return {user_id for user_id, s in sums.items() if s.in_use}

    def last_uses(self) -> dict[str, float]:
        """When each link was last in use, in Unix seconds, by its id; one that never was is missing."""
        return dict(tuple(row) for row in self._database.query(
            "SELECT id, last_used FROM links WHERE last_used > 0"))

    def owners(self) -> dict[str, str]:
        """The user's id by link, of all links that were ever served."""
        return dict(tuple(row) for row in self._database.query("SELECT id, user_id FROM links WHERE user_id != ''"))

    def note_links(self, owners: Mapping[str, str]) -> None:
        """Note whose links these are, so that what they move is billed even if it is read when they are gone."""
        with self._database.transaction() as db:
            db.executemany("INSERT OR IGNORE INTO links (id, user_id) VALUES (?, ?)", owners.items())

    def forget_use(self, link: str) -> None:
        """What was the use of this link is that of another one, which people know by another port."""
        with self._database.transaction() as db:
            db.execute("UPDATE links SET last_used = 0 WHERE id = ?", (link,))

    def name_links(self, ids: Callable[[], Mapping[str, tuple[str, str]]]) -> None:
        """Give what was noted by workload, before links had ids, to the link that it was about. Done once.

        ids: (link, user id) by the workload's name. A use after the last one of the user was of somebody else, who
        had the port before. What belongs to no link any more keeps the workload's name, so that a run of it that
        still is to be read is not counted twice.
        """
        if not self._database.query("SELECT 1 FROM links WHERE user_id = '' LIMIT 1"):
            return
        with self._database.transaction() as db:
            for name, (link, user_id) in ids().items():
                for table in ("counters", "refusal_counters", "slow"):
                    db.execute(f"UPDATE OR IGNORE {table} SET link = ? WHERE link = ?", (link, name))
                db.execute("UPDATE OR IGNORE links SET id = ?1, user_id = ?2, last_used = iif(last_used <= "
                           "(SELECT last_seen FROM traffic WHERE user_id = ?2), last_used, 0) "
                           "WHERE id = ?3 AND user_id = ''", (link, user_id, name))
            db.execute("DELETE FROM links WHERE user_id = ''")

    def totals(self) -> dict[str, Total]:
        """Totals by user id; a user who was never sampled may be missing."""
        columns = ", ".join(field.name for field in fields(Total))
        rows = self._database.query(f"SELECT user_id, {columns} FROM traffic")
        return {row["user_id"]: Total(*tuple(row)[1:]) for row in rows}

    def history(self, user_id: str | None, since: float, step: int) -> list[Point]:
        """See history.points. step: history.TEN_SECONDS, HOUR or DAY."""
        return history.points(self._database, user_id, since, step)

    def estimated_since(self, user_id: str | None) -> float:
        """When an estimate was first added to a user (None: to anybody), in Unix seconds; 0.0 for never."""
        rows = self._database.query("SELECT min(estimated_since) AS at FROM traffic WHERE estimated_since > 0 "
                                    "AND coalesce(?, user_id) = user_id", user_id)
        return float(rows[0]["at"] or 0.0)

    def sums(self, since: float, step: int) -> dict[str, tuple[int, int]]:
        """See history.sums."""
        return history.sums(self._database, since, step)

    def daily(self, user_ids: Sequence[str], days: Sequence[int]) -> dict[str, list[int]]:
        """See history.daily."""
        return history.daily(self._database, user_ids, days)

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
        """Drop a deleted user's total, links, history and refusals."""
        with self._database.transaction() as db:
            for table in ("counters", "refusal_counters", "slow"):
                db.execute(f"DELETE FROM {table} WHERE link IN (SELECT id FROM links WHERE user_id = ?)", (user_id,))
            db.execute("DELETE FROM links WHERE user_id = ?", (user_id,))
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
    addresses: int | None = None

    def add(self, reading: Reading, down: int, up: int, fronted: int, tried: Tried | None) -> bool:
        """Add what one reading has grown by; whether its workload was in use."""
        connections = 0 if reading.late else reading.connections
        if tried and not reading.estimated:
            down, up = tried.without(down, up)
        in_use = down + up > (NOISE if reading.estimated else 0) or (reading.connections > 0 and not tried)
        self.down, self.up, self.fronted = self.down + down, self.up + up, self.fronted + fronted
        self.connections += connections
        if reading.addresses is not None and not reading.late:
            self.addresses = (self.addresses or 0) + reading.addresses
        self.in_use = self.in_use or in_use
        self.estimated = self.estimated or reading.estimated
        return in_use


def _with_its_link(db: sqlite3.Connection, reading: Reading) -> Reading:
    """With the link that this run was known by before, if the one in the reading is only a guess."""
    row = reading.guessed and db.execute("SELECT link FROM counters WHERE run = ?", (reading.run_id,)).fetchone()
    return replace(reading, link=row["link"]) if row else reading


def _difference(db: sqlite3.Connection, reading: Reading) -> tuple[int, int, int] | None:
    """What this run's counters have grown by, which become its baseline. None for an estimate that
    does not count, as the engine has told its own counters of this run."""
    now = (reading.down, reading.up, reading.fronted)
    row = db.execute("SELECT down, up, fronted, estimated FROM counters WHERE link = ? AND run = ?",
                     (reading.link, reading.run_id)).fetchone()
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
                   (reading.link, reading.run_id, *now, reading.estimated))
    if row is None:
        db.execute("INSERT OR IGNORE INTO links (id, user_id) VALUES (?, ?)", (reading.link, reading.user_id))
        db.execute("DELETE FROM counters WHERE link = ? AND rowid NOT IN "
                   "(SELECT rowid FROM counters WHERE link = ? ORDER BY rowid DESC LIMIT ?)",
                   (reading.link, reading.link, KEPT_RUNS))
    return grown


def _beyond(now: tuple[int, int, int], estimate: tuple[int, int, int]) -> tuple[int, int, int]:
    """What an engine that tells its counters late has counted beyond the estimate that was added for
    the same run. Nothing is taken back where the estimate was higher."""
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
