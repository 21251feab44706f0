"""Files that only the account of the panel may read: they hold secrets, names and passwords' hashes.

Each file is made with its rights; what is made by others' code (SQLite's own files, a shell's redirection) is
covered by the umask of every program of ours.
"""

from __future__ import annotations

import os
from pathlib import Path


def use_umask() -> None:
    """For every program of ours, first of all: what it makes is nobody else's, unless it says so."""
    os.umask(0o077)


def opener(path: str, flags: int) -> int:
    """For open(…, opener=opener): a file that is made is mode 0600."""
    return os.open(path, flags, 0o600)


def close_file(path: Path) -> None:
    """Nobody else reads it from now on; its owner's rights stay as they are. Nothing where there is none. Raises
    OSError."""
    try:
        # Asked first, as a disk that takes no writes refuses even the mode that it has.
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            path.chmod(mode & 0o700)
    except FileNotFoundError:
        pass
