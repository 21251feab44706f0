"""Limits on addresses that the runtime or nginx keeps, as they were last read back, by the link's name."""

from __future__ import annotations

from dataclasses import dataclass

from app.ledger.database import Database

#: What stands for nginx where a run is told, before the link's name: what it counts is lost when it is started again
#: only, and then begins at nothing.
EDGE_RUN = "nginx/"


@dataclass(frozen=True)
class Kept:
    """run: in which it is kept: one of the workload's, or nginx. limit: so many addresses at most. now: how many there
    are. refused: connections of further ones in that run. at: Unix seconds at which it was read back; 0.0 for one that
    is being put on, and may be in force or not."""

    run: str
    limit: int
    now: int = 0
    refused: int = 0
    at: float = 0.0


class DeviceLimits:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Kept]:
        """By the link's name."""
        return {row["name"]: Kept(row["run"], row["most"], row["now"], row["refused"], row["at"])
                for row in self._database.query("SELECT name, run, most, now, refused, at FROM device_limits")}

    def note(self, kept: dict[str, Kept]) -> None:
        """What was read back, by the link's name."""
        if not kept:
            return
        with self._database.best_effort("limits on addresses"), self._database.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO device_limits (name, run, most, now, refused, at) "
                           "VALUES (?, ?, ?, ?, ?, ?)",
                           [(name, one.run, one.limit, one.now, one.refused, one.at) for name, one in kept.items()])

    def forget(self, names: set[str]) -> None:
        """These are in force no more."""
        if not names:
            return
        with self._database.best_effort("limits on addresses"), self._database.transaction() as db:
            db.executemany("DELETE FROM device_limits WHERE name = ?", [(name,) for name in names])
