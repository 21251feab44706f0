"""What the last reconcile found out about workloads: problems that stand, and throttles in force."""

from __future__ import annotations

import time

from app.ledger.database import Database


class Workloads:
    def __init__(self, database: Database):
        self._database = database

    def problems(self) -> dict[str, str]:
        """Why each troubled workload does not do what was declared, by workload name."""
        return dict(tuple(row) for row in self._database.query("SELECT name, reason FROM problems"))

    def set_problem(self, name: str, reason: str) -> bool:
        """Note a problem; True if it is new or has another reason than before."""
        with self._database.transaction() as db:
            row = db.execute("SELECT reason FROM problems WHERE name = ?", (name,)).fetchone()
            db.execute("INSERT OR REPLACE INTO problems VALUES (?, ?, ?)", (name, reason, time.time()))
        return row is None or row["reason"] != reason

    def clear_problem(self, name: str) -> bool:
        """True if there was one."""
        with self._database.transaction() as db:
            return db.execute("DELETE FROM problems WHERE name = ?", (name,)).rowcount > 0

    def throttles(self) -> dict[str, int]:
        """Bits per second in force, by workload name, as they were last read back."""
        return dict(tuple(row) for row in self._database.query("SELECT name, bits_per_second FROM throttles"))

    def set_throttle(self, name: str, bits_per_second: int | None) -> None:
        if self.throttles().get(name) == bits_per_second:
            return
        with self._database.transaction() as db:
            db.execute("DELETE FROM throttles WHERE name = ?", (name,))
            if bits_per_second is not None:
                db.execute("INSERT INTO throttles VALUES (?, ?, ?)", (name, bits_per_second, time.time()))
