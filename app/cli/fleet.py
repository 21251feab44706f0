"""What runs: `status`, `start`, `stop`, `restart`, `logs`, `events`, `reconcile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from app.cli.output import facts, paragraph, plain, state_of, table
from app.cli.root import Command, Invocation, Refusal
from app.cli.traffic import ESTIMATES, amount, both
from app.messages import sentence

if TYPE_CHECKING:
    from app.accounts.actor import Actor
    from app.control.outcome import Outcome
    from app.control.records import EdgeStatus, UserView
    from app.control.system import System


@click.command(cls=Command)
@click.pass_obj
def status(obj: Invocation) -> None:
    """Runtime, engine, and every user's state, connections and bytes."""
    from app.cli.mtproxy import section
    from app.control import passes, views
    from app.control.mtproxy_views import every_container, files_age

    system = obj.system()
    passes.look_at_server(system)
    now = views.status(system)
    head = [
        ("runtime", now.runtime),
        ("engine", now.engine),
        ("running", f"{now.running} of {now.total}"),
        ("connections", str(now.connections)),
        ("down / up", both(now.bytes_down, now.bytes_up, now.estimated)),
        ("server", now.server),
        *([("port 443", "on" if now.edge.port_443 else "off"), *_panel(now.edge)] if now.edge else []),
    ]
    rows = [
        [view.name, str(view.link_port), view.state, str(view.connections),
         amount(view.bytes_down, view.estimated), amount(view.bytes_up, view.estimated)]
        for view in now.users
    ]
    parts = [facts(head)]
    if now.edge and (door := now.edge.by_address) and door.self_signed:
        why = f" Why no authority has issued one: {sentence(door.reason)}" if door.reason else ""
        parts.append(paragraph("Browsers warn of the panel's own certificate; go on if the fingerprint that they show "
                               f"is this one.{why}"))
    if now.server_note:
        parts.append(paragraph(sentence(now.server_note)))
    if rows:
        parts.append(table(["NAME", "PORT", "STATE", "CONN", "DOWN", "UP"], rows, right=(1, 3, 4, 5)))
    containers, age = every_container(system), files_age(system)
    if containers:
        parts.append(section(containers, age))
    if now.estimated:
        parts.append(paragraph(ESTIMATES))
    if now.stopped:
        parts.append(paragraph("All proxies are stopped. `start` runs them again."))
    if now.outdated:
        parts.append(paragraph(f"Proxies that still run an old image: {now.outdated}. To replace them one by one: "
                               + obj.command_line("update-proxies")))
    if now.bad:
        parts.append(table(["TURNED AWAY", "24 HOURS", "30 DAYS"],
                           [[sentence(bad.what), str(bad.day), str(bad.month)] for bad in now.bad], right=(1, 2)))
    parts += [paragraph(sentence(note)) for note in now.notes]
    if now.problems:
        parts.append("\n".join(paragraph(f"! {sentence(problem)}") for problem in now.problems))
    mtproxy = {"containers": [each.to_json() for each in containers], "files_age_s": age} if containers else None
    obj.answer({**now.to_json(), "mtproxy": mtproxy}, "\n\n".join(parts))


def _panel(edge: EdgeStatus) -> list[tuple[str, str]]:
    """Where nginx serves the panel."""
    found = []
    if edge.panel_domain:
        note = "" if edge.panel_https else " (it has no certificate yet)"
        found.append(("panel", f"https://{edge.panel_domain}{note}"))
    if door := edge.by_address:
        found.append(("panel", door.url))
        whose = "its own" if door.self_signed else "issued"
        if door.fingerprint:
            found.append(("certificate", f"{whose}, until {door.expires_at[:10]}; SHA-256 {door.fingerprint}"))
    return found or [("panel", "from this machine only (panel_domain is empty, and panel_by_address off)")]


