"""Where the programs of engines are on this machine: found once, and kept, as a folder's runtime is.

The panel and the command line are started in different environments. Were each to go by its own alone, a command
without MTG_BIN would take mtg for gone, and end everybody's proxies.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.lib import filelock, files

#: In the data folder: the path of each engine's program by the engine's name.
FILE = "programs.json"

_PATHS = TypeAdapter(dict[str, str])


def find(data_dir: Path, engine: str, variable: str) -> str | None:
    """Absolute path of an engine's program: the one that this environment variable names, else the one that was used
    last, else the one on PATH. None if there never was one.

    One that was used, and is not there now, is still told: what runs of it runs on, and what can't be started says
    why. Raises nothing where the note can't be read or written: the program is looked for again.
    """
    noted = _noted(data_dir).get(engine)
    asked = os.environ.get(variable)
    # A name that leads nowhere is no reason to take another program.
    places = [asked] if asked else [noted, engine]
    found = next((os.path.abspath(path) for path in map(shutil.which, filter(None, places)) if path), None)
    if found and found != noted:
        with suppress(OSError), filelock.locked(data_dir / f".{FILE}.lock"):
            files.put(data_dir / FILE, _PATHS.dump_json({**_noted(data_dir), engine: found}, indent=1) + b"\n")
    return found or noted


def _noted(data_dir: Path) -> dict[str, str]:
    try:
        paths = _PATHS.validate_json((data_dir / FILE).read_bytes())
    except (OSError, ValidationError):
        return {}
    return {engine: path for engine, path in paths.items() if os.path.isabs(path) and "\0" not in path}
