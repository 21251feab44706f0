"""Memory of the handshakes seen, so that a recorded one is not accepted again, after a restart neither.

Each is kept as a mark, 64 bits of a hash of what can't be changed without the key. Forgetting goes by
number, not by age: the time in a FakeTLS hello is outside its HMAC (faketls.py), so a hello of any age can
be made one of now. Only a holder of the key makes marks, so strangers push none out.

The marks are an SQLite file: found at once after a start, a few MB of memory however many they are,
whole after a kill and a power cut, and right with two engines at once, as while one replaces the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import sqlite3
from pathlib import Path

from app.builtin.logs import warn_rarely

#: What one mark costs in the file, at most.
_MARK_BYTES = 32
#: Marks kept in memory while the file can't be written.
_MOST_UNWRITTEN = 100_000
#: How long another engine may hold the file (seconds): all wait for it.
_LOCKED_SECONDS = 0.5
#: Of those, how many are written at a time once it can; the file's log is cut back to this many bytes.
_BATCH = 1000
_LOG_BYTES = 1_000_000
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS recent (mark INTEGER PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS older (mark INTEGER PRIMARY KEY);
"""


class ReplayMemory:
    """Remembers at least the last `size` / 64 handshakes, and at most twice as many.

    path: its file, made if need be; damaged, it is begun anew. While it can't be written, marks are kept in
    memory and written later. size: of the file, bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._half = max(1, size // _MARK_BYTES // 2)
        self._unwritten: dict[int, None] = {}
        self._count = 0
        self._db: sqlite3.Connection | None = None
        self._open()

    def seen_before(self, proof: bytes) -> bool:
        """Whether this was shown before; remembers it. proof: the part that can't be forged."""
        mark = int.from_bytes(hashlib.blake2b(proof, digest_size=8).digest(), "big", signed=True)
        if mark in self._unwritten:
            return True
        try:
            return self._known(mark) or not self._write(mark)
        except sqlite3.Error as error:
            self._trouble(error)
        while len(self._unwritten) >= _MOST_UNWRITTEN:
            del self._unwritten[next(iter(self._unwritten))]
        self._unwritten[mark] = None
        return False

    def tend(self) -> None:
        """To be called now and then: write some of what could not be written."""
        if not self._unwritten:
            return
        batch = list(itertools.islice(self._unwritten, _BATCH))
        try:
            db = self._db or self._connect()
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT OR IGNORE INTO recent VALUES (?)", [(mark,) for mark in batch])
            self._count += len(batch)
        except sqlite3.Error as error:
            self._trouble(error)
            return
        for mark in batch:
            del self._unwritten[mark]

    def close(self) -> None:
        self.tend()
        if self._db:
            self._db.close()
            self._db = None

    def _known(self, mark: int) -> bool:
        if self._db is None:
            return False
        found = self._db.execute("SELECT 1 FROM recent WHERE mark = ?1 UNION ALL "
                                 "SELECT 1 FROM older WHERE mark = ?1", (mark,))
        return found.fetchone() is not None

    def _write(self, mark: int) -> bool:
        """Whether the mark is new. Raises sqlite3.Error."""
        if self._db is None:
            raise sqlite3.OperationalError("it could not be opened")
        new = self._db.execute("INSERT OR IGNORE INTO recent VALUES (?)", (mark,)).rowcount > 0
        self._count += new
        if self._count >= self._half:
            self._forget(self._db)
        return new

    def _forget(self, db: sqlite3.Connection) -> None:
        """The older half goes, and the recent one is older from now on - unless another engine did that."""
        with db:
            db.execute("BEGIN IMMEDIATE")
            if _counted(db) >= self._half:
                db.execute("DROP TABLE older")
                db.execute("ALTER TABLE recent RENAME TO older")
                db.execute("CREATE TABLE recent (mark INTEGER PRIMARY KEY)")
        self._count = _counted(db)

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.Error as error:
            self._trouble(error)

    def _connect(self) -> sqlite3.Connection:
        """Open the file, or make it. Raises sqlite3.Error."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise sqlite3.OperationalError(f"{error.strerror}") from error
        db = sqlite3.connect(self._path, timeout=_LOCKED_SECONDS, isolation_level=None)
        try:
            # A write-ahead log: a commit waits for no disk, and is whole or not there after a kill.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            db.executescript(_SCHEMA)
            self._count = _counted(db)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _trouble(self, error: sqlite3.Error) -> None:
        """Say what is wrong; a damaged file is begun anew."""
        if isinstance(error, sqlite3.OperationalError) or type(error) is not sqlite3.DatabaseError:
            warn_rarely("replays", f"the handshakes seen can't be kept in {self._path} ({error}): until they can, "
                                   "they are kept in memory, and one recorded now passes again after a restart")
            return
        warn_rarely("replays-damaged", f"{self._path} is damaged ({error}) and begun anew: a handshake recorded "
                                       "before passes once more")
        if self._db:
            self._db.close()
            self._db = None
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(f"{self._path}{end}")
        try:
            self._connect()
        except sqlite3.Error as again:
            warn_rarely("replays", f"and {self._path} can't be made: {again}")


def _counted(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM recent").fetchone()[0])
