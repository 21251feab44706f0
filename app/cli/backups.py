"""`backup` and `restore`: one file with everything."""

from __future__ import annotations

import os
from pathlib import Path

import click

from app.cli import typed
from app.cli.output import paragraph
from app.cli.root import Command, Invocation

#: Where a passphrase is found that nobody types.
PASSPHRASE = "MTPROTO_BACKUP_PASSPHRASE"


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--encrypt", is_flag=True, help="With a passphrase, in the format of age; asked for, or read.")
@click.pass_obj
def backup(obj: Invocation, file: Path, encrypt: bool) -> None:
    """Write everything into one file.

    It holds users, settings, admins, traffic, certificates and the cover site, for `restore` on this server or
    another one. Whoever has it has everybody's links, unless it is encrypted. The passphrase is asked for, or read
    from standard input or the variable MTPROTO_BACKUP_PASSPHRASE.
    """
    from app.accounts.actor import CLI
    from app.actions.backups import back_up

    made = back_up(obj.system(), CLI, file.absolute(), _passphrase() if encrypt else "")
    size = made.stat().st_size
    obj.answer({"file": str(made), "bytes": size, "encrypted": encrypt},
               f"Everything is in {made}.\n" + ("" if encrypt else
               paragraph("Whoever has this file has everybody's links: keep it safe.")))


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Restore it; without it, only say what would change.")
@click.pass_obj
def restore(obj: Invocation, file: Path, yes: bool) -> None:
    """Bring back what `backup` wrote, here or on another server.

    Without --yes it says what would change, and changes nothing. Addresses of this server stay as they are. What was
    here before is kept as a backup of its own.
    """
    from app.accounts.actor import CLI
    from app.actions import backups
    from app.host.archive import is_encrypted
    from app.messages import sentence

    system, file = obj.system(), file.absolute()
    passphrase = _passphrase(confirm=False) if is_encrypted(file) else ""
    told = [sentence(problem) for problem in (backups.restore if yes else backups.look)(system, CLI, file, passphrase)]
    head = "The backup is restored." if yes else "This would change; nothing was changed. To restore it, add --yes."
    obj.answer({"restored": yes, "differences": told}, "\n".join([head, *(paragraph(f"- {line}") for line in told)]))


def _passphrase(confirm: bool = True) -> str:
    given = os.environ.get(PASSPHRASE) or typed.secret_line("Passphrase", confirm)
    if not given:
        raise click.UsageError("The passphrase is empty.")
    return given
