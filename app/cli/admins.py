"""`admin …`, `create-admin`, `reset-password` and `first-password`: people who log in to the panel."""

from __future__ import annotations

import shlex

import click

from app.cli import typed
from app.cli.output import table
from app.cli.root import Command, Group, Invocation, Refusal


@click.group(cls=Group)
def admin() -> None:
    """People who log in to the panel."""


@admin.command(name="list")
@click.pass_obj
def list_admins(obj: Invocation) -> None:
    """Every admin, and who of them may change settings."""
    from app.accounts.admins import everybody

    people = everybody(obj.system().declaration.last_good())
    obj.answer([{"username": person.username, "sudo": person.sudo} for person in people],
               table(["NAME", "SETTINGS"], [[person.username, "yes" if person.sudo else "no"] for person in people]))


@admin.command(name="set")
@click.argument("username", metavar="NAME")
@click.option("--sudo/--no-sudo", required=True, help="May change settings and admins, or may not.")
@click.pass_obj
def set_admin(obj: Invocation, username: str, sudo: bool) -> None:
    """Let an admin change settings, or no longer. One who may there always is."""
    from app.accounts.actor import CLI
    from app.actions.admins import set_sudo

    person = set_sudo(obj.system(), CLI, username, sudo)
    obj.answer({"username": person.username, "sudo": person.sudo},
               f"{person.username} may {'' if sudo else 'no longer '}change settings.")


@admin.command()
@click.argument("username", metavar="NAME")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def remove(obj: Invocation, username: str, yes: bool) -> None:
    """Remove an admin: they are logged out, and can't log in any more."""
    if not yes:
        raise click.UsageError(f"This removes the admin {username!r} for good. To go on, add --yes.")
    from app.accounts.actor import CLI
    from app.actions.admins import remove_admin

    remove_admin(obj.system(), CLI, username)
    obj.answer({"removed": username}, f"{username} is no admin any more.")


@click.command(cls=Command, name="create-admin")
@click.option("--username", metavar="U", required=True)
@click.option("--password", metavar="P", help="- reads it from standard input; without this, it is asked for.")
@click.option("--sudo", is_flag=True, help="May change settings and admins.")
@click.pass_obj
def create_admin(obj: Invocation, username: str, password: str | None, sudo: bool) -> None:
    """Add a person who may log in to the panel."""
    from app.accounts.actor import CLI
    from app.actions import admins

    username = admins.create_admin(obj.system(), CLI, username, typed.password(obj, password), sudo)
    kind = "an admin with sudo" if sudo else "an admin"
    obj.answer({"username": username, "sudo": sudo}, f"{username} is {kind} now.")


@click.command(cls=Command, name="reset-password")
@click.option("--username", metavar="U", required=True)
@click.option("--password", metavar="P", help="- reads it from standard input; without this, it is a random one.")
@click.pass_obj
def reset_password(obj: Invocation, username: str, password: str | None) -> None:
    """Give an admin a new random password and print it, or one of your own. Ends their sessions."""
    from app.accounts.actor import CLI
    from app.actions.admins import set_password

    given = None if password is None else typed.password(obj, password)
    new = set_password(obj.system(), CLI, username, given)
    if given is None:
        obj.answer({"username": username, "password": new}, f"New password of {username}: {new}")
    else:
        obj.answer({"username": username}, f"{username} has the new password.")


@click.command(cls=Command, name="first-password")
@click.pass_obj
def first_password(obj: Invocation) -> None:
    """Print the first password, which is there until the first login."""
    config = obj.system().declaration.last_good()
    name = shlex.quote(config.admin_username)
    if not config.initial_password:
        raise Refusal("first_password.gone", name=config.admin_username,
                      command=obj.command_line(f"reset-password --username {name}"))
    obj.answer({"username": config.admin_username, "password": config.initial_password},
               f"Name:      {config.admin_username}\nPassword:  {config.initial_password}")
