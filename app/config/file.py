"""data/config.json: the one door through which the declaration is read and written."""

from __future__ import annotations

import errno
import json
import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from app.commands import shell_command
from app.config import data_folder, model, older
from app.config.json_text import NotJson, parse
from app.config.model import Config, InvalidConfig
from app.config.passwords import hash_password, new_password
from app.lib.filelock import FileLock
from app.lib.files import put, sync_folder
from app.messages import Problem
from app.messages.errors import Coded

KEPT_BACKUPS = 10
#: Both names are read.
INITIAL_PASSWORD = ("_initial_password", "initial_password")

log = logging.getLogger(__name__)


class ConfigError(Coded):
    """The declaration can't be read or saved. It says for people: the file,
    what is wrong with it, what is allowed, what was kept."""


class ConfigFile:
    """One data folder's config.json, shared by every process that knows the folder.

    Reading takes no lock: the file is only ever replaced whole. Writing takes an
    exclusive flock on `config.lock`, so two writers never lose each other's edit.
    """

    def __init__(self, data_dir: Path | str):
        self.data_dir = Path(data_dir)
        self.path = self.data_dir / "config.json"
        self.backups = self.data_dir / "backups"
        self._seen: tuple[tuple[int, int, int], Config] | None = None

    def read(self) -> Config:
        """The current declaration, for reading only. Raises ConfigError.

        Parsed again only when the file has changed. A user who was written into
        the file by hand without an id or a port gets them now, for good, and a file
        of an older version becomes one of this version.
        """
        stamp = self._stamp()
        if self._seen and self._seen[0] == stamp:
            return self._seen[1]
        raw = self._bytes()
        config = self._parse(raw)
        if self._unfinished(raw, config):
            with self.edit() as config:
                pass
            stamp = self._stamp()
        self._seen = (stamp, config)
        return config

    @contextmanager
    def edit(self) -> Iterator[Config]:
        """Change the declaration: yields a fresh copy, saved when the block ends without an error.

        Raises ConfigError when the file is not readable or not valid (a broken
        hand edit is never overwritten), when the result breaks a rule, or when
        it can't be saved; the file then stays as it was.
        """
        with self._lock():
            before = self._bytes()
            config = self._parse(before)
            yield config
            self._save(config, before)

    def replace(self, before: Config, after: Config) -> bool:
        """Save `after` if the file still says what `before` says; False, and nothing is saved, if it does not.

        For changes whose checks take time, and must not hold up everybody else's. Raises ConfigError.
        """
        with self._lock():
            raw = self._bytes()
            if self._parse(raw) != before:
                return False
            self._save(after, raw)
            return True

    def prepare(self) -> None:
        """Make the file at the first start, and fill in what an older installation's file lacks.

        Safe to repeat. A lost file is not replaced by an empty one while backups
        exist: that would take every user's proxy away.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError("config.folder", path=self.data_dir, reason=error.strerror) from None
        with suppress(OSError):  # a disk that takes no writes keeps its rights
            data_folder.close_folder(self.data_dir)
        if self.path.exists():
            config = self.read()
            if config.secret_key and config.admin_password_hash:
                if config.initial_password is None:
                    self._scrub_what_older_versions_left()
                return
        with self._lock():
            before = self._bytes() if self.path.exists() else b""
            if not before and (last := self.last_good_backup()):
                raise ConfigError("config.lost", path=self.path, command=shell_command("cp", last, self.path),
                                  backups=self.backups)
            # Only a new installation is led through its first run; an older file says nothing of one.
            config = self._parse(before) if before else Config(first_run=True)
            config.secret_key = config.secret_key or secrets.token_hex(32)
            if not config.admin_password_hash:
                config.initial_password = new_password()
                config.admin_password_hash = hash_password(config.initial_password)
            self._save(config, before)

    def check(self) -> list[Problem]:
        """What a person should know of a file that is valid: what was left out, what is odd, and fields
        that are kept but have no effect.

        Raises ConfigError for a file that is not.
        """
        config = self.read()
        notes = config.problems() + config.notes()
        notes += [Problem("config.unknown_kept", {"field": key}) for key in config.model_extra or {}]
        for user in config.users:
            notes += [Problem("config.user_unknown_kept", {"name": user.name, "field": key})
                      for key in user.model_extra or {}]
        return notes

    def last_good_backup(self) -> Path | None:
        """The newest backup that loads, if there is one."""
        for path in sorted(self.backups.glob("config-*.json"), reverse=True):
            try:
                model.load(parse(path.read_bytes()))
            except (OSError, ValueError):
                continue
            return path
        return None

    def _stamp(self) -> tuple[int, int, int]:
        try:
            stat = self.path.stat()
        except OSError as error:
            raise self._unreadable(error) from None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> ConfigError:
        return ConfigError("config.unreadable", path=self.path, reason=error.strerror,
                           more=self._advice() + self._owner(error))

    def _parse(self, raw: bytes) -> Config:
        try:
            data = parse(raw)
            return model.load(data, forgiving=self._first_seen(data))
        except (NotJson, InvalidConfig) as error:
            problems = error.problems
        raise ConfigError("config.invalid", path=self.path, problems=problems,
                          more=[Problem("unchanged"), *self._advice()])

    def _first_seen(self, data: Any) -> bool:
        """Whether this version has never saved the file (parsed): it writes all fields, and keeps a backup."""
        return isinstance(data, dict) and "runtime" not in data and not any(self.backups.glob("config-*.json"))

    def _unfinished(self, raw: bytes, config: Config) -> bool:
        """Whether something of this valid file, which was read as `config`, is made up at each reading, until it is
        saved."""
        data = parse(raw)
        return self._first_seen(data) or any(
            told.get("port") is None or older.lacks_id(told)
            or user.mtproxy_container != told.get("mtproxy_container", 0)
            for told, user in zip(data.get("users") or [], config.users))

    def _advice(self) -> list[Problem]:
        last = self.last_good_backup()
        return [Problem("config.last_good", {"path": last})] if last else []

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            lock = FileLock(self.data_dir / "config.lock")
        except OSError as error:
            raise self._unsaved(error) from None
        with lock:
            lock.take()
            yield

    def _save(self, config: Config, before: bytes) -> None:
        """Validate once more, keep a copy of both versions, and replace the file in one step."""
        try:
            data = model.dump(model.load(model.dump(config)))
        except InvalidConfig as error:
            raise ConfigError.of([*error.problems, Problem("unchanged")]) from None
        raw = json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n"
        if raw == before:
            return
        try:
            self.backups.mkdir(mode=0o700, exist_ok=True)
            for leftover in self.data_dir.glob(".*.tmp"):  # of a writer that was killed
                leftover.unlink(missing_ok=True)
            if before:
                self._back_up(before)
            self._back_up(raw)
            self._replace(self.path, raw)
        except OSError as error:
            raise self._unsaved(error) from None
        if config.initial_password is None:
            self._scrub()

    def _scrub(self) -> None:
        """Take the first password, which is no longer in the file, out of the backups too. They load as before: the
        hash of the password stays. What can't be done now is tried again by the next edit."""
        for path in filter(_holds_initial_password, self._backups()):
            try:
                self._replace(path, without_initial_password(path.read_bytes()))
            except OSError as error:
                log.warning("the first password could not be taken out of %s: %s", path, error.strerror)
            except (ValueError, RecursionError):
                log.warning("the first password could not be taken out of %s, which is not JSON; remove that file",
                            path)

    def _scrub_what_older_versions_left(self) -> None:
        if not any(map(_holds_initial_password, self._backups())):
            return
        try:
            with self._lock():
                self._scrub()
        except ConfigError as error:  # a folder that takes no writes can be read all the same
            log.warning("the first password is still in %s: %s", self.backups, error)

    def _backups(self) -> list[Path]:
        return sorted(self.backups.glob("config-*.json"))

    def _unsaved(self, error: OSError) -> ConfigError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return ConfigError("config.unsaved", path=self.path, reason=Problem("disk.full") if full else error.strerror,
                           more=[Problem("unchanged"), *self._owner(error)])

    def _owner(self, error: OSError) -> list[Problem]:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        return [found] if denied and (found := data_folder.owner_problem(self.data_dir)) else []

    def _back_up(self, raw: bytes) -> None:
        kept = sorted(self.backups.glob("config-*.json"))
        if kept and kept[-1].read_bytes() == raw:
            return
        moment = time.time_ns()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(moment // 10**9))
        self._replace(self.backups / f"config-{stamp}.{moment % 10**9:09d}Z.json", raw)
        for old in kept[:max(0, len(kept) + 1 - KEPT_BACKUPS)]:
            old.unlink(missing_ok=True)

    def _replace(self, path: Path, raw: bytes) -> None:
        """Write `raw` to `path` so that a crash at any instant leaves the old file or the new one."""
        put(path, raw, beside=self.data_dir / f".{path.name}.tmp")
        sync_folder(path.parent)


def _holds_initial_password(path: Path) -> bool:
    try:
        return b'initial_password"' in path.read_bytes()
    except OSError:
        return False


def without_initial_password(raw: bytes) -> bytes:
    """A version of the file without the first password. Raises ValueError for what is no JSON object."""
    data = json.loads(raw)
    if not isinstance(data, dict):
        raise ValueError  # not an object
    for name in INITIAL_PASSWORD:
        data.pop(name, None)
    return json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n"
