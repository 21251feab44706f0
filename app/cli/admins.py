"""`admin …`, `create-admin`, `reset-password` and `first-password`: people who log in to the panel."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from app.cli import typed
from app.cli.output import table
from app.cli.root import Command, Group, Invocation, Refusal

if TYPE_CHECKING:
    from app.config.model import Admin

#: Those of config.model, which is imported when it is needed.
ROLES = ("owner", "operator", "viewer")
ROLE_HELP = "owner: everything; operator: users, not settings or admins; viewer: sees states and traffic."


@click.group(cls=Group)
def admin() -> None:
    """People who log in to the panel."""


@admin.command(name="list")
@click.pass_obj
def list_admins(obj: Invocation) -> None:
    """Every admin, their role, and who has a second factor."""
    from app.accounts.admins import everybody
    from app.accounts.factors import of

    config = obj.system().declaration.last_good()
    people = [(person, of(config, person.username) is not None) for person in everybody(config)]
    obj.answer([{**_told(person), "second_factor": more} for person, more in people],
               table(["NAME", "ROLE", "SECOND FACTOR"],
                     [[person.username, person.role, "yes" if more else "no"] for person, more in people]))


@admin.command(name="set")
@click.argument("username", metavar="NAME")
@click.option("--role", type=click.Choice(ROLES), help=ROLE_HELP)
@click.option("--sudo/--no-sudo", default=None, help="The same as --role owner, or --role operator.")
@click.pass_obj
def set_admin(obj: Invocation, username: str, role: str | None, sudo: bool | None) -> None:
    """Give an admin another role. An owner there always is."""
    from app.accounts.actor import CLI
    from app.actions.admins import set_role

    if (role is None) == (sudo is None):
        raise click.UsageError(f"Say which role: --role and one of {', '.join(ROLES)}.")
    person = set_role(obj.system(), CLI, username, role or ("owner" if sudo else "operator"))
    obj.answer(_told(person), _is_now(person.username, person.role))


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


@admin.command(name="remove-factor")
@click.argument("username", metavar="NAME")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def remove_factor(obj: Invocation, username: str, yes: bool) -> None:
    """Let an admin who has lost their phone and recovery codes log in by password alone."""
    if not yes:
        raise click.UsageError(f"After this, the password of {username!r} is enough to log in. To go on, add --yes.")
    from app.accounts.actor import CLI
    from app.actions.factors import take_away

    take_away(obj.system(), CLI, username)
    obj.answer({"username": username}, f"{username} logs in by password alone now.")


@click.command(cls=Command, name="create-admin")
@click.option("--username", metavar="U", required=True)
@click.option("--password", metavar="P", help="- reads it from standard input; without this, it is asked for.")
@click.option("--role", type=click.Choice(ROLES), help=f"{ROLE_HELP} Without this: operator.")
@click.option("--sudo", is_flag=True, help="The same as --role owner.")
@click.pass_obj
def create_admin(obj: Invocation, username: str, password: str | None, role: str | None, sudo: bool) -> None:
    """Add a person who may log in to the panel."""
    from app.accounts.actor import CLI
    from app.actions import admins

    if sudo and role not in (None, "owner"):
        raise click.UsageError(f"--sudo means --role owner, and --role says {role}. Leave one of them out.")
    role = "owner" if sudo else role or "operator"
    username = admins.create_admin(obj.system(), CLI, username, typed.password(obj, password), role)
    obj.answer({"username": username, "role": role, "sudo": role == "owner"}, _is_now(username, role))


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


def _told(person: Admin) -> dict[str, Any]:
    return {"username": person.username, "role": person.role, "sudo": person.sudo}


def _is_now(name: str, role: str) -> str:
    return f"{name} is {'a' if role == 'viewer' else 'an'} {role} now."
