"""What must work while panel.db can't be written - a full disk, a lock, a read-only file: logging in.

The same tables in memory take over for one write at a time. They end with the process.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from app.ledger.database import Database
from app.ledger.migrations import migrate

log = logging.getLogger(__name__)

T = TypeVar("T")
#: Seconds that somebody who logs in waits for another's transaction.
PATIENCE = 1.0
#: Seconds between two lines of the log about it: strangers must not be able to fill it.
QUIET = 60.0
#: What says that the file can't be used now.
UNUSABLE = (sqlite3.OperationalError, OSError)


class Fallback:
    """Writes to the database, and to memory where that fails; reads are of both."""

    def __init__(self, database: Database):
        self._database = database
        self._lock = threading.RLock()
        self._memory: sqlite3.Connection | None = None
        self._told = -QUIET

    def write(self, work: Callable[[sqlite3.Connection], T]) -> tuple[T, bool]:
        """What `work` answers, done in one transaction; and whether that was the file's."""
        try:
            with self._database.transaction(PATIENCE) as db:
                return work(db), True
        except UNUSABLE as error:
            self._tell(error)
        with self._spare() as db:
            return work(db), False

    def write_both(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """The same in the file and in memory; whether the file took it."""
        if self._memory is not None:
            with self._spare() as db:
                work(db)
        try:
            with self._database.transaction(PATIENCE) as db:
                work(db)
        except UNUSABLE as error:
            self._tell(error)
            return False
        return True

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """The rows of both; those of the file first, if it can be read."""
        rows = []
        try:
            rows = self._database.query(sql, *values)
        except UNUSABLE as error:
            self._tell(error)
        if self._memory is not None:
            with self._spare() as db:
                rows += db.execute(sql, values).fetchall()
        return rows

    @contextmanager
    def _spare(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._memory is None:
                self._memory = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
                self._memory.row_factory = sqlite3.Row
                migrate(self._memory)
            self._memory.execute("BEGIN")
            try:
                yield self._memory
                self._memory.execute("COMMIT")
            except BaseException:
                self._memory.execute("ROLLBACK")
                raise

    def _tell(self, error: Exception) -> None:
        if time.monotonic() - self._told >= QUIET:
            self._told = time.monotonic()
            log.warning("panel.db can't be used (%s): logins are counted, and sessions kept, in memory", error)
