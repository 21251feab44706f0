"""`bans …`: addresses that fail2ban has locked out."""

from __future__ import annotations

import click

from app.cli.output import table
from app.cli.root import Group, Invocation
from app.commands import host_command
from app.messages import Problem, sentence

#: Why nobody is banned.
_STATES = {"stopped": "bans.stopped", "missing": "bans.missing", "unknown": "bans.unknown"}


@click.group(cls=Group)
def bans() -> None:
    """Addresses that are locked out, and the end of that."""


@bans.command("list")
@click.pass_obj
def show(obj: Invocation) -> None:
    """Who is banned, why, and until when."""
    from app.control import bans as views

    now = views.view(obj.system())
    rows = [(ban.address, ban.reason or "-", str(ban.offences), _minute(ban.since), _minute(ban.until or "no end"),
             "ending" if ban.ending else "") for ban in now.bans]
    # The address is what the other commands take.
    lines = [table(("ADDRESS", "REASON", "OFFENCES", "SINCE", "UNTIL", ""), rows, gives=1) if rows else
             "Nobody is banned."]
    if now.asked:
        lines.append(f"Asked for, and not there yet: {', '.join(now.asked)}")
    if not now.wanted:
        lines.append("Bans are switched off (the setting bans).")
    elif now.state != "running":
        lines.append(sentence(Problem(_STATES[now.state], {"command": host_command("fail2ban install")})))
    obj.answer(now.to_json(), "\n".join(lines))


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")


@bans.command()
@click.argument("address")
@click.pass_obj
def remove(obj: Invocation, address: str) -> None:
    """End the ban of ADDRESS; of an IPv6 address, that of its /64."""
    from app.accounts.actor import CLI
    from app.actions import bans as actions

    found = actions.end(obj.system(), CLI, address)
    obj.answer({"address": found}, f"fail2ban is asked to let {found} in again.")


@bans.command()
@click.argument("address")
@click.option("--reason", default="", help="Why, for the audit log.")
@click.pass_obj
def add(obj: Invocation, address: str, reason: str) -> None:
    """Ban ADDRESS by hand, for as long as the setting ban_length says; of an IPv6 address, its /64."""
    from app.accounts.actor import CLI
    from app.actions import bans as actions

    found = actions.add(obj.system(), CLI, address, reason)
    obj.answer({"address": found}, f"fail2ban is asked to ban {found}.")
