"""`traffic …`: who moved how much, and when; and a new period for one user or all."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from app.cli.output import facts, state_of, table
from app.cli.root import Group, Invocation
from app.config import times
from app.lib.units import size
from app.messages import sentence

if TYPE_CHECKING:
    from app.control.records import UserView
    from app.control.system import System

UNITS = {"m": 60, "h": 3600, "d": 86400}

ESTIMATES = "~: estimated from network counters, half of it in each direction."


class TrafficGroup(Group):
    """`traffic Alice` means `traffic show Alice`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=TrafficGroup, invoke_without_command=True, no_args_is_help=False,
             context_settings={"ignore_unknown_options": True})
@click.pass_context
def traffic(ctx: click.Context) -> None:
    """Who moved how much: `traffic [NAME] [--since WHEN]`, and `traffic reset`."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(show, name=None, since=None)


@traffic.command()
@click.argument("name", required=False)
@click.option("--since", metavar="WHEN", help="From a date (2027-01-31) or for so long until now (24h, 30d).")
@click.pass_obj
def show(obj: Invocation, name: str | None, since: str | None) -> None:
    """Everybody's traffic, or that of NAME.

    Without --since: all of it, and what counts towards the limit. With it: what was
    moved since then, to the point of the history (10 seconds, an hour or a day).
    """
    now = time.time()
    moment = None if since is None else beginning(since, now)
    from app.control import views

    system = obj.system()
    status = views.status(system)
    users = [views.user(system, name)] if name else status.users
    if moment is None:
        document = [_totals(view) for view in users]
        text = _one(users[0]) if name else _table(users) if users else obj.no_users()
    else:
        document = _since(system, users, moment, round(now - moment), name)
        text = _text_since(document, name) if document else obj.no_users()
    obj.answer(document[0] if name else document, text)


@traffic.command()
@click.argument("name", required=False)
@click.option("--all", "everybody", is_flag=True, help="Everybody's.")
@click.pass_obj
def reset(obj: Invocation, name: str | None, everybody: bool) -> None:
    """Begin a new period for NAME or --all: the limit counts from zero again.

    Whoever was throttled or blocked at the limit no longer is.
    """
    if bool(name) == everybody:
        raise click.UsageError("Whose traffic? Give a NAME, or --all.")
    from app.accounts.actor import CLI
    from app.actions.traffic import reset_traffic

    views = reset_traffic(obj.system(), CLI, name or "")
    lines = [f"{view.name}: counts from zero; {view.state}" for view in views]
    document = [view.to_json() for view in views]
    obj.answer(document[0] if name else document, "\n".join(lines) or "No users yet.")


def beginning(text: str, now: float) -> float:
    """The moment, in Unix seconds, that "24h", "30d", "2027-01-31" or "2027-01-31T12:00" means."""
    text = text.strip()
    if found := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return max(0.0, now - int(found[1]) * UNITS[found[2]])
    try:
        return times.typed(text).timestamp()
    except ValueError as error:
        raise click.UsageError(f"--since: {error}; or write a time until now (90m, 24h, 30d).") from None


def _totals(view: UserView) -> dict[str, object]:
    keys = ("id", "name", "state", "connections", "bytes_down", "bytes_up", "period_down", "period_up",
            "period_since", "now_down", "now_up", "last_seen", "probes", "wrong_clock", "no_sni", "other_sni",
            "limit_gb", "warning", "over_limit", "next_reset_at", "estimated", "period_estimated")
    return {key: getattr(view, key) for key in keys}


def _since(system: System, users: list[UserView], since: float, ago: int,
           name: str | None) -> list[dict[str, object]]:
    from app.control import views
    from app.ledger import history

    step = history.finest(ago)
    points = views.history(system, users[0].id, since, step) if name else []
    sums = ({users[0].id: (sum(p.down for p in points), sum(p.up for p in points))} if name else
            system.ledger.traffic.sums(since, step))
    found = []
    for view in users:
        down, up = sums.get(view.id, (0, 0))
        found.append({"id": view.id, "name": view.name, "bytes_down": down, "bytes_up": up,
                      "estimated": view.estimated, "since": history.begin(since, step), "step": step,
                      **({"points": [asdict(point) for point in points]} if name else {})})
    return found


def _text_since(document: list[dict[str, Any]], name: str | None) -> str:
    begin = times.at(document[0]["since"])
    if not name:
        rows = [[one["name"], *(amount(one[key], one["estimated"]) for key in ("bytes_down", "bytes_up"))]
                for one in document]
        text = f"since {begin:%Y-%m-%d %H:%M}\n" + table(["NAME", "DOWN", "UP"], rows, right=(1, 2))
        return text + (f"\n\n{ESTIMATES}" if any(one["estimated"] for one in document) else "")
    one = document[0]
    head = facts([("name", one["name"]), ("since", f"{begin:%Y-%m-%d %H:%M}"),
                  ("down / up", both(one["bytes_down"], one["bytes_up"], one["estimated"]))])
    rows = [[f"{times.at(p['at']):%Y-%m-%d %H:%M:%S}", size(p["down"]), size(p["up"])]
            for p in one["points"]]
    return "\n\n".join([head, *([table(["FROM", "DOWN", "UP"], rows, right=(1, 2))] if rows else [])])


def amount(count: int, estimated: bool) -> str:
    """Bytes for a table: "1.2 GB", or "~1.2 GB" for an estimate."""
    return f"{'~' if estimated else ''}{size(count)}"


def both(down: int, up: int, estimated: bool) -> str:
    """Bytes down and up; for an estimate, which knows no directions, about how many there were in all."""
    if estimated:
        return f"about {size(down + up)} in both directions together, estimated from network counters"
    return f"{size(down)} / {size(up)}"


def _one(view: UserView) -> str:
    return facts([
        ("name", view.name),
        ("state", state_of(view)),
        ("down / up", both(view.bytes_down, view.bytes_up, view.estimated)),
        ("since the reset", both(view.period_down, view.period_up, view.period_estimated)),
        ("last reset", view.period_since or "never"),
        ("next reset", view.next_reset_at or "never"),
        ("limit", f"{view.limit_gb:g} GB" if view.limit_gb else "none"),
        *([("over the limit", sentence(view.over_limit))] if view.over_limit else []),
        ("now", f"{size(view.now_down)}/s / {size(view.now_up)}/s"),
        ("connections", str(view.connections)),
        ("last seen", view.last_seen or "never"),
        ("probes turned away", str(view.probes)),
        ("right key, refused", refused(view)),
    ])


def refused(view: UserView) -> str:
    """Tries with the right key that were refused."""
    if view.wrong_clock is None:
        return "not known (the built-in engine alone counts them)"
    return f"{view.wrong_clock} for the time, {view.no_sni} without a domain, {view.other_sni} for another domain"


def _table(views: list[UserView]) -> str:
    rows = [[view.name, amount(view.bytes_down, view.estimated), amount(view.bytes_up, view.estimated),
             amount(view.period_down + view.period_up, view.period_estimated),
             f"{view.limit_gb:g} GB" if view.limit_gb else "none", f"{size(view.now_down + view.now_up)}/s",
             str(view.probes)] for view in views]
    text = table(["NAME", "DOWN", "UP", "PERIOD", "LIMIT", "NOW", "PROBES"], rows, right=(1, 2, 3, 4, 5, 6))
    return text + (f"\n\n{ESTIMATES}" if any(view.estimated for view in views) else "")
