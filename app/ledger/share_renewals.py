"""How often people give themselves a new link on their own page: once in a while, whatever they press."""

from __future__ import annotations

from app.ledger.database import Database

#: Seconds from one to the next.
PAUSE = 3600.0


class ShareRenewals:
    def __init__(self, database: Database):
        self._database = database

    def take(self, user_id: str, now: float) -> float:
        """Note a new link of this user at `now` (Unix seconds), if it may be; else how many seconds are left until
        then. One answer of 0.0 per pause, however many ask at a time. Raises sqlite3.OperationalError."""
        with self._database.transaction() as db:
            # One that seems to come from further ahead was noted by a clock that has been set back since.
            db.execute("DELETE FROM share_renewals WHERE at <= ? OR at > ?", (now - PAUSE, now + PAUSE))
            row = db.execute("SELECT at FROM share_renewals WHERE user_id = ?", (user_id,)).fetchone()
            if row:
                return max(1.0, float(row["at"]) + PAUSE - now)
            db.execute("INSERT INTO share_renewals VALUES (?, ?)", (user_id, now))
        return 0.0

    def wait(self, user_id: str, now: float) -> float:
        """How many seconds are left until this user may have another one; 0.0 for none."""
        row, = self._database.query("SELECT MAX(at) AS at FROM share_renewals WHERE user_id = ? AND at > ? AND at <= ?",
                                    user_id, now - PAUSE, now + PAUSE)
        return max(0.0, row["at"] + PAUSE - now) if row["at"] else 0.0

    def give_back(self, user_id: str) -> None:
        """It came to nothing: the user may try again."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM share_renewals WHERE user_id = ?", (user_id,))
