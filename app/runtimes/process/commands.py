"""The command of a workload: with the paths of its folder, wherever that is moved, and how it is begun."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from app.runtimes.base import RuntimeFailure
from app.runtimes.process.folder import CONFIG, Folder, Record

_REPOSITORY = Path(__file__).resolve().parents[3]


def made(folder: Folder, command: Iterable[str]) -> list[str]:
    """The command of a workload that is laid out in this folder."""
    return [part.replace("{config}", str(folder.config)).replace("{folder}", str(folder.path)) for part in command]


def now(folder: Folder, record: Record) -> list[str]:
    """The recorded command with the folder and its config file where they are now: it may have been moved."""
    paths = {f"/{record.name}/{CONFIG}": folder.config, f"/{record.name}": folder.path}
    return [next((str(path) for end, path in paths.items() if part.startswith("/") and part.endswith(end)), part)
            for part in record.command]


def begin(folder: Folder, record: Record) -> subprocess.Popen[bytes]:
    """The program, which writes to its log and outlives this one. Raises RuntimeFailure."""
    environment = {**os.environ, **record.env, "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(_REPOSITORY), environment.get("PYTHONPATH")]))
    output = folder.open_log()
    try:
        return subprocess.Popen(
            now(folder, record), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=_REPOSITORY,
            env=environment, close_fds=True, start_new_session=True)
    except OSError as error:
        raise RuntimeFailure("runtime.program", name=record.name, program=record.command[0],
                             reason=error.strerror) from error
    finally:
        os.close(output)
