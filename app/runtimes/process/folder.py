"""One workload's folder on disk: its files, the record of its runs, its log."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.lib import filelock, files, private
from app.lib.problem import TEXT
from app.lib.procfs import LOG, Process
from app.messages import Problem
from app.mtproto.masking import mask
from app.runtimes.base import STOPPED, RuntimeFailure

CONFIG, RECORD, OLD_LOG = "config.toml", "state.json", f"{LOG}.1"

#: What older versions noted as the reason of an end that was asked for.
_STOPPED = "stopped"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass
class Record:
    """What state.json holds: the workload as created, and what is known of its last run.

    live_files: the names of them. files: a hash of each other one that was laid out, by name; none of what an older
    version made. pid, ticks, boot: the last run's process (procfs.Process), pid 0 once its end is
    recorded. log_from: size of the log, bytes, when that run began.
    stopped: its end was asked for. code, reason: why it ended, as Problem.kept() has it; a text without a code is
    what an older version noted. The rest as in base.Workload and base.Observed.
    """

    name: str
    user_id: str
    spec: str
    engine: str
    command: list[str]
    env: dict[str, str]
    listen: str
    metrics: str
    metrics_path: str
    memory_mb: int = 0
    links: tuple[str, ...] = ()
    live_files: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    ticks: int = 0
    boot: str = ""
    started_at: float = 0.0
    log_from: int = 0
    stopped: bool = False
    exited_at: float = 0.0
    crashes: int = 0
    code: str = TEXT
    reason: str = ""

    @property
    def why(self) -> Problem | None:
        """As in Observed.reason."""
        if self.code == TEXT and self.reason == _STOPPED:
            return STOPPED
        return Problem.loaded(self.code, self.reason) if self.reason else None

    @why.setter
    def why(self, problem: Problem | None) -> None:
        self.code, self.reason = (problem.code, problem.kept()) if problem else (TEXT, "")

    @property
    def process(self) -> Process | None:
        """The last run, alive or not, unless its end is recorded."""
        return Process(self.pid, self.ticks, self.boot) if self.pid else None


_RECORD = TypeAdapter(Record)


def hashed(content: bytes) -> str:
    """What Record.files has of a file with this content."""
    return hashlib.sha256(content).hexdigest()[:16]


def valid_name(name: str) -> bool:
    """Whether it may name a workload or one of its files: never a path, never hidden."""
    return bool(_NAME.fullmatch(name))


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock of all records below `root`, against threads and processes alike.

    Held for milliseconds only: to read a record, act on it and write it.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with filelock.locked(root / ".lock"):
        yield


@dataclass(frozen=True)
class Folder:
    """root/<name>. A folder without a readable record is not there for its users,
    so the record is written last and deleted first."""

    root: Path
    name: str

    def __post_init__(self) -> None:
        if not valid_name(self.name):
            raise RuntimeFailure("runtime.workload_name", name=self.name)

    @property
    def path(self) -> Path:
        return self.root / self.name

    @property
    def config(self) -> Path:
        return self.path / CONFIG

    @property
    def log(self) -> Path:
        return self.path / LOG

    def read(self) -> Record | None:
        """The record; None if there is none or it is damaged. RuntimeFailure if it may not be read."""
        try:
            record = _RECORD.validate_json((self.path / RECORD).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        except OSError as error:
            raise RuntimeFailure("runtime.record_unreadable", name=self.name, reason=str(error)) from error
        return record if record.name == self.name else None  # a copy made by hand is no workload

    def write(self, record: Record) -> None:
        """Replace the record in one step. OSError if the disk does not take it."""
        self.put(RECORD, _RECORD.dump_json(record, indent=1).decode() + "\n")

    def put(self, name: str, text: str) -> None:
        """Replace one file in one step, mode 0600: a reader sees the old text or the new.

        Without fsync: after a power cut everything here is made again from the declaration.
        """
        files.put(self.path / name, text.encode(), sync=False)

    def held(self, names: Iterable[str]) -> dict[str, str]:
        """What these files hold; one that is missing or is no text is left out."""
        found = {}
        for name in names:
            with suppress(FileNotFoundError, UnicodeDecodeError):
                found[name] = (self.path / name).read_text(encoding="utf-8")
        return found

    def is_whole(self, record: Record) -> bool:
        """Whether the files that it was made with are there, and hold what they held then."""
        return all(self._hash(name) == expected for name, expected in record.files.items())

    def _hash(self, name: str) -> str:
        try:
            return hashed((self.path / name).read_bytes())
        except OSError:
            return ""

    def clear(self) -> None:
        """Delete everything in it, the record first."""
        (self.path / RECORD).unlink(missing_ok=True)
        if self.path.exists():
            shutil.rmtree(self.path)

    def renew(self, keeps: Collection[str]) -> None:
        """The folder as a new workload finds it: empty, but for these files, which outlive a replacement."""
        (self.path / RECORD).unlink(missing_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        for entry in os.scandir(self.path):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry)
            elif entry.name not in keeps:
                os.unlink(entry)

    def open_log(self) -> int:
        """A descriptor that appends to the log, whoever else does."""
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def log_size(self) -> int:
        """Bytes; 0 if there is no log."""
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0

    def last_line(self, since: int) -> str:
        """The last line logged after byte `since`; "" if there is none."""
        lines = [line for line in self.last_lines(since).splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""

    def last_lines(self, since: int) -> str:
        """Some of the last lines logged after byte `since`: enough for a traceback's reason."""
        if self.log_size() < since:
            since = 0  # rotated in the meantime
        return "\n".join(_tail(self.log, 20, since))

    def tail(self, count: int) -> str:
        """The last `count` lines, oldest first, the rotated log included."""
        lines = _tail(self.log, count)
        if len(lines) < count:
            lines = _tail(self.path / OLD_LOG, count - len(lines)) + lines
        return "".join(f"{line}\n" for line in lines)

    def rotate(self) -> None:
        """Copy the log to proxy.log.1 and empty it: the program keeps its open file.

        Lost is what the program writes between the last look and the emptying, some
        microseconds.
        """
        beside = self.path / f".{OLD_LOG}.new"
        with open(self.log, "rb+", buffering=0) as log, open(beside, "wb", opener=private.opener) as copy:
            while chunk := log.read(1 << 20):
                copy.write(chunk)
            log.truncate(0)
        os.replace(beside, self.path / OLD_LOG)


def _tail(path: Path, count: int, since: int = 0) -> list[str]:
    """The last `count` lines after byte `since`, their secrets hidden, read from the end in growing blocks."""
    if count <= 0:
        return []
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return []
    with file:
        end = file.seek(0, os.SEEK_END)
        size = 8192
        while True:
            begin = max(since, end - size)
            file.seek(begin)
            lines = file.read(end - begin).decode(errors="replace").splitlines()
            if begin == since or len(lines) > count:  # one more, as the first is most likely cut
                return [mask(line) for line in lines[-count:]]
            size *= 4
