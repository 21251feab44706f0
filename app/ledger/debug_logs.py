"""Which engines write a more detailed log for a while, and until when."""

from __future__ import annotations

from app.ledger.database import Database

#: Minutes for which a more detailed log may be asked for, at most.
MOST_MINUTES = 120


class DebugLogs:
    def __init__(self, database: Database):
        self._database = database

    def running(self, now: float) -> dict[str, float]:
        """Unix seconds at which they end, by engine. One further away than anybody may ask for is of a clock that was
        ahead, and is over."""
        return {row["engine"]: row["until"] for row in self._database.query("SELECT engine, until FROM debug_logs")
                if now < row["until"] <= now + 60 * MOST_MINUTES}

    def begin(self, engine: str, until: float, now: float) -> float:
        """Let it run until then (Unix seconds), or as long as it does already where that is longer; until when it
        runs."""
        with self._database.transaction() as db:
            row = db.execute("SELECT until FROM debug_logs WHERE engine = ?", (engine,)).fetchone()
            if row and until < row["until"] <= now + 60 * MOST_MINUTES:
                return float(row["until"])
            db.execute("INSERT OR REPLACE INTO debug_logs VALUES (?, ?)", (engine, until))
        return until

    def by(self, engine: str) -> str:
        """The run (Observed.run_id) that was told last to write one; "" for none."""
        return next((str(row["run"]) for row in self._database.query(
            "SELECT run FROM debug_log_runs WHERE engine = ?", engine)), "")

    def note(self, engine: str, run_id: str) -> None:
        """This run of it was told."""
        with self._database.best_effort("whose log is detailed"), self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO debug_log_runs VALUES (?, ?)", (engine, run_id))

    def end(self, engine: str) -> bool:
        """Let it end now; False if somebody else was first."""
        with self._database.transaction() as db:
            return db.execute("DELETE FROM debug_logs WHERE engine = ?", (engine,)).rowcount == 1

    def ended(self, now: float) -> list[str]:
        """The engines whose time has passed since the last call."""
        running = self.running(now)
        over = [row["engine"] for row in self._database.query("SELECT engine FROM debug_logs")
                if row["engine"] not in running]
        return [engine for engine in over if self.end(engine)]
