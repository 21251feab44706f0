"""One way to write a file of the edge: whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def put(path: Path, content: bytes, mode: int) -> None:
    """Make or replace one file in one step, whatever the umask is. Raises OSError; the old one is then still there.

    Whoever calls it holds a lock: what a writer that was killed left beside it is written over.
    """
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