@click.command(cls=Command)
@click.pass_obj
def reconcile(obj: Invocation) -> None:
    """Compare what is declared with what runs, and apply the difference, once."""
    from app.accounts.actor import CLI
    from app.actions import proxies

    report(obj, proxies.reconcile(obj.system(), CLI))


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def start(obj: Invocation, name: str | None) -> None:
    """Run all proxies again after `stop`; with NAME, the same as `user enable NAME`."""
    from app.actions import proxies, users

    _one_or_all(obj, name, users.enable, proxies.start_all)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def stop(obj: Invocation, name: str | None) -> None:
    """Stop all proxies until `start`, over reboots too; with NAME, the same as `user disable NAME`."""
    from app.actions import proxies, users

    _one_or_all(obj, name, users.disable, proxies.stop_all)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def restart(obj: Invocation, name: str | None) -> None:
    """Restart all proxies, or that of NAME. Live connections end, and clients connect again."""
    from app.accounts.actor import CLI
    from app.actions import proxies

    report(obj, proxies.restart(obj.system(), CLI, name or ""))


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--tail", metavar="N", type=click.IntRange(1, 100_000), default=200, show_default=True,
              help="How many lines.")
@click.option("--follow", is_flag=True, help="Go on with every line as it is written, until Ctrl-C.")
@click.pass_obj
def logs(obj: Invocation, name: str | None, tail: int, follow: bool) -> None:
    """The last lines of all proxies, or of that of NAME, by time: "[mtg-proxy-2443] …"."""
    if follow and obj.json:
        raise click.UsageError("--follow never ends, so there is no JSON document of it; leave one out.")
    from app.control import views

    system = obj.system()
    if follow:
        for line in views.follow_logs(system, name or "", tail):
            click.echo(line)
        return
    lines = views.logs(system, name or "", tail)
    obj.answer(lines, "\n".join(lines) or "Nothing was logged: a proxy that works writes nothing.")


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--last", metavar="N", type=click.IntRange(1, 10_000), default=50, show_default=True,
              help="How many.")
@click.pass_obj
def events(obj: Invocation, name: str | None, last: int) -> None:
    """What was done and by whom, and what the panel did by itself: of everybody, or of the user NAME (or
    an id), who may be gone by now: under every name the user has had."""
    from app.config import times
    from app.control import views

    found = views.events(obj.system(), name or "", last)[::-1]
    moments = [times.at(int(event.at)) for event in found]
    lines = [f"{at:%Y-%m-%d %H:%M:%S}  {event.actor}: {event.message}"
             for at, event in zip(moments, found, strict=True)]
    obj.answer([{**event.to_json(), "at": at.isoformat()} for at, event in zip(moments, found, strict=True)],
               "\n".join(map(plain, lines)) or "No entries" + (f" about {name!r}." if name else " yet."))


def _one_or_all(obj: Invocation, name: str | None, one: Callable[[System, Actor, str], UserView],
                everybody: Callable[[System, Actor], list[Outcome]]) -> None:
    from app.accounts.actor import CLI

    system = obj.system()
    if name:
        view = one(system, CLI, name)
        obj.answer(view.to_json(), f"{view.name}: {state_of(view)}")
    else:
        report(obj, everybody(system, CLI))


def report(obj: Invocation, outcomes: list[Outcome], nothing: str = "Nothing to do.") -> None:
    """Print what was done, or `nothing`; exit 1 if any of it failed."""
    lines = [
        f"{outcome.action} {outcome.name}"
        + (f" ({outcome.user})" if outcome.user else "")
        + (f"  done in {outcome.seconds:.1f} s" if outcome.ok else f"  FAILED: {sentence(outcome.reason)}")
        for outcome in outcomes
    ]
    obj.answer([outcome.to_json() for outcome in outcomes], "\n".join(lines) or nothing)
    failing(outcomes)


def failing(outcomes: list[Outcome]) -> None:
    """Refuse, if any of it failed."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        first = failed[0]
        raise Refusal("actions.failed", failed=len(failed), count=len(outcomes), action=first.action, name=first.name,
                      reason=first.reason)
