"""`token …`: keys of programs that use the API."""

from __future__ import annotations

import click

from app.cli.output import plain, table
from app.cli.root import Group, Invocation


@click.group(cls=Group)
def token() -> None:
    """Keys of programs that use the API, see docs/api.md."""


@token.command()
@click.argument("name")
@click.option("--scope", metavar="S", default="read", show_default=True,
              help="read (states and traffic, no links), users, or admin (settings and admins too).")
@click.option("--days", metavar="N", type=int, default=0, help="Until it ends; without this, it does not end.")
@click.option("--admin", metavar="U", default="", help="Whose it is; without this, the first admin's.")
@click.pass_obj
def add(obj: Invocation, name: str, scope: str, days: int, admin: str) -> None:
    """Make a token and print it, this once. It may never do more than its admin."""
    from app.accounts.actor import CLI
    from app.actions.tokens import create_token

    system = obj.system()
    view, text = create_token(system, CLI, name, scope, days, admin or system.declaration.last_good().admin_username)
    ends = f"until {view.expires_at}" if view.expires_at else "without an end"
    obj.answer({**view.to_json(), "token": text},
               f"{text}\n\nToken {plain(view.name)} of {plain(view.admin)}, scope {view.scope}, {ends}. It is shown "
               "this once.")


@token.command(name="list")
@click.pass_obj
def list_tokens(obj: Invocation) -> None:
    """Every token, and when it was last used."""
    from app.accounts.actor import CLI
    from app.actions.tokens import every_token

    views = every_token(obj.system(), CLI)
    rows = [[view.name, view.id, view.admin, view.scope,
             "expired" if view.expired else (view.expires_at or "never")[:10], (view.last_used_at or "never")[:16]]
            for view in views]
    obj.answer([view.to_json() for view in views],
               table(["NAME", "ID", "ADMIN", "SCOPE", "ENDS", "LAST USE"], rows) if rows else "No tokens.")


@token.command()
@click.argument("token_id", metavar="ID")
@click.pass_obj
def remove(obj: Invocation, token_id: str) -> None:
    """Let a token be worth nothing, at once."""
    from app.accounts.actor import CLI
    from app.actions.tokens import remove_token

    view = remove_token(obj.system(), CLI, token_id)
    obj.answer({"removed": view.id}, f"The token {plain(view.name)} is worth nothing any more.")
