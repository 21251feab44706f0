"""What runs: `status`, `start`, `stop`, `restart`, `logs`, `events`, `reconcile`, and `probe`: does a link work?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.cli.output import facts, paragraph, plain, table
from app.cli.root import Command, Invocation, Refusal
from app.cli.traffic import ESTIMATES, amount, both

if TYPE_CHECKING:
    from app.control.reconcile import Outcome
    from app.control.views import EdgeStatus


@click.command(cls=Command)
@click.pass_obj
def status(obj: Invocation) -> None:
    """Runtime, engine, and every user's state, connections and bytes."""
    fleet = obj.fleet()
    fleet.look_at_server()
    now = fleet.status()
    head = [
        ("runtime", now.runtime),
        ("engine", now.engine),
        ("running", f"{now.running} of {now.total}"),
        ("connections", str(now.connections)),
        ("down / up", both(now.bytes_down, now.bytes_up, now.estimated)),
        ("server", now.server),
        *([("port 443", "on" if now.edge.port_443 else "off"), ("panel", _panel(now.edge))]
          if now.edge else []),
    ]
    rows = [
        [view.name, str(view.link_port), view.state, str(view.connections),
         amount(view.bytes_down, view.estimated), amount(view.bytes_up, view.estimated)]
        for view in now.users
    ]
    parts = [facts(head)]
    if now.server_note:
        parts.append(paragraph(now.server_note))
    if rows:
        parts.append(table(["NAME", "PORT", "STATE", "CONN", "DOWN", "UP"], rows, right=(1, 3, 4, 5)))
    if now.estimated:
        parts.append(paragraph(ESTIMATES))
    if now.stopped:
        parts.append(paragraph("All proxies are stopped. `start` runs them again."))
    if now.outdated:
        parts.append(paragraph(f"Proxies that still run an old image: {now.outdated}. To replace them one by one: "
                               + obj.command_line("update-proxies")))
    parts += [paragraph(note) for note in now.notes]
    if now.problems:
        parts.append("\n".join(paragraph(f"! {line}") for line in now.problems))
    obj.answer(now.to_json(), "\n\n".join(parts))


def _panel(edge: EdgeStatus) -> str:
    """Where nginx serves the panel."""
    if not edge.panel_domain:
        return "from this machine only (panel_domain is empty)"
    return f"https://{edge.panel_domain}" + ("" if edge.panel_https else " (it has no certificate yet)")


@click.command(cls=Command)
@click.pass_obj
def reconcile(obj: Invocation) -> None:
    """Compare what is declared with what runs, and apply the difference, once."""
    report(obj, obj.fleet().reconcile())


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def start(obj: Invocation, name: str | None) -> None:
    """Run all proxies again after `stop`; with NAME, the same as `user enable NAME`."""
    _one_or_all(obj, name, "enable", "start_all")


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def stop(obj: Invocation, name: str | None) -> None:
    """Stop all proxies until `start`, over reboots too; with NAME, the same as `user disable NAME`."""
    _one_or_all(obj, name, "disable", "stop_all")


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def restart(obj: Invocation, name: str | None) -> None:
    """Restart all proxies, or that of NAME. Live connections end, and clients connect again."""
    report(obj, obj.fleet().restart(name or "", actor="cli"))


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
    fleet = obj.fleet()
    if follow:
        for line in fleet.follow_logs(name or "", tail):
            click.echo(line)
        return
    lines = fleet.logs(name or "", tail)
    obj.answer(lines, "\n".join(lines) or "Nothing was logged: a proxy that works is quiet.")


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--last", metavar="N", type=click.IntRange(1, 10_000), default=50, show_default=True,
              help="How many.")
@click.pass_obj
def events(obj: Invocation, name: str | None, last: int) -> None:
    """What was done and by whom, and what the panel did by itself: of everybody, or of the user NAME, who may be
    gone by now."""
    from app.config import times

    found = obj.fleet().events(name or "", last)[::-1]
    moments = [times.at(int(event.at)) for event in found]
    lines = [f"{at:%Y-%m-%d %H:%M:%S}  {event.actor}: {event.action}"
             + (f", {event.subject}" if event.subject else "") + (f" ({event.detail})" if event.detail else "")
             for at, event in zip(moments, found, strict=True)]
    obj.answer([{**vars(event), "at": at.isoformat()} for at, event in zip(moments, found, strict=True)],
               "\n".join(map(plain, lines)) or "Nothing was noted" + (f" of {name!r}." if name else " yet."))


def _one_or_all(obj: Invocation, name: str | None, one: str, everybody: str) -> None:
    fleet = obj.fleet()
    if name:
        view = getattr(fleet, one)(name, actor="cli")
        obj.answer(view.to_json(), f"{view.name}: {view.state}" + (f": {view.reason}" if view.reason else ""))
    else:
        report(obj, getattr(fleet, everybody)(actor="cli"))


def report(obj: Invocation, outcomes: list[Outcome], nothing: str = "Nothing to do.") -> None:
    """Print what was done, or `nothing`; exit 1 if any of it failed."""
    lines = [
        f"{outcome.action} {outcome.name}"
        + (f" ({outcome.user})" if outcome.user else "")
        + (f"  done in {outcome.seconds:.1f} s" if outcome.ok else f"  FAILED: {outcome.reason}")
        for outcome in outcomes
    ]
    obj.answer([outcome.to_json() for outcome in outcomes], "\n".join(lines) or nothing)
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        raise Refusal(f"{len(failed)} of {len(outcomes)} actions failed; the panel tries them again. "
                      f"First: {failed[0].action} {failed[0].name}: {failed[0].reason}")


@click.command(cls=Command)
@click.argument("name")
@click.pass_obj
def probe(obj: Invocation, name: str) -> None:
    """Behave as a Telegram client: handshake and req_pq through the user's link.

    It goes to the server of the link, as a client does, and to the port listened
    on, which public_port does not change. Some servers
    can't reach their own public address; a probe from there then fails although
    clients get through. The time in the handshake is that of other clocks, where
    they can be asked.
    """
    from app.control.probing import link_from_here, probe_link
    from app.mtproto.probe import ProbeError

    fleet = obj.fleet()
    view = fleet.user(name)
    document: dict[str, object] = {"name": view.name, "link": view.tg_link}
    try:
        config = fleet.config()
        milliseconds = probe_link(link_from_here(view, config, fleet.port443.public_port), fleet.clock, config)
    except ProbeError as error:
        if view.state != "running":
            why = f"their proxy is {view.state}" + (f": {view.reason}" if view.reason else "")
        else:
            why = str(error)
        if obj.json:
            obj.answer({**document, "ok": False, "milliseconds": None, "reason": why}, "")
        raise Refusal(f"{view.name}'s link does not work: {why}", error.step) from None
    obj.answer(
        {**document, "ok": True, "milliseconds": round(milliseconds, 1), "reason": ""},
        f"{view.name}: Telegram answers through the link in {milliseconds:.0f} ms.",
    )
