"""Backups by schedule: when one is due, which of them are kept, and what stands in the way."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from app.config.model import Config
from app.control.outcome import BACKUPS
from app.control.system import System
from app.host import archive
from app.host.archive import ArchiveError
from app.lib.backoff import pause
from app.lib.clock import STEADY, Clock
from app.lib.zone import server_zone
from app.messages import Problem

#: The hour of the server's clock from which on the day's backup is due: most people sleep.
HOUR = 3
#: Bytes that a backup leaves free on the disk: the ledger and the declaration need some to go on.
RESERVE = 100 * 1000**2

_FOLDER = "backups"
#: Those by schedule, and those from before a restore. The time is UTC, so that no change of a zone sorts them anew.
_NAME = re.compile(r"(mtproto|before-restore)-(\d{8}T\d{6})Z\.tar\.gz(\.age)?", re.ASCII)
_STAMP = "%Y%m%dT%H%M%S"
#: Seconds until what failed is tried again, and the age of what a process that was killed has left.
_AGAIN, _LONGEST, _LEFT = 600.0, 6 * 3600.0, 86400.0


@dataclass(frozen=True)
class BackupFile:
    """A backup on this server. made_at: UTC, as its name says. scheduled: by itself, not before a restore."""

    path: Path
    made_at: datetime
    bytes: int
    encrypted: bool
    scheduled: bool

    @property
    def name(self) -> str:
        return self.path.name


def listed(data_dir: Path) -> list[BackupFile]:
    """The backups in the data folder, newest first."""
    found = []
    for path in (data_dir / _FOLDER).glob("*.tar.gz*"):
        match = _NAME.fullmatch(path.name)
        with suppress(OSError, ValueError):  # it was removed meanwhile, or is named by no date
            if match and path.is_file() and not path.is_symlink():
                made_at = datetime.strptime(match[2], _STAMP).replace(tzinfo=timezone.utc)
                found.append(BackupFile(path, made_at, path.stat().st_size, bool(match[3]), match[1] == "mtproto"))
    return sorted(found, key=lambda file: (file.made_at, file.name), reverse=True)


def forget_oldest(data_dir: Path, keep: int, newest: Path) -> None:
    """Remove the oldest of those from before a restore. newest: stays, whatever the clock says of the others."""
    others = [file for file in listed(data_dir) if not file.scheduled and file.path != newest]
    for file in others[keep - 1:]:
        with suppress(OSError):  # the next one tries again
            file.path.unlink()


def due_since(schedule: str, now: datetime) -> datetime:
    """The last moment up to `now` at which a backup was due; now: in the server's zone."""
    day = now.replace(hour=HOUR, minute=0, second=0, microsecond=0, fold=0)
    if now.timestamp() < day.timestamp():
        day -= timedelta(days=1)
    return day - timedelta(days=day.weekday()) if schedule == "weekly" else day


class BackupSchedule:
    """What the monitor looks at in each round, in a thread of its own: a large ledger takes a while to copy."""

    def __init__(self, system: System, steady: Clock = STEADY,
                 now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
        self._system, self._steady, self._now = system, steady, now
        self._failures, self._rest_until = 0, float("-inf")
        self._told: Problem | None = None
        self._known = False

    def look(self) -> None:
        """Make a backup if one is due. What stands in the way is a problem of the whole until one is made."""
        system, config = self._system, self._system.declaration.last_good()
        if config.backup_schedule == "off":
            self._note(None)
        # Of a declaration that can't be read, the backups from before are the ones to keep.
        elif self._is_due(config) and self._steady() >= self._rest_until and not system.declaration.problems():
            try:
                self._make(config)
            except ArchiveError as error:
                self._failures += 1
                self._rest_until = self._steady() + pause(self._failures, _AGAIN, _LONGEST)
                self._note(Problem("backup.auto_failed", {"reason": error.problem}))
            else:
                self._failures = 0
                self._note(None)

    def _is_due(self, config: Config) -> bool:
        now = self._now()
        since = due_since(config.backup_schedule, now.astimezone(server_zone()))
        # One from the future was made by a clock that was wrong, and says nothing about today.
        return not any(file.scheduled and since <= file.made_at <= now for file in listed(self._system.data_dir))

    def _make(self, config: Config) -> None:
        data_dir, now = self._system.data_dir, self._now().astimezone(timezone.utc)
        folder = data_dir / _FOLDER
        ending = ".tar.gz.age" if config.backup_recipient else ".tar.gz"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            _clear_leftovers(data_dir)
            free, needed = shutil.disk_usage(folder).free, 2 * archive.size(data_dir) + RESERVE
        except OSError as error:
            raise ArchiveError("backup.failed", path=str(folder), reason=error.strerror or str(error)) from None
        if free < needed:
            raise ArchiveError("backup.no_space", needed=round(needed / 1000**2), free=round(free / 1000**2))
        archive.pack(data_dir, folder / f"mtproto-{now:{_STAMP}}Z{ending}", recipient=config.backup_recipient,
                     first_password=False)
        # Those from the future go first: they are older than they say.
        kept = sorted((file for file in listed(data_dir) if file.scheduled),
                      key=lambda file: (file.made_at <= now, file.made_at), reverse=True)
        for file in kept[config.backup_keep:]:
            with suppress(OSError):  # the next one tries again
                file.path.unlink()

    def _note(self, reason: Problem | None) -> None:
        if self._known and reason == self._told:
            return
        ledger = self._system.ledger
        with ledger.database.best_effort("a problem of the backups"):
            if reason and ledger.workloads.set_problem(BACKUPS, reason):
                ledger.events.record("panel", "backup.not_made", "", reason)
            elif not reason:
                ledger.workloads.clear_problem(BACKUPS)
            self._told, self._known = reason, True


def _clear_leftovers(data_dir: Path) -> None:
    """What a process that was killed has left: half a backup, and the copies that it was made of."""
    old = time.time() - _LEFT
    for path in (data_dir / _FOLDER).glob(".mtproto-*.new"):
        path.unlink(missing_ok=True)
    for path in data_dir.glob(".backup-*"):
        if path.lstat().st_mtime < old:
            shutil.rmtree(path, ignore_errors=True)
