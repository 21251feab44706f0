"""data/panel.db: one SQLite connection per thread, write transactions, and a fresh file for a broken one."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.ledger.migrations import migrate
from app.lib import private
from app.lib.filelock import FileLock
from app.messages.errors import Coded

log = logging.getLogger(__name__)

#: Seconds to wait for whoever makes or migrates the file.
PATIENCE = 10.0
#: Seconds that a transaction waits for somebody else's; and the next ones, of the same page for example, once one has
#: waited in vain, until one gets through.
WAIT, AGAIN = 3.0, 0.3

#: What SQLite says of a file that holds no sound database; all else (locked, full) says nothing against it.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class LedgerFull(Coded, sqlite3.OperationalError):
    """There is no room for it on the disk."""


class LedgerDamaged(Coded, sqlite3.OperationalError):
    """The file was damaged; what was asked for did not happen."""


class Database:
    """Losing this file loses history, never access: a damaged one is put aside and begun anew."""

    def __init__(self, path: Path):
        self.path = path
        self._local = threading.local()
        self._watching = threading.Lock()
        self._watch: tuple[sqlite3.Connection | None, tuple[int, int] | None] = None, None
        self._watched = 0
        self._held = False
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._put_aside(error)
            self._open()

    def version(self) -> object:
        """Equal to what it was before for as long as nobody, here or in another process, has changed the file; equal to
        nothing where that can't be seen.

        Ask before you read: what is read then may be newer than its version, and never older.
        """
        try:
            with self._watching:
                db, file = self._watch
                if db is None or file != _file(self.path):
                    if db is not None:
                        db.close()
                    self._watch = None, None
                    self._open()  # with its file, in this thread's way
                    file = _file(self.path)
                    # It never writes, so that what changes its number is all that is written anywhere else.
                    db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
                    self._watch = db, file
                    self._watched += 1  # a new file may have the number of the old one
                return self._watched, db.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.DatabaseError:
            return object()

    def query(self, sql: str, *values: object, **named: object) -> list[sqlite3.Row]:
        """All rows; the values stand for each `?` in turn, or for each `:name`."""
        try:
            return self._open().execute(sql, named or values).fetchall()
        except sqlite3.DatabaseError as error:
            self._put_aside(error)
            return self._open().execute(sql, named or values).fetchall()

    @contextmanager
    def transaction(self, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        """One `BEGIN IMMEDIATE` transaction: all of it, or nothing.

        patience: seconds to wait for somebody else's, WAIT if not given; less while somebody does not end. A damaged
        file fails it with an OperationalError, and the next one writes to a new file.
        """
        try:
            db = self._open()
            wait = WAIT if patience is None else patience
            if self._held:
                wait = min(wait, AGAIN)
            db.execute(f"PRAGMA busy_timeout = {round(1000 * wait)}")
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                self._held = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
                raise
            self._held = False
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk may have ended it already
                    db.execute("ROLLBACK")
                raise
        except sqlite3.DatabaseError as error:
            self._put_aside(error)
            raise LedgerDamaged("ledger.damaged", name=self.path.name) from error

    @contextmanager
    def best_effort(self, what: str) -> Iterator[None]:
        """For records whose loss must not fail what they are about, as on a full disk: logs, and goes on."""
        try:
            yield
        except sqlite3.OperationalError as error:
            log.warning("%s could not be written: %s", what, error)

    def _open(self) -> sqlite3.Connection:
        """This thread's connection; a new one if its file has been put aside, lost or replaced since: two threads
        with two files would not see what each other writes."""
        db, file = getattr(self._local, "open", (None, None))
        if db is not None and file != _file(self.path):
            db.close()
            db = None
        if db is None:
            with self._folder(shared=True):
                self._local.open = None, _file(self.path)
                db = self._connect()
                self._local.open = db, _file(self.path)
        return db

    def _connect(self) -> sqlite3.Connection:
        # Made here, as SQLite would leave its mode to the umask; its -wal and -shm get the same. One that is there
        # is never opened past SQLite: closing it would end the locks of every connection of this process
        # (sqlite.org/howtocorrupt.html), and whoever closes the file next would take the log from under them.
        with suppress(OSError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with suppress(OSError):
            for end in ("", "-wal", "-shm"):
                private.close_file(Path(f"{self.path}{end}"))
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
            raise (LedgerFull("disk.full") if full else sqlite3.OperationalError(str(error))) from None
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        """Make way for a new file, if this error says that the present one is damaged; else raise it."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            raise error
        db, file = getattr(self._local, "open", (None, None))
        if db is not None:
            db.close()
        self._local.open = None, None
        with self._folder(shared=False):
            if file != _file(self.path):
                return  # somebody else was first
            aside = self.path.with_name(f"{self.path.name}.broken-{int(time.time())}")
            # With what belongs to it: SQLite would take these for the new file's.
            for end in ("-wal", "-shm", ""):
                part = Path(f"{self.path}{end}")
                if part.exists():
                    part.rename(f"{aside}{end}")
        log.warning("%s is damaged (%s); kept as %s, and a new one was begun", self.path, error, aside)

    @contextmanager
    def _folder(self, shared: bool) -> Iterator[None]:
        """A lock on the folder: nobody opens the file while another one takes its place."""
        with FileLock(self.path.parent, make=False) as lock:
            with suppress(OSError):  # some file systems know none on folders
                lock.take(shared)
            yield


def _file(path: Path) -> tuple[int, int] | None:
    """Which file has this name; None if none has."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino
