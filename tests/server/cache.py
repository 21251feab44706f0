"""Where the virtual machine's disks and saved states are kept between runs, outside the repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MachineFailure(Exception):
    """A disk could not be made or a machine did not do as told; the message ends with what was said."""


def cache() -> Path:
    """Where disks and saved states are kept between runs."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "mtproto-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def one_at_a_time(name: str = "making") -> Iterator[None]:
    """Meanwhile pytest's clock for the test under way stands still: on a bare machine this takes minutes, and which
    test is the first to need it is not its fault."""
    left, again = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        with (cache() / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, again)


def command(*words: str, timeout: float = 1800, **options: object) -> str:
    """The standard output of a command of this machine. Raises MachineFailure."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **options)
    if done.returncode:
        said = done.stdout[-2000:] + done.stderr[-2000:]
        raise MachineFailure(f"{' '.join(words[:8])}: exit code {done.returncode}\n{said}")
    return done.stdout


def kept(kind: str, seen: str, keep: int = 2) -> tuple[Path, bool]:
    """The folder for something of that kind made from `seen`, and whether it is complete. Older ones are removed:
    of each kind, `keep` stay."""
    folder = cache() / f"{kind}-{hashlib.sha256(seen.encode()).hexdigest()[:16]}"
    complete = (folder / "complete").exists()
    if complete:
        os.utime(folder / "complete")
    else:
        shutil.rmtree(folder, ignore_errors=True)
        others = sorted((p for p in cache().glob(f"{kind}-*") if p.is_dir()),
                        key=lambda p: (p / "complete").stat().st_mtime if (p / "complete").exists() else 0)
        for old in others[:max(0, len(others) - keep + 1)]:
            shutil.rmtree(old)
        folder.mkdir()
    return folder, complete


def complete(folder: Path) -> Path:
    (folder / "complete").touch()
    return folder
