"""`create-admin` and `reset-password`: people who log in to the panel."""

from __future__ import annotations

import click

from app.cli.root import Command, Invocation


@click.command(cls=Command, name="create-admin")
@click.option("--username", metavar="U", required=True)
@click.option("--password", metavar="P", required=True)
@click.option("--sudo", is_flag=True, help="May change settings and admins.")
@click.pass_obj
def create_admin(obj: Invocation, username: str, password: str, sudo: bool) -> None:
    """Add a person who may log in to the panel."""
    obj.fleet().create_admin(username, password, sudo, actor="cli")
    kind = "an admin with sudo" if sudo else "an admin"
    obj.answer({"username": username, "sudo": sudo}, f"{username} is {kind} now.")


@click.command(cls=Command, name="reset-password")
@click.option("--username", metavar="U", required=True)
@click.pass_obj
def reset_password(obj: Invocation, username: str) -> None:
    """Give an admin a new random password and print it."""
    password = obj.fleet().reset_password(username, actor="cli")
    obj.answer({"username": username, "password": password}, f"New password of {username}: {password}")
