"""`notify …`: channels of notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.cli import typed
from app.cli.output import table
from app.cli.root import Group, Invocation
from app.cli.users import assignments

if TYPE_CHECKING:
    from app.config.channels import Channel


@click.group(cls=Group)
def notify() -> None:
    """Who is told what: a Telegram bot, e-mail, a webhook, ntfy. NAME may also be the channel's id."""


@notify.command(name="list")
@click.pass_obj
def list_channels(obj: Invocation) -> None:
    """Every channel, and what it tells."""
    channels = obj.system().declaration.last_good().notifications
    rows = [[each.name, each.id, each.kind, "on" if each.enabled else "off", each.digest,
             " ".join(each.events) or "none"]
            for each in channels]
    obj.answer([_told(each) for each in channels],
               table(["NAME", "ID", "KIND", "STATE", "DIGEST", "EVENTS"], rows) if rows else
               f"No channels yet: {obj.command_line('notify add telegram NAME chats=… secret=-')}")


@notify.command()
@click.argument("kind", metavar="KIND")
@click.argument("name")
@click.argument("pairs", metavar="KEY=VALUE…", nargs=-1)
@click.pass_obj
def add(obj: Invocation, kind: str, name: str, pairs: tuple[str, ...]) -> None:
    """Add a channel: telegram, email, webhook or ntfy.

    Keys of all: events, digest, digest_hour, language, enabled. telegram: secret (the token), chats, bot, url. email:
    host, port, security, username, secret (the password), sender, recipients. webhook: url, secret (the key). ntfy:
    url, secret (the token). secret=- asks for it, or reads it from standard input.
    """
    from app.accounts.actor import CLI
    from app.actions.notifications import add_channel

    added = add_channel(obj.system(), CLI, kind, {"name": name, **_typed(obj, pairs)})
    obj.answer(_told(added), f"{added.name} is added. Try it: {obj.command_line(f'notify test {added.id}')}")


@notify.command(name="set")
@click.argument("name")
@click.argument("pairs", metavar="KEY=VALUE…", nargs=-1, required=True)
@click.pass_obj
def set_channel(obj: Invocation, name: str, pairs: tuple[str, ...]) -> None:
    """Change a channel, with the keys of `notify add`, and name."""
    from app.accounts.actor import CLI
    from app.actions.notifications import change_channel

    changed = change_channel(obj.system(), CLI, name, _typed(obj, pairs))
    obj.answer(_told(changed), f"{changed.name} is saved.")


@notify.command()
@click.argument("name")
@click.pass_obj
def test(obj: Invocation, name: str) -> None:
    """Send a test by this channel, and say what came of it."""
    from app.accounts.actor import CLI
    from app.notify.delivery import send_test

    sent = send_test(obj.system(), CLI, name)
    obj.answer({"sent": sent}, f"The test was sent by {sent}.")


@notify.command()
@click.argument("name")
@click.pass_obj
def remove(obj: Invocation, name: str) -> None:
    """Remove a channel."""
    from app.accounts.actor import CLI
    from app.actions.notifications import remove_channel

    removed = remove_channel(obj.system(), CLI, name)
    obj.answer({"removed": removed.name}, f"{removed.name} is removed.")


def _typed(obj: Invocation, pairs: tuple[str, ...]) -> dict[str, str]:
    given = assignments(pairs)
    if given.get("secret", "-") not in ("-", "none", ""):
        typed.warn(obj, "a secret in an argument can be seen in the list of processes and in the shell's history; "
                        "write secret=- to be asked for it, or to let it be read from standard input")
    return {key: typed.secret_line(key, confirm=False) if key == "secret" and value == "-" else value
            for key, value in given.items()}


def _told(channel: Channel) -> dict[str, Any]:
    """All but the secret, of which is told whether there is one."""
    document = channel.model_dump(mode="json")
    return {**document, "secret": bool(document["secret"])}
