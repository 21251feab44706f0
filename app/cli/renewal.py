"""`version`, and `update-proxies`: from an old image to the new one."""

from __future__ import annotations

import click

from app.cli.root import Command, Invocation, Refusal
from app.messages import sentence


@click.command(cls=Command)
@click.pass_obj
def version(obj: Invocation) -> None:
    """Which version this is; with --json, also what it makes of panel.db: how many steps of the schema it knows, and
    how many another version must know to read what this one writes."""
    from app.ledger import migrations
    from app.lib.version import version as of_this

    obj.answer({"version": of_this(), "ledger": len(migrations.STEPS),
                "ledger_readable_by": migrations.readable_by(migrations.STEPS)}, of_this())


@click.command("update-proxies", cls=Command)
@click.option("--check", is_flag=True, help="Only say how many there are.")
@click.pass_obj
def update_proxies(obj: Invocation, check: bool) -> None:
    """Replace the proxies that still run an old image, one after the other. Each user's connections are made anew
    once, and Telegram does that by itself. The first one that does not work afterwards is the last one."""
    from app.accounts.actor import CLI
    from app.actions.renewal import outdated, renew

    system = obj.system()
    waiting = outdated(system)
    if check:
        obj.answer({"count": len(waiting), "proxies": [each.name for each in waiting]},
                   f"Proxies that run an old image: {len(waiting)}")
        return
    done = []
    for outcome in renew(system, CLI):
        done.append(outcome)
        if not obj.json:
            ended = "replaced" if outcome.ok else f"FAILED: {sentence(outcome.reason)}"
            click.echo(f"{outcome.user or outcome.name}: {ended}")
    if obj.json:
        obj.answer({"count": len(waiting), "proxies": [outcome.to_json() for outcome in done]}, "")
    elif not waiting:
        click.echo("No proxy runs an old image.")
    failed = next((outcome for outcome in done if not outcome.ok), None)
    if failed:
        raise Refusal("renewal.stopped", name=failed.user or failed.name, reason=failed.reason,
                      count=len(waiting) - len(done))
