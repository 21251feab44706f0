"""The data folder: it is for the panel's account alone, and what stands in the way of that account."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from app.commands import in_compose
from app.lib.private import close_file
from app.messages import Problem

#: What a data folder holds. One that holds anything else is somebody's folder with other uses, too.
_OURS = ("backups", "certificates", "config.", "host.json", "monitor.lock", "nginx", "panel.", "proxies",
         "reconcile.lock", "sample.lock", "traefik", "traffic.json", "transfer", "update.")


def close_folder(folder: Path) -> None:
    """Nobody else looks into a data folder that was there before, from an older version or made by hand, nor into
    its files. Left alone are a folder of another account, and one that holds anything else. Raises OSError.
    """
    there = folder.stat()
    if there.st_uid != os.geteuid():
        return
    ours = [folder / name for name in os.listdir(folder) if name.lstrip(".").startswith(_OURS)]
    for path in ours:
        if path.is_file() and not path.is_symlink():
            close_file(path)
    if there.st_mode & 0o077 and len(ours) == len(os.listdir(folder)):
        folder.chmod(0o700)


def owner_problem(folder: Path) -> Problem | None:
    """What to do about files of another account in a data folder, as after a command that was run as root; None
    if there are none, or if that account is no obstacle."""
    me = os.geteuid()
    if me == 0:
        return None
    try:
        foreign = sorted(path.name for path in folder.iterdir() if path.lstat().st_uid != me)
    except OSError:
        foreign = []
    if not foreign:
        return None
    return Problem("folder.owner", {
        "folder": folder, "names": foreign[:3] + (["…"] if len(foreign) > 3 else []), "account": f"{me}:{os.getegid()}",
        "there": Problem("folder.of_compose") if in_compose() else shlex.quote(str(folder))})
