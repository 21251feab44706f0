"""The time, never earlier than it has been: what has ended stays ended, also by a clock that is set back.

A clock is believed once it has gone on for an hour as the seconds since the boot have, so one that is far ahead for a
moment ends nothing for good. Where other clocks say that it is right, it is believed at once; where they say nothing,
one that was set back is believed after a day.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress

from app.ledger.database import Database
from app.ledger.fallback import UNUSABLE
from app.lib.clock import BELIEVED_AFTER, SINCE_BOOT, SMALL, Clock
from app.lib.procfs import boot_id

#: Seconds after which a clock that was set back is believed.
BELIEVED_BACK_AFTER = 86400.0
#: Seconds between two notes of how far the clock has come.
STEP = 60.0
#: Unix seconds, the end of the year 8999. Later is no time of a clock, but a damaged or edited row.
MOST = 221_845_391_999.0


class Latest:
    """since_boot: seconds since the boot of the machine."""

    def __init__(self, database: Database, since_boot: Clock | None = None):
        self._database = database
        self._since_boot = since_boot or (lambda: SINCE_BOOT())
        self._noted_at: float | None = None

    def now(self) -> float:
        """Unix seconds."""
        return self.after(time.time())

    def after(self, wall: float) -> float:
        """What the clock on the wall shows, or how far it had come before, if that is later. wall: Unix seconds."""
        return max(wall, self.believed())

    def shown(self) -> float:
        """The time by which codes of an app count: the clock may have been put right by a minute."""
        wall, believed = time.time(), self.believed()
        return believed if believed - wall > SMALL else wall

    def believed(self) -> float:
        """How far the clock has certainly come: Unix seconds, 0.0 where nothing is certain."""
        for row in self._rows():
            gone = self._since_boot() - row["at"] if row["boot"] == boot_id() else 0.0
            latest = float(row["latest"] + max(0.0, gone)) if row["latest"] else 0.0
            return latest if latest <= MOST else 0.0
        return 0.0

    def is_believed(self, wall: float, is_right: bool | None) -> bool:
        """Whether what is forgotten for good because it is old may be. is_right: what other clocks say; None if they
        say nothing."""
        if is_right is not None:
            return is_right
        return self._age(self._rows(), wall) >= BELIEVED_AFTER

    def look(self, wall: float, is_right: bool | None) -> None:
        """Note, once in a while, how far the clock has come. See is_believed()."""
        now = self._since_boot()
        if self._noted_at is not None and 0 <= now - self._noted_at < STEP:
            return
        self._noted_at = now
        rows, before = self._rows(), self.believed()
        age = self._age(rows, wall)
        apart, since = (rows[0]["apart"], rows[0]["since"]) if age >= 0 else (wall - now, now)
        latest = before
        if is_right or (is_right is None and age >= BELIEVED_BACK_AFTER):
            latest = wall
        elif is_right is None and age >= BELIEVED_AFTER:
            latest = max(wall, before)

        with self._database.best_effort("how far the clock has come"), self._database.transaction() as db:
            db.execute("DELETE FROM latest_time")
            db.execute("INSERT INTO latest_time VALUES (?, ?, ?, ?, ?)", (boot_id(), apart, since, latest, now))

    def _age(self, rows: list[sqlite3.Row], wall: float) -> float:
        """Seconds for which the clock has gone on as it does now; -1.0 if it has not."""
        now = self._since_boot()
        if not rows or rows[0]["boot"] != boot_id() or abs(wall - now - rows[0]["apart"]) > SMALL:
            return -1.0
        return float(now - rows[0]["since"])

    def _rows(self) -> list[sqlite3.Row]:
        with suppress(*UNUSABLE):
            return self._database.query(
                "SELECT boot, apart, since, latest, at FROM latest_time WHERE latest BETWEEN 0 AND ?1"
                " AND at BETWEEN -?1 AND ?1 AND apart BETWEEN -?1 AND ?1 AND since BETWEEN -?1 AND ?1", MOST)
        return []
