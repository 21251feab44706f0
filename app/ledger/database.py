"""data/panel.db: one SQLite connection per thread, write transactions, and a fresh file for a broken one."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.ledger.migrations import migrate

log = logging.getLogger(__name__)


class Database:
    """Losing this file loses history, never access: a damaged one is put aside and begun anew."""

    def __init__(self, path: Path):
        self.path = path
        self._local = threading.local()
        try:
            self._open()
        except sqlite3.OperationalError:
            raise  # locked, full disk, not permitted: the file itself may be sound
        except sqlite3.DatabaseError as error:
            aside = path.with_name(f"{path.name}.broken-{int(time.time())}")
            path.rename(aside)
            log.warning("%s is damaged (%s); kept as %s, and a new one was begun", path, error, aside)
            self._open()

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return self._open().execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One `BEGIN IMMEDIATE` transaction: all of it, or nothing."""
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    @contextmanager
    def best_effort(self, what: str) -> Iterator[None]:
        """For records whose loss must not fail what they are about, as on a full disk: logs, and goes on."""
        try:
            yield
        except sqlite3.OperationalError as error:
            log.warning("%s could not be written: %s", what, error)

    def _open(self) -> sqlite3.Connection:
        db = getattr(self._local, "db", None)
        if db is None:
            db = sqlite3.connect(self.path, timeout=10, isolation_level=None)
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            migrate(db)
            self.path.chmod(0o600)
            self._local.db = db
        return db
