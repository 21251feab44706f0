"""Who is logged in: one row for each session, which is what makes a cookie worth something."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.ledger.fallback import Fallback
from app.ledger.latest import Latest

#: A session ends so long after its login, however busy it was.
HOURS = 12
#: Sessions of one admin at a time; the oldest ends when there is one more.
MOST = 100
#: Seconds between two notes of when a session was last used.
STEP = 60.0


@dataclass(frozen=True)
class Session:
    """since, seen: Unix seconds. stamp: of the password that it was begun with; address: where it was last seen."""

    admin: str
    stamp: str
    since: float
    seen: float
    address: str


class Sessions:
    """Where panel.db can't be written, sessions are kept in memory until the panel's restart; so is the end of one,
    until the file takes it."""

    def __init__(self, store: Fallback, latest: Latest):
        self._store, self._latest = store, latest
        self._seconds = HOURS * 3600
        self._ended: set[str] = set()
        self._noted_at = -STEP

    def begin(self, admin: str, stamp: str, address: str) -> str:
        """The token of a new session; only its hash is kept."""
        token = secrets.token_urlsafe(32)
        now = self._latest.now()

        def work(db: sqlite3.Connection) -> None:
            self._forget(db, now)
            db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
                       (_hash(token), admin, stamp, now, now, address))
            db.execute("DELETE FROM sessions WHERE admin = ? AND id NOT IN "
                       "(SELECT id FROM sessions WHERE admin = ? ORDER BY since DESC LIMIT ?)", (admin, admin, MOST))

        ended = set(self._ended)
        if self._store.write(work)[1]:
            self._ended -= ended
        return token

    def find(self, token: str) -> Session | None:
        """The session of this token, if it has not ended and is not too old."""
        key = _hash(token)
        if key in self._ended:
            return None
        rows = self._store.query("SELECT admin, stamp, since, seen, address FROM sessions WHERE id = ?", key)
        # A clock that is set back makes no session longer.
        return Session(*rows[0]) if rows and -1 <= self._latest.now() - rows[0]["since"] < self._seconds else None

    def note_use(self, token: str, session: Session, address: str) -> None:
        """Note when and where a session is used, once in a while."""
        now = self._latest.now()
        if (now - session.seen < STEP and address == session.address) or time.monotonic() - self._noted_at < 1:
            return
        self._noted_at = time.monotonic()  # on a full disk, too: a page is not to wait for this again and again

        def work(db: sqlite3.Connection) -> None:
            self._forget(db, now)
            db.execute("UPDATE sessions SET seen = ?, address = ? WHERE id = ?", (now, address, _hash(token)))

        self._write(work)

    def end(self, token: str) -> None:
        """This session is over, at once."""
        self._ended.add(_hash(token))
        self._write(lambda db: self._forget(db, self._latest.now()))

    def of(self, admin: str) -> list[tuple[str, Session]]:
        """(id, session) of an admin's sessions that have not ended, the one that was used last first. An id lets nobody
        in: it is what the token's hash is."""
        rows = self._store.query("SELECT id, admin, stamp, since, seen, address FROM sessions WHERE admin = ? "
                                 "ORDER BY seen DESC", admin)
        return [(row[0], Session(*row[1:])) for row in map(tuple, rows)
                if row[0] not in self._ended and -1 <= self._latest.now() - row[3] < self._seconds]

    def addresses(self) -> set[str]:
        """From where the panel is used: of all sessions that are not too old."""
        now = self._latest.now()
        return {row["address"] for row in self._store.query(
            "SELECT DISTINCT address FROM sessions WHERE since > ? AND since <= ?", now - self._seconds, now + 1)}

    def end_one(self, admin: str, key: str) -> bool:
        """End the session with this id, if it is this admin's and has not ended."""
        if key not in dict(self.of(admin)):
            return False
        self._ended.add(key)
        self._write(lambda db: self._forget(db, self._latest.now()))
        return True

    def end_all(self, admin: str) -> None:
        """Forget an admin's sessions."""
        self._store.write_both(lambda db: db.execute("DELETE FROM sessions WHERE admin = ?", (admin,)))

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        ended = set(self._ended)
        if self._store.write_both(work):
            self._ended -= ended

    def _forget(self, db: sqlite3.Connection, now: float) -> None:
        """Drop what is certainly too old, and what has ended, also while that could not be written."""
        certainly = self._latest.believed() - self._seconds
        db.execute("DELETE FROM sessions WHERE since < ? OR since > ?", (certainly, now + 1))
        db.executemany("DELETE FROM sessions WHERE id = ?", [(key,) for key in tuple(self._ended)])


def session_id(token: str) -> str:
    """The id of the session of this token."""
    return _hash(token)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
