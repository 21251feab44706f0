"""`backup` and `restore`: one file with everything."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli import typed
from app.cli.output import paragraph
from app.cli.root import Command, Invocation

if TYPE_CHECKING:
    from app.control.system import System

#: Where a passphrase is found that nobody types.
PASSPHRASE = "MTPROTO_BACKUP_PASSPHRASE"
#: The file that is standard output, or standard input.
PIPE = Path("-")


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--encrypt", is_flag=True, help="With a passphrase, in the format of age; asked for, or read.")
@click.pass_obj
def backup(obj: Invocation, file: Path, encrypt: bool) -> None:
    """Write everything into one file.

    It holds users, settings, admins, traffic, certificates and the cover site, for `restore` on this server or
    another one. Whoever has it has everybody's links, unless it is encrypted. The passphrase is asked for, or read
    from standard input or the variable MTPROTO_BACKUP_PASSPHRASE. The file - is standard output.
    """
    from app.accounts.actor import CLI
    from app.actions.backups import back_up

    system, passphrase = obj.system(), _passphrase() if encrypt else ""
    if file == PIPE:
        _pour(system, lambda path: back_up(system, CLI, path, passphrase))
        return
    made = back_up(system, CLI, file.absolute(), passphrase)
    size = made.stat().st_size
    obj.answer({"file": str(made), "bytes": size, "encrypted": encrypt},
               f"Everything is in {made}.\n" + ("" if encrypt else
               paragraph("Whoever has this file has everybody's links: keep it safe.")))


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--yes", is_flag=True, help="Restore it; without it, only say what would change.")
@click.pass_obj
def restore(obj: Invocation, file: Path, yes: bool) -> None:
    """Bring back what `backup` wrote, here or on another server.

    Without --yes it says what would change, and changes nothing. Addresses of this server stay as they are. What was
    here before is kept as a backup of its own. One that was encrypted for a public key asks for the secret one.
    The file - is standard input.
    """
    from app.accounts.actor import CLI
    from app.actions import backups
    from app.host.archive import is_encrypted
    from app.messages import sentence

    system = obj.system()
    with _poured(system) if file == PIPE else nullcontext(file.absolute()) as path:
        passphrase = _passphrase(file != PIPE, confirm=False) if is_encrypted(path) else ""
        act = backups.restore if yes else backups.look
        told = [sentence(problem) for problem in act(system, CLI, path, passphrase)]
    head = "The backup is restored." if yes else "This would change; nothing was changed. To restore it, add --yes."
    obj.answer({"restored": yes, "differences": told}, "\n".join([head, *(paragraph(f"- {line}") for line in told)]))


@click.command(cls=Command)
@click.pass_obj
def backups(obj: Invocation) -> None:
    """List the backups that are on this server.

    Those that the panel makes by itself, as the setting backup_schedule says, and those from before a restore.
    """
    from app.control.backups import listed
    from app.lib.zone import server_zone

    found = listed(obj.file().data_dir)
    lines = [f"{file.made_at.astimezone(server_zone()):%Y-%m-%d %H:%M}  {file.bytes / 1000**2:9,.1f} MB  {file.name}"
             for file in found]
    obj.answer([{"name": file.name, "made_at": file.made_at.isoformat(), "bytes": file.bytes,
                 "encrypted": file.encrypted, "scheduled": file.scheduled} for file in found],
               "\n".join([*lines, f"In {obj.data_dir / 'backups'}."] if lines else ["No backups yet."]))


def _pour(system: System, make: Callable[[Path], Path]) -> None:
    """What `make` writes, to standard output; on the disk it is for that moment, in the data folder."""
    if sys.stdout.isatty():
        raise click.UsageError("A backup is nothing for a terminal: `backup - >FILE`, or into a pipe.")
    with tempfile.TemporaryDirectory(dir=system.data_dir, prefix=".backup-") as folder:
        with open(make(Path(folder) / "mtproto.tar.gz"), "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@contextmanager
def _poured(system: System) -> Iterator[Path]:
    """A file with what comes on standard input; it is gone afterwards."""
    if sys.stdin.isatty():
        raise click.UsageError("Nothing comes on standard input: `restore - <FILE`, or from a pipe.")
    with tempfile.TemporaryDirectory(dir=system.data_dir, prefix=".backup-") as folder:
        path = Path(folder) / "standard-input"
        with open(path, "xb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def _passphrase(can_read: bool = True, confirm: bool = True) -> str:
    what = "Passphrase" if confirm else "Passphrase, or secret key of age"
    given = os.environ.get(PASSPHRASE)
    if not given and not can_read:
        raise click.UsageError(f"Standard input is the backup, so its passphrase has to be in {PASSPHRASE}.")
    given = given or typed.secret_line(what, confirm)
    if not given:
        raise click.UsageError("The passphrase is empty.")
    return given
