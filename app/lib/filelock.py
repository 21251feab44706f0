"""Locks on files (flock(2)): they hold against threads and processes alike, and end with whoever holds them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self


class FileLock:
    """An open lock file, not held at first; closing it gives the lock up. Two of one path exclude each other.

    Never of a file that SQLite has open: closing it would end the locks of every connection of this process.
    """

    def __init__(self, path: Path, make: bool = True) -> None:
        """make: the file is made, mode 0600, where it is missing. If not, what is there can be had, a folder too, and
        on a disk that takes no writes. Raises OSError."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC if make else os.O_RDONLY | os.O_CLOEXEC, 0o600)

    def take(self, shared: bool = False) -> None:
        """Wait until it is held; by this one only, unless shared."""
        fcntl.flock(self._file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)

    def try_take(self, shared: bool = False) -> bool:
        """Hold it from now on, by this one only unless shared, if nobody else does; False if somebody does."""
        return try_flock(self._file, shared)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file, alone; it is made, mode 0600, where it is missing. Raises OSError."""
    with FileLock(path) as lock:
        lock.take()
        yield


def try_flock(file: IO[str] | int, shared: bool = False) -> bool:
    """The same for a file that has another use as well; False if somebody else holds it."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
