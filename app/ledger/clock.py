"""What other clocks said: kept so that the command line knows it too, and a panel that was just started."""

from __future__ import annotations

from dataclasses import dataclass

from app.ledger.database import Database


@dataclass(frozen=True)
class Told:
    """boot: the boot of the machine that it is true for. true_at_boot: Unix seconds of the moment from which
    CLOCK_BOOTTIME counts, by the other clocks. sites: how many told it. at: CLOCK_BOOTTIME of the look."""

    boot: str
    true_at_boot: float
    sites: int
    at: float


class Clocks:
    def __init__(self, database: Database):
        self._database = database

    def last(self) -> Told | None:
        rows = self._database.query("SELECT boot, true_at_boot, sites, at FROM clock")
        return Told(*rows[0]) if rows else None

    def note(self, told: Told) -> None:
        with self._database.best_effort("what other clocks say"), self._database.transaction() as db:
            db.execute("DELETE FROM clock")
            db.execute("INSERT INTO clock VALUES (?, ?, ?, ?)", (told.boot, told.true_at_boot, told.sites, told.at))
