"""What is done with backups: made, looked at, brought back."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from app.accounts import tokens
from app.accounts.actor import Actor, Right
from app.config import model
from app.config.json_text import NotJson, parse
from app.config.model import Config, InvalidConfig
from app.control import backups as schedule
from app.control import passes
from app.control.errors import after_saving, refusing
from app.control.system import System
from app.host import archive
from app.host.archive import CONFIG, LEDGER, ArchiveError, Contents
from app.ledger.ledger import Ledger
from app.ledger.migrations import STEPS
from app.lib.files import put
from app.messages import Problem
from app.messages.refused import Refused

#: What belongs to the server, and not to the people: it stays as it is here.
OF_THE_SERVER = ("server_ip", "panel_by_address", "panel_path", "proxy_bind", "runtime", "secret_key")
#: Of what was here before a restore, the newest so many stay.
KEPT_BEFORE_RESTORE = 10
#: Those of which nobody need read.
_SILENT = ("secret_key", "panel_by_address", "panel_path")
#: What the ledger keeps of a moment: who is logged in, what has failed, what is in force.
_OF_THE_MOMENT = ("sessions", "attempts", "problems", "throttles", "slow", "device_limits", "idempotency_keys")


def back_up(system: System, actor: Actor, path: Path, passphrase: str = "") -> Path:
    """Write everything that makes this installation into one file, mode 0600. Raises Refused; see archive.pack."""
    actor.require(Right.SUDO)
    archive.pack(system.data_dir, path, passphrase)
    system.ledger.events.record(str(actor), "backup.made", "", path.name)
    return path


def fetch(system: System, actor: Actor, name: str) -> Path:
    """Where the backup of this name lies, which somebody takes away. Raises Refused if there is none."""
    actor.require(Right.SUDO)
    for file in schedule.listed(system.data_dir):
        if file.name == name:
            system.ledger.events.record(str(actor), "backup.downloaded", "", name)
            return file.path
    raise Refused("backup.unknown", name=name)


def look(system: System, actor: Actor, path: Path, passphrase: str = "") -> list[Problem]:
    """What restore() would change, and what people will notice of it. Raises Refused."""
    actor.require(Right.SUDO)
    with archive.unpacked(path, system.data_dir, passphrase) as contents:
        return _differences(system, system.declaration.last_good(), *_read(contents, path))


def restore(system: System, actor: Actor, path: Path, passphrase: str = "") -> list[Problem]:
    """Let this installation be what the backup holds, but for what belongs to the server; returns what differs.

    What was here is kept as a backup of its own, in backups/. May be repeated: what was ended in the middle is finished
    by the next one. Raises Refused, and then nothing was changed.
    """
    actor.require(Right.SUDO)
    with archive.unpacked(path, system.data_dir, passphrase) as contents:
        there = _read(contents, path)[0]
        _prepare_ledger(contents, path)
        kept = system.data_dir / "backups" / f"before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"
        archive.pack(system.data_dir, kept)
        schedule.forget_oldest(system.data_dir, KEPT_BEFORE_RESTORE, kept)
        with refusing():
            # The measurements first: if somebody holds panel.db all the time, nothing was changed.
            _bring_back(system, contents)
            here, merged = _declare(system, there)
        told = _differences(system, here, there, merged)
        with after_saving(Problem("saved.backup")):
            system.ledger.events.record(str(actor), "backup.restored", "",
                                        Problem("event.backup", {"file": path.name, "made_at": contents.made_at}))
            passes.attempt(lambda: passes.reconcile(system))
        return [*told, Problem("restore.before", {"path": str(kept)})]


def _read(contents: Contents, path: Path) -> tuple[Config, Config | None]:
    try:
        return model.load(parse(contents.bytes_of(CONFIG)), forgiving=True), None
    except (NotJson, InvalidConfig) as error:
        raise ArchiveError("restore.invalid", path=str(path), problems=error.problems) from None


def _merged(here: Config, there: Config) -> Config:
    return there.model_copy(update={field: getattr(here, field) for field in OF_THE_SERVER}, deep=True)


def _declare(system: System, there: Config) -> tuple[Config, Config]:
    """Save the backup's declaration; somebody may save meanwhile. Returns what stood there, and what does now."""
    while True:
        here = system.file.read()
        merged = _merged(here, there)
        if system.file.replace(here, merged):
            return here, merged


def _prepare_ledger(contents: Contents, path: Path) -> None:
    """The backup's measurements as this version has them, without what was true of a moment only."""
    if LEDGER not in contents.names:
        return
    copy = contents.folder / LEDGER
    try:
        with closing(sqlite3.connect(copy)) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] > len(STEPS):
                raise ArchiveError("restore.ledger_newer", path=str(path), version=contents.version)
            db.execute("PRAGMA quick_check")
        with Ledger(contents.folder).database.transaction() as db:
            for table in _OF_THE_MOMENT:
                db.execute(f"DELETE FROM {table}")
    except sqlite3.DatabaseError as error:
        raise ArchiveError("backup.unreadable", path=str(path), reason=str(error)) from None


def _bring_back(system: System, contents: Contents) -> None:
    if LEDGER in contents.names:
        # By SQLite itself, into the file that this panel has open: a file in its place would end its locks.
        archive.copy_database(contents.folder / LEDGER, system.data_dir / LEDGER)
    for name in contents.names:
        if name not in (CONFIG, LEDGER):
            target = system.data_dir / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            put(target, contents.bytes_of(name), mode=0o644 if name.startswith("nginx/") else 0o600)


def _differences(system: System, here: Config, there: Config, merged: Config | None = None) -> list[Problem]:
    """For people: what comes, what goes, what stays as it is on this server, and whose link will not work."""
    merged = merged or _merged(here, there)
    ids = {user.id for user in there.users}
    lost = [user.name for user in here.users if user.id not in ids]
    told = [Problem("restore.users", {"there": len(there.users), "here": len(here.users)})]
    if lost:
        told.append(Problem("restore.lost", {"names": lost}))
    if back := tokens.came_back(here, there):
        told.append(back)
    told += [Problem("restore.kept", {"field": field, "value": getattr(here, field), "other": getattr(there, field)})
             for field in OF_THE_SERVER
             if field not in _SILENT and getattr(here, field) != getattr(there, field) and getattr(there, field)]
    if not merged.port_443_mode:
        ours = {user.port for user in here.users}
        for user in merged.users:
            if user.port not in ours and (why := system.runtime.port_taken(user.port, merged.proxy_bind)):
                told.append(Problem("restore.port_taken", {"name": user.name, "port": user.port, "reason": why}))
    if merged.users:
        told.append(Problem("restore.name_leads", {"domain": merged.server_domain}) if merged.server_domain else
                    Problem("restore.no_name", {}))
    return told
