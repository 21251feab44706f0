"""Files that are written whole, or not at all: whoever reads them sees the old content or the new."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def put(path: Path, content: bytes, mode: int = 0o600, *, sync: bool = True, beside: Path | None = None) -> None:
    """Make or replace one file in one step. Raises OSError; the old one is then still there.

    mode: its rights, whatever the umask is. sync: whether it outlives a power cut at any instant, as the old or the
    new one. beside: the name that it has until it is complete, ".NAME.new" if not given, on the same file system.
    Whoever calls it holds a lock: what a writer that was killed left there is written over.
    """
    beside = beside or path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            if mode != 0o600:  # the rights that it was made with: some file systems know no others
                os.fchmod(file.fileno(), mode)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Let names that were made or replaced in it outlive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
