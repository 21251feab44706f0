"""`plan …`: sets of limits with a name, for many users."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from app.cli.output import facts, table
from app.cli.root import Group, Invocation
from app.cli.users import assignments
from app.messages.english.fields import FIELDS, words

if TYPE_CHECKING:
    from app.control.records import PlanView

#: What may be typed of a plan.
KEYS = [code.partition(".")[2] for code in FIELDS if code.startswith("plan.")]


def _declared_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each field but the name."""
    for key in reversed(KEYS):
        said = words(f"plan.{key}")
        if said.option:
            command = click.option(f"--{key.replace('_', '-')}", key, metavar=said.metavar, help=said.option)(command)
    return command


@click.group(cls=Group)
def plan() -> None:
    """Plans: sets of limits, for many users. NAME may also be the plan's id."""


@plan.command(name="list")
@click.pass_obj
def list_plans(obj: Invocation) -> None:
    """Every plan, and how many have it."""
    from app.control import plan_views

    plans = plan_views.every_plan(obj.system())
    rows = [[each.name, each.id, str(each.users), _amount(each.limit_gb, "GB"), each.at_limit or "default",
             _amount(each.speed_mbps, "Mbit/s"), _amount(each.max_unique_ips, ""), each.reset_cycle or "default",
             _days(each)] for each in plans]
    head = ["NAME", "ID", "USERS", "LIMIT", "AT THE LIMIT", "SPEED", "ADDRESSES", "RESET", "EXPIRES AFTER"]
    obj.answer([each.to_json() for each in plans],
               table(head, rows, right=(2,)) if rows else
               f"No plans yet. Add one: {obj.command_line('plan add NAME --limit-gb 50')}")


@plan.command()
@click.argument("name")
@click.pass_obj
def show(obj: Invocation, name: str) -> None:
    """One plan in full."""
    from app.control import plan_views

    found = plan_views.plan(obj.system(), name)
    obj.answer(found.to_json(), _described(found))


@plan.command()
@click.argument("name")
@_declared_options
@click.pass_obj
def add(obj: Invocation, /, name: str, **fields: Any) -> None:
    """Declare a plan; give it to users by `user set NAME plan=…`."""
    from app.accounts.actor import CLI
    from app.actions.plans import add_plan

    added = add_plan(obj.system(), CLI, name, **fields)
    obj.answer(added.to_json(), _described(added))


@plan.command(name="set", help=f"""Change a plan, for everybody who has it.

Keys: {", ".join(KEYS)}. An empty value takes a limit back to the setting.
""")
@click.argument("name")
@click.argument("pairs", metavar="KEY=VALUE…", nargs=-1, required=True)
@click.pass_obj
def set_plan(obj: Invocation, name: str, pairs: tuple[str, ...]) -> None:
    """Change a plan, for everybody who has it."""
    from app.accounts.actor import CLI
    from app.actions.plans import change_plan

    changed = change_plan(obj.system(), CLI, name, assignments(pairs))
    obj.answer(changed.to_json(), _described(changed))


@plan.command()
@click.argument("name")
@click.pass_obj
def remove(obj: Invocation, name: str) -> None:
    """Remove a plan. Who has it keeps its limits, as their own."""
    from app.accounts.actor import CLI
    from app.actions.plans import remove_plan

    removed = remove_plan(obj.system(), CLI, name)
    who = "1 user" if removed.users == 1 else f"{removed.users} users"
    kept = f" Its limits stay with {who}." if removed.users else ""
    obj.answer(removed.to_json(), f"The plan {removed.name} is removed.{kept}")


def _described(view: PlanView) -> str:
    return facts([
        ("name", view.name), ("id", view.id), ("users", str(view.users)), ("limit", _amount(view.limit_gb, "GB")),
        ("at the limit", view.at_limit or "default"), ("speed after it", _amount(view.speed_mbps, "Mbit/s")),
        ("addresses", _amount(view.max_unique_ips, "")), ("reset cycle", view.reset_cycle or "default"),
        ("expires", _days(view))])


def _amount(declared: float | None, unit: str) -> str:
    """What is declared: 0 is the default, None none."""
    return "none" if declared is None else f"{declared:g} {unit}".strip() if declared else "default"


def _days(view: PlanView) -> str:
    days = view.expires_after_days
    return f"{days} {'day' if days == 1 else 'days'} after the first use" if days else "never"
