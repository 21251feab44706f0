"""`settings …`: the declaration's own fields."""

from __future__ import annotations

import click

from app.cli import typed
from app.cli.output import facts, paragraph
from app.cli.root import Group, Invocation, Refusal
from app.cli.users import assignments
from app.config.masked import MASK, SECRETS, is_masked, masked
from app.messages import sentence


@click.group(cls=Group)
def settings() -> None:
    """Global settings."""


def written(value: object) -> str:
    """A value as `settings set` takes it back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


reveal_option = click.option("--reveal", is_flag=True, help="With the password of upstream_socks5.")


def shown(values: dict[str, object], reveal: bool = False) -> dict[str, object]:
    """The settings as they are printed."""
    return {key: masked(key, str(value)) if key in SECRETS and not reveal else value for key, value in values.items()}


def _typed(obj: Invocation, changes: dict[str, str], values: dict[str, object]) -> dict[str, str]:
    """The changes with what `-` stands for. A masked password, as it was printed, is the one that is set."""
    changes, given = typed.read_dashes(changes, SECRETS), changes
    for key in SECRETS:
        if key not in changes:
            continue
        if changes[key] == masked(key, str(values[key])):
            changes[key] = str(values[key])
        elif is_masked(key, changes[key]):
            raise Refusal("setting.masked", key, key=key, mask=MASK)
        elif "@" in given[key]:
            typed.warn(obj, f"a password in an argument can be seen in the list of processes and in the shell's "
                            f"history; with {key}=- it is read from standard input")
    return changes


@settings.command(name="list")
@reveal_option
@click.pass_obj
def list_settings(obj: Invocation, reveal: bool) -> None:
    """Every setting and its value."""
    from app.control import views

    values = shown(views.settings(obj.system()), reveal)
    obj.answer(values, facts([(key, written(value)) for key, value in values.items()]))


@settings.command()
@click.argument("key")
@reveal_option
@click.pass_obj
def get(obj: Invocation, key: str, reveal: bool) -> None:
    """One setting."""
    from app.control import views

    values = shown(views.settings(obj.system()), reveal)
    if key not in values:
        raise Refusal("setting.none", key, key=key, names=list(values))
    obj.answer({key: values[key]}, written(values[key]))


@settings.command(name="set")
@click.argument("pairs", metavar="KEY=VALUE…", nargs=-1, required=True)
@click.pass_obj
def set_settings(obj: Invocation, pairs: tuple[str, ...]) -> None:
    """Change settings, all or none. A list is words with spaces between them: domain_pool="a.com b.com".

    upstream_socks5=- reads that value from standard input, as it may hold a password.
    """
    from app.accounts.actor import CLI
    from app.actions import settings
    from app.control import views

    system = obj.system()
    changes = _typed(obj, assignments(pairs), views.settings(system))
    before = views.users(system)
    values = shown(settings.set_settings(system, CLI, changes))
    changed = {key: values[key] for key in changes}
    parts = [facts([(key, written(value)) for key, value in changed.items()])]
    parts += [paragraph(f"! {sentence(note)}") for note in views.changed_links(before, views.users(system))]
    if changes.keys() & {"server_domain", "server_ip"} and (note := views.status(system).server_note):
        parts.append(paragraph(f"! {sentence(note)}"))
    obj.answer(changed, "\n\n".join(parts))
