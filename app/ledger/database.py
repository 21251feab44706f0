"""data/panel.db: one SQLite connection per thread, write transactions, and a fresh file for a broken one."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.ledger.migrations import migrate

log = logging.getLogger(__name__)

#: Seconds to wait for somebody else's transaction.
PATIENCE = 10.0


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

    def query(self, sql: str, *values: object, **named: object) -> list[sqlite3.Row]:
        """All rows; the values stand for each `?` in turn, or for each `:name`."""
        return self._open().execute(sql, named or values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One `BEGIN IMMEDIATE` transaction: all of it, or nothing."""
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk may have ended it already
                db.execute("ROLLBACK")
            raise

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
            db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            db.row_factory = sqlite3.Row
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                migrate(db)
            except sqlite3.OperationalError as error:
                db.close()
                # SQLite calls it an I/O error when there is no room for its own files.
                full = shutil.disk_usage(self.path.parent).free == 0
                raise sqlite3.OperationalError("the disk is full" if full else str(error)) from None
            self.path.chmod(0o600)
            self._local.db = db
        return db
