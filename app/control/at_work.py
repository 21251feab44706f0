"""How far the pass of another process is, such as a command's: written into the lock file that it holds, and believed
only while somebody holds it, so that nothing is left of a process that was killed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.control.sampling import locked
from app.lib.filelock import FileLock


class AtWork:
    """The lock of a data folder's passes. What can't be written, as on a full disk, is not told; the lock holds."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "reconcile.lock"
        #: A process id would be another's in another container.
        self._mark = secrets.token_hex(8)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold it, alone."""
        with locked(self._path):
            self._write("")
            try:
                yield
            finally:
                self._write("")

    def tell(self, done: int, of: int) -> None:
        """How far it is; called while it is held."""
        self._write(f"{self._mark} {done} {of}")

    def elsewhere(self) -> tuple[int, int] | None:
        """(done, of how many) of a pass of another process that is under way; None for none, or a small one."""
        try:
            with FileLock(self._path, make=False) as lock:
                if lock.try_take(shared=True):
                    return None
                mark, done, of = self._path.read_text().split()
                return (int(done), int(of)) if mark != self._mark and int(of) > 1 else None
        except (OSError, ValueError):
            return None

    def _write(self, text: str) -> None:
        with suppress(OSError):
            if text or self._path.stat().st_size:
                file = os.open(self._path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
                try:
                    os.write(file, text.encode())
                finally:
                    os.close(file)
