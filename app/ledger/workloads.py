"""What was found out about workloads: problems that stand, throttles in force, and whose links are slow."""

from __future__ import annotations

import time

from app.ledger.database import Database
from app.messages import Problem


class Workloads:
    def __init__(self, database: Database):
        self._database = database

    def problems(self) -> dict[str, Problem]:
        """Why each troubled workload does not do what was declared, by workload name."""
        return {row["name"]: Problem.loaded(row["code"], row["params"])
                for row in self._database.query("SELECT name, code, params FROM problems")}

    def set_problem(self, name: str, problem: Problem) -> bool:
        """Note a problem; True if it is new or another than before."""
        told = (problem.code, problem.kept())
        with self._database.transaction() as db:
            row = db.execute("SELECT code, params FROM problems WHERE name = ?", (name,)).fetchone()
            db.execute("INSERT OR REPLACE INTO problems (name, at, code, params) VALUES (?, ?, ?, ?)",
                       (name, time.time(), *told))
        return row is None or tuple(row) != told

    def clear_problem(self, name: str) -> bool:
        """True if there was one."""
        with self._database.transaction() as db:
            return db.execute("DELETE FROM problems WHERE name = ?", (name,)).rowcount > 0

    def slow(self) -> dict[tuple[str, str], Problem]:
        """Why links are served slower than they could be, by (link, run id)."""
        rows = self._database.query("SELECT link, run, code, params FROM slow")
        return {(row["link"], row["run"]): Problem.loaded(row["code"], row["params"]) for row in rows}

    def set_slow(self, link: str, run_id: str, reason: Problem | None) -> None:
        """Note that this run serves the link slowly, or with None that it does not."""
        with self._database.best_effort("a slow proxy"), self._database.transaction() as db:
            if reason:
                db.execute("INSERT OR REPLACE INTO slow (link, run, code, params) VALUES (?, ?, ?, ?)",
                           (link, run_id, reason.code, reason.kept()))
            else:
                db.execute("DELETE FROM slow WHERE link = ?", (link,))

    def throttles(self) -> dict[str, int]:
        """Bits per second in force, by workload name, as they were last read back."""
        return dict(tuple(row) for row in self._database.query("SELECT name, bits_per_second FROM throttles"))

    def throttles_are_known(self) -> bool:
        """Whether throttles() holds all that are in force: a ledger begun beside running proxies does not."""
        return bool(self._database.query("SELECT 1 FROM imports WHERE name = 'throttles'"))

    def note_throttles_are_known(self) -> None:
        with self._database.best_effort("that the throttles are known"), self._database.transaction() as db:
            db.execute("INSERT OR IGNORE INTO imports VALUES ('throttles', ?)", (time.time(),))

    def verified(self) -> dict[str, float]:
        """When each throttle in force was last read back, in Unix seconds, by workload name."""
        return dict(tuple(row) for row in self._database.query("SELECT name, at FROM throttles"))

    def set_throttle(self, name: str, bits_per_second: int | None, at: float | None = None) -> None:
        """Note what was read back `at` (Unix seconds; now, if not given)."""
        if bits_per_second is None and name not in self.throttles():
            return
        with self._database.best_effort("a throttle"), self._database.transaction() as db:
            if bits_per_second is None:
                db.execute("DELETE FROM throttles WHERE name = ?", (name,))
            else:
                db.execute("INSERT OR REPLACE INTO throttles VALUES (?, ?, ?)",
                           (name, bits_per_second, time.time() if at is None else at))
