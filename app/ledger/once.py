"""What counts once, whatever the clock does: a code that was used stays used, also by a clock that was set back."""

from __future__ import annotations

import sqlite3

from app.ledger.fallback import Fallback

#: What is remembered under one name, and under all: the newest. Each is the code of an app or the answer of a passkey,
#: so nobody makes many of them who is not let in anyway.
MOST, MOST_OF_ALL = 100, 5000


class Once:
    """Where panel.db can't be written, it is remembered in memory until the panel's restart."""

    def __init__(self, store: Fallback):
        self._store = store

    def take(self, name: str, what: str) -> bool:
        """Whether nobody has taken this before; of many at a time, one."""
        if self._store.query("SELECT 1 FROM taken_once WHERE name = ? AND what = ?", name, what):
            return False
        return self._store.write(lambda db: _take(db, name, what))[0]


def _take(db: sqlite3.Connection, name: str, what: str) -> bool:
    taken = db.execute("INSERT OR IGNORE INTO taken_once VALUES (?, ?)", (name, what)).rowcount == 1
    db.execute("DELETE FROM taken_once WHERE name = ?1 AND rowid NOT IN "
               "(SELECT rowid FROM taken_once WHERE name = ?1 ORDER BY rowid DESC LIMIT ?2)", (name, MOST))
    db.execute("DELETE FROM taken_once WHERE rowid <= (SELECT MAX(rowid) FROM taken_once) - ?", (MOST_OF_ALL,))
    return taken
