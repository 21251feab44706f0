"""data/logs/offenders.log and offenders-2.log: written in turn, so that fail2ban misses no line and counts none twice.

A file that is renamed when it is full loses the lines that fail2ban had not read yet, and one that it also reads under
its new name is counted again. So nothing is renamed: when one file is full, the other one is begun anew, and what
stands in the full one can be read until that is full in turn.

fail2ban (1.0) knows a file by its number and its first line, and reads one that was empty when it came, and was
replaced then, twice. So no file is ever empty: each begins with a line that no other one has.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.bans.offences import Offence, parse
from app.lib.filelock import locked
from app.lib.files import put

NAMES = ("offenders.log", "offenders-2.log")
#: Bytes of one file: some 28,000 offences.
LARGEST = 1_500_000
_HEAD = b"# Addresses with wrong keys, for fail2ban: docs/fail2ban.md (%s)\n"
#: Bytes of a file in which nothing else stands.
_EMPTY = len(_HEAD) - 2 + 16
#: So many bytes at the end of both files are looked through for what is known of an address.
_LOOKED_THROUGH = 2 * LARGEST


class OffendersLog:
    """folder: data/logs. Lines are added by one process at a time, under a lock."""

    def __init__(self, folder: Path, largest: int = LARGEST) -> None:
        self.folder = folder
        self._largest = largest

    @property
    def paths(self) -> list[Path]:
        return [self.folder / name for name in NAMES]

    def prepare(self) -> None:
        """Make what is missing: fail2ban starts no jail, and none of the others, without the files. Raises OSError."""
        with self._locked():
            self._prepare()

    def append(self, offences: Iterable[Offence]) -> None:
        """Add these, whole lines in one write each time. Raises OSError: then some may be missing, and none is cut."""
        lines = [offence.line for offence in offences]
        if not lines:
            return
        with self._locked():
            self._prepare()
            path = self._current()
            size = path.stat().st_size
            room: list[str] = []
            for line in lines:
                if size + len(line) > self._largest:
                    _write(path, room)
                    path = self._other(path)
                    _begin(path)
                    room, size = [], path.stat().st_size
                room.append(line)
                size += len(line)
            _write(path, room)

    def read(self) -> Iterator[Offence]:
        """What is in both files, oldest first as far as the files go; lines that are none are left out."""
        current = self._current()
        for path in (self._other(current), current):
            with suppress(OSError), open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LOOKED_THROUGH))
                for line in deque(file, maxlen=_LOOKED_THROUGH // 40):
                    if offence := parse(line.decode(errors="replace")):
                        yield offence

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with locked(self.folder / "offenders.lock"):
            yield

    def _prepare(self) -> None:
        for path in self.paths:
            if not path.exists():
                _begin(path)

    def _current(self) -> Path:
        """The one that was written last."""
        def written(path: Path) -> int:
            with suppress(OSError):
                found = path.stat()
                return found.st_mtime_ns if found.st_size > _EMPTY else 0
            return 0

        first, second = self.paths
        return second if written(second) > written(first) else first

    def _other(self, path: Path) -> Path:
        first, second = self.paths
        return first if path == second else second


def _begin(path: Path) -> None:
    """A new file, and not the old one emptied."""
    put(path, _HEAD % secrets.token_hex(8).encode())


def _write(path: Path, lines: list[str]) -> None:
    if not lines:
        return
    # A line that was cut off by a full disk must not swallow the next one.
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        broken = b""
        if end:
            file.seek(end - 1)
            broken = b"" if file.read(1) == b"\n" else b"\n"
        file.write(broken + "".join(lines).encode())
