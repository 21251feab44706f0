"""Updates of the whole installation: what the host has told of them, and asking it for one.

update.sh writes data/update.json where it may (--panel on), and a unit of systemd waits for data/update.wanted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from app.control.errors import Refused, refusing
from app.ledger.ledger import Ledger
from app.lib import files

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


def ask(data_dir: Path, ledger: Ledger, actor: str) -> Updates:
    """Ask the host for the newest release. Refused where nobody waits for that, or nothing is new."""
    now = told(data_dir)
    if now is None:
        raise Refused("This server does not take updates from the panel. On the server: mtproto update --panel on")
    if not now.available:
        raise Refused(f"{now.installed} is the newest release.")
    with refusing():
        files.put(data_dir / WANTED, now.newest.encode())
    ledger.events.record(actor, "update asked for", "", f"from {now.installed} to {now.newest}")
    return now
