"""`settings …`: the declaration's own fields."""

from __future__ import annotations

import click

from app.cli.output import facts, paragraph
from app.cli.root import Group, Invocation, Refusal
from app.cli.users import assignments


@click.group(cls=Group)
def settings() -> None:
    """What holds for the whole installation."""


def written(value: object) -> str:
    """A value as `settings set` takes it back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


@settings.command(name="list")
@click.pass_obj
def list_settings(obj: Invocation) -> None:
    """Every setting and its value."""
    values = obj.fleet().settings()
    obj.answer(values, facts([(key, written(value)) for key, value in values.items()]))


@settings.command()
@click.argument("key")
@click.pass_obj
def get(obj: Invocation, key: str) -> None:
    """One setting."""
    values = obj.fleet().settings()
    if key not in values:
        raise Refusal(f"There is no setting {key!r}. There are: {', '.join(values)}.", key)
    obj.answer({key: values[key]}, written(values[key]))


@settings.command(name="set")
@click.argument("pairs", metavar="KEY=VALUE…", nargs=-1, required=True)
@click.pass_obj
def set_settings(obj: Invocation, pairs: tuple[str, ...]) -> None:
    """Change settings, all or none. A list is words with spaces between them: domain_pool="a.com b.com"."""
    changes = assignments(pairs)
    from app.fleet.views import changed_links

    fleet = obj.fleet()
    before = fleet.users()
    values = fleet.set_settings(changes, actor="cli")
    changed = {key: values[key] for key in changes}
    parts = [facts([(key, written(value)) for key, value in changed.items()])]
    if others := changed_links(before, fleet.users()):
        parts.append(paragraph(f"! {others}"))
    if changes.keys() & {"server_domain", "server_ip"} and (note := fleet.status().server_note):
        parts.append(paragraph(f"! {note}"))
    obj.answer(changed, "\n\n".join(parts))
