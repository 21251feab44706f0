"""Clients with the right key that an engine refused all the same: for their clock, or for the domain they asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from app.ledger.database import Database


@dataclass(frozen=True)
class Refused:
    """Tries of one user, or as one run of a workload has counted them. Times are Unix seconds, 0.0 for never.

    wrong_clock: with another time than the server's; clock_behind: seconds that the clock of the last one was
    behind it (negative: ahead). no_sni: without a domain. other_sni: for another domain.
    """

    wrong_clock: int = 0
    clock_behind: int = 0
    no_sni: int = 0
    other_sni: int = 0
    wrong_clock_at: float = 0.0
    no_sni_at: float = 0.0
    other_sni_at: float = 0.0


@dataclass(frozen=True)
class Count:
    """What was counted for one link in one run of a workload; refused: None if its engine does not count. guessed:
    as in Reading."""

    user_id: str
    link: str
    run_id: str
    refused: Refused | None
    guessed: bool = False

    @property
    def baseline(self) -> tuple[str, int, int, int]:
        return self.run_id, *(getattr(self.refused, kind) for kind in _KINDS)


_KINDS = ("wrong_clock", "no_sni", "other_sni")


class Refusals:
    def __init__(self, database: Database):
        self._database = database

    def account(self, counts: Iterable[Count], at: float) -> None:
        """Add what is new in each count to its user's total. at: Unix seconds."""
        known = {row["link"]: tuple(row)[1:] for row in self._database.query(
            "SELECT link, run, wrong_clock, no_sni, other_sni FROM refusal_counters")}
        runs = {run: link for link, (run, *_) in known.items()}
        counts = [replace(count, link=runs.get(count.run_id, count.link)) if count.guessed else count
                  for count in counts]
        users = {row["user_id"] for row in self._database.query("SELECT user_id FROM refusals")}
        # Most ticks bring nothing new, and then nothing is written.
        new = [count for count in counts
               if (count.user_id in users if count.refused is None else
                   count.user_id not in users or known.get(count.link) != count.baseline)]
        if not new:
            return
        with self._database.transaction() as db:
            for count in new:
                if count.refused is None:
                    db.execute("DELETE FROM refusals WHERE user_id = ?", (count.user_id,))
                    continue
                _add(db, count, count.refused, known.get(count.link), at)

    def totals(self) -> dict[str, Refused]:
        """By user id; of a user whose engine does not count them, nothing."""
        columns = ", ".join(field.name for field in fields(Refused))
        rows = self._database.query(f"SELECT user_id, {columns} FROM refusals")
        return {row["user_id"]: Refused(*tuple(row)[1:]) for row in rows}


def _add(db: sqlite3.Connection, count: Count, refused: Refused, before: tuple[Any, ...] | None, at: float) -> None:
    old = before[1:] if before and before[0] == count.run_id else (0, 0, 0)
    db.execute("INSERT OR IGNORE INTO refusals (user_id) VALUES (?)", (count.user_id,))
    for kind, value, counted in zip(_KINDS, count.baseline[1:], old, strict=True):
        # A smaller one is of an engine that has begun anew.
        if grown := value - counted if value >= counted else value:
            db.execute(f"UPDATE refusals SET {kind} = {kind} + ?, {kind}_at = ? WHERE user_id = ?",
                       (grown, at, count.user_id))
            if kind == "wrong_clock":
                db.execute("UPDATE refusals SET clock_behind = ? WHERE user_id = ?",
                           (refused.clock_behind, count.user_id))
    db.execute("INSERT OR REPLACE INTO refusal_counters VALUES (?, ?, ?, ?, ?)", (count.link, *count.baseline))
