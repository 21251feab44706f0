"""Commands as people can type them on this installation: every hint that names one is made here."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

#: The panel's folder: where its commands are called.
FOLDER = Path(__file__).resolve().parents[1]
#: The data folder of a command that names none, called there.
DATA = FOLDER / "data"

_MODULE = ("-m", "app.cli")
#: The same in the panel's container of docker-compose.yml; where install.sh has put a command on the server,
#: MTPROTO_COMMAND names that ("mtproto").
IN_COMPOSE = "docker compose exec app python3 -m app.cli"


def command_line(data_dir: Path | str, words: str = "", anywhere: bool = False) -> str:
    """How the command line is called for this data folder: ".venv/bin/python -m app.cli --data /srv/proxies".

    words: what follows, as it is typed. anywhere: for readers whose current folder is not known, as those of a
    page; else it is this process's. What is the same as without it is left out: the panel's folder where it is
    the current one, that of the data where it is the usual one.
    """
    if in_compose():
        return " ".join(filter(None, (os.environ.get("MTPROTO_COMMAND") or IN_COMPOSE, words)))
    there = "" if _is_current(FOLDER) and not anywhere else f"cd {shlex.quote(str(FOLDER))} && "
    program, folder = Path(sys.executable), Path(data_dir).absolute()
    python = program.relative_to(FOLDER) if program.is_relative_to(FOLDER) else program
    data = () if folder == DATA else ("--data", shlex.quote(str(folder)))
    if (command := os.environ.get("MTPROTO_COMMAND")) and not anywhere:
        return " ".join(filter(None, (command, *data, words)))
    return there + " ".join(filter(None, (shlex.quote(str(python)), *_MODULE, *data, words)))


def host_command(words: str) -> str:
    """How root calls host/mtproto, which does what the panel can't, on the server itself."""
    return f"sudo {'mtproto' if in_compose() else shlex.quote(str(FOLDER / 'host/mtproto'))} {words}"


def shell_command(*words: Path | str) -> str:
    """A command on the panel's own files, where they can be reached: in compose, by a container of their own, as
    the panel's may not be up."""
    command = shlex.join(map(str, words))
    if not in_compose():
        return command
    return f"{compose()} run --rm --no-deps app {command}"


def compose() -> str:
    """What begins a command of compose on this stack: install.sh's command knows which file it is made of."""
    if os.environ.get("MTPROTO_COMMAND"):
        return "mtproto compose"
    return "docker compose -f docker-compose.traefik.yml" if os.environ.get("MTPROTO_TRAEFIK") else "docker compose"


def in_compose() -> bool:
    """Whether this is the panel's container of docker-compose.yml, which alone sets MTPROTO_EDGE."""
    return "MTPROTO_EDGE" in os.environ


def _is_current(folder: Path) -> bool:
    try:
        return Path.cwd().samefile(folder)
    except OSError:  # it was removed, or moved, under us
        return False
