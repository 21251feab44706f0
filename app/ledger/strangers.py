"""What was found out about strangers: covers that lead nowhere good, and who was turned away on port 443."""

from __future__ import annotations

from app.ledger.database import Database
from app.messages import Problem

#: Seconds for which turned away connections are counted together, and for which the counts are kept.
_HOUR, KEPT = 3600, 24 * 3600


class Strangers:
    def __init__(self, database: Database):
        self._database = database

    def closed_covers(self) -> dict[str, Problem]:
        """Why nobody is passed on to the site of a domain, by domain."""
        return {row["domain"]: Problem.loaded(row["code"], row["params"])
                for row in self._database.query("SELECT domain, code, params FROM closed_covers")}

    def set_cover(self, domain: str, reason: Problem | None) -> None:
        """Note why nobody is to be passed on to this site; with None that it is as it should be."""
        with self._database.transaction() as db:
            if reason:
                db.execute("INSERT OR REPLACE INTO closed_covers (domain, code, params) VALUES (?, ?, ?)",
                           (domain, reason.code, reason.kept()))
            else:
                db.execute("DELETE FROM closed_covers WHERE domain = ?", (domain,))

    def turned_away(self, now: float) -> int:
        """How many connections were, in the 24 hours before now (Unix seconds)."""
        row, = self._database.query("SELECT SUM(count) AS sum FROM turned_away WHERE at > ?", now - KEPT)
        return row["sum"] or 0

    def add_turned_away(self, count: int, now: float) -> None:
        with self._database.transaction() as db:
            db.execute("DELETE FROM turned_away WHERE at <= ? OR at > ?", (now - KEPT - _HOUR, now + _HOUR))
            db.execute("INSERT INTO turned_away VALUES (?, ?) ON CONFLICT (at) DO UPDATE SET count = count + ?",
                       (now // _HOUR * _HOUR, count, count))
