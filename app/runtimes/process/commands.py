"""The command of a workload: with the paths of its folder, wherever that is moved."""

from __future__ import annotations

from collections.abc import Iterable

from app.runtimes.process.folder import CONFIG, Folder, Record


def made(folder: Folder, command: Iterable[str]) -> list[str]:
    """The command of a workload that is laid out in this folder."""
    return [part.replace("{config}", str(folder.config)).replace("{folder}", str(folder.path)) for part in command]


def now(folder: Folder, record: Record) -> list[str]:
    """The recorded command with the folder and its config file where they are now: it may have been moved."""
    paths = {f"/{record.name}/{CONFIG}": folder.config, f"/{record.name}": folder.path}
    return [next((str(path) for end, path in paths.items() if part.startswith("/") and part.endswith(end)), part)
            for part in record.command]
