"""Updates of the whole installation: what the host has told of them, and asking it for one.

update.sh writes data/update.json where it may (--panel on), and a unit of systemd waits for data/update.wanted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from app.accounts.actor import Actor, Right
from app.control.errors import Refused, refusing
from app.control.system import System
from app.lib import files
from app.messages import Problem

TOLD, WANTED = "update.json", "update.wanted"


@dataclass(frozen=True)
class Updates:
    """installed, newest: versions. at: Unix seconds of the last look. result: how the last update ended, "" if none
    was made since. asked: whether one is asked for, and not finished."""

    installed: str
    newest: str
    at: float
    result: str
    asked: bool

    @property
    def available(self) -> bool:
        return bool(self.newest) and self.newest != self.installed


def told(data_dir: Path) -> Updates | None:
    """What the host has told last; None where it tells nothing, so that nobody there waits for a request."""
    try:
        said = json.loads((data_dir / TOLD).read_bytes())
        return Updates(str(said["installed"]), str(said["newest"]), float(said["at"]), str(said["result"]),
                       (data_dir / WANTED).exists())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ask(system: System, actor: Actor) -> Updates:
    """Ask the host for the newest release. Refused where nobody waits for that, or nothing is new."""
    actor.require(Right.SUDO)
    now = told(system.data_dir)
    if now is None:
        raise Refused("update.off")
    if not now.available:
        raise Refused("update.newest", version=now.installed)
    with refusing():
        files.put(system.data_dir / WANTED, now.newest.encode())
    system.ledger.events.record(str(actor), "update.requested", "",
                                Problem("event.versions", {"installed": now.installed, "newest": now.newest}))
    return now
