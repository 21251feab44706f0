"""Addresses with a good session in the last day, which nobody is to ban. They are kept under a key, so that the file
does not say where people are; whoever has the whole data folder can still find out whether an address is among them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable

from app.ledger.database import Database

#: Seconds for which a session speaks for its address, between two notes of one address, and addresses at most.
KEPT, STEP, MOST = 86400.0, 600.0, 50_000


class GoodPlaces:
    def __init__(self, database: Database):
        self._database = database
        self._noted: dict[str, float] = {}

    def note(self, places: Iterable[str], secret: str, now: float) -> None:
        """There was a good session from each of these (lib/place). secret: of the installation. now: Unix seconds."""
        new = {name for each in places if abs(now - self._noted.get(name := _hidden(each, secret), 0.0)) >= STEP}
        if not new:
            return
        with self._database.best_effort("addresses with good sessions"), self._database.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO good_places VALUES (?, ?)", [(each, now) for each in new])
            db.execute("DELETE FROM good_places WHERE at <= ? OR at > ?", (now - KEPT, now + STEP))
            db.execute("DELETE FROM good_places WHERE place NOT IN "
                       "(SELECT place FROM good_places ORDER BY at DESC LIMIT ?)", (MOST,))
            self._noted = {name: at for name, at in self._noted.items() if abs(now - at) < STEP}
            self._noted |= dict.fromkeys(new, now)

    def among(self, places: Collection[str], secret: str, now: float) -> set[str]:
        """Those of these that had one in the last day."""
        hidden = {_hidden(each, secret): each for each in places}
        names, found = list(hidden), set()
        for start in range(0, len(names), 500):
            part = names[start:start + 500]
            found |= {hidden[row["place"]] for row in self._database.query(
                f"SELECT place FROM good_places WHERE at > ? AND at <= ? AND place IN ({', '.join('?' * len(part))})",
                now - KEPT, now + STEP, *part)}
        return found


def _hidden(place: str, secret: str) -> str:
    return hmac.new(secret.encode(), f"good place {place}".encode(), hashlib.sha256).hexdigest()[:24]
