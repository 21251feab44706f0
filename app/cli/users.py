"""`user …`: people and their proxy links."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli import typed
from app.cli.output import facts, limit, state_of, table
from app.cli.root import Group, Invocation, Refusal
from app.cli.traffic import amount, both
from app.lib.units import size
from app.messages import sentence
from app.messages.english.fields import FIELDS, words

if TYPE_CHECKING:
    from app.control.records import UserView


def declared_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each field of a user that can be given when the user is added: those with words for it."""
    for code, said in reversed(FIELDS.items()):
        whose, _, key = code.partition(".")
        if whose == "user" and said.option and key != "link":
            option = click.option(f"--{key.replace('_', '-')}", key, metavar=said.metavar, help=said.option)
            command = option(command)
    return command


@click.group(cls=Group)
def user() -> None:
    """People and their proxy links. NAME may also be the user's id."""


def assignments(pairs: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE arguments as a dict. Bad usage: no "=", no key, or the same key twice."""
    changes: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{pair!r} is not KEY=VALUE.")
        if key in changes:
            raise click.UsageError(f"{key} is given twice.")
        changes[key] = value
    return changes


def described(view: UserView) -> str:
    """One user in full, as `add`, `show`, `set` and `rotate` print it."""
    throttled = f"{view.throttled_bps / 1e6:g} Mbit/s" if view.throttled_bps else "no"
    addresses = f"{view.addresses} of {view.most_addresses or 'any number'}"
    further = f"{view.refused_addresses_day} refused in 24 hours, {view.refused_addresses_month} in 30 days"
    if view.addresses_verified_at:
        addresses += f" (verified at {view.addresses_verified_at})"
    if view.throttle_verified_at:
        throttled += f" (verified at {view.throttle_verified_at})"
    expires = view.expires_at or "never"
    if view.expires_after_days:
        days = "1 day" if view.expires_after_days == 1 else f"{view.expires_after_days} days"
        expires = f"{days} after the first use"
    return facts(
        [
            ("name", view.name),
            ("id", view.id),
            ("state", state_of(view)),
            ("port", str(view.link_port)),
            *([("own port", str(view.port))] if view.link_port != view.port else []),
            ("domain", view.domain),
            ("secret", view.masked_secret),
            ("connections", str(view.connections)),
            *([] if view.addresses is None else
              [("addresses", addresses)]),
            *(("from", one.address) for one in view.connected),
            *([("further ones", further)] if view.most_addresses or view.refused_addresses_month else []),
            ("down / up", both(view.bytes_down, view.bytes_up, view.estimated)),
            ("since the reset", both(view.period_down, view.period_up, view.period_estimated)),
            ("now", f"{size(view.now_down)}/s / {size(view.now_up)}/s"),
            ("last seen", view.last_seen or "never"),
            ("limit", limit(view.limit_gb, "GB")),
            ("at the limit", view.at_limit),
            ("speed after it", limit(view.speed_mbps, "Mbit/s")),
            *([("over the limit", sentence(view.over_limit))] if view.over_limit else []),
            ("throttled now", throttled),
            ("reset cycle", view.reset_cycle),
            ("next reset", view.next_reset_at or "never"),
            ("expires", expires),
            *((words(f"user.{key}").label.lower(), text) for key, text in view.more_written().items() if text),
            ("note", view.note),
            *([("slow", sentence(view.slow))] if view.slow else []),
            ("link", view.tg_link),
            ("web link", view.tme_link),
            ("link last used", view.link_last_used or "never"),
            *(("old link", f"{old.domain}, until {old.until}, last used {old.last_used or 'never'}")
              for old in view.old_links),
        ]
    )


@user.command()
@click.argument("name")
@declared_options
@click.option("--link", "brought_link", metavar=words("user.link").metavar, help=words("user.link").option)
@click.option("--disabled", is_flag=True, help="Declare the user, start nothing.")
@click.pass_obj
def add(obj: Invocation, /, name: str, brought_link: str | None, disabled: bool, **changes: Any) -> None:
    """Declare a user and start their proxy."""
    from app.accounts.actor import CLI
    from app.actions.users import add_user
    from app.rules.brought import not_kept

    if brought_link == "-":
        brought_link = typed.secret_line("Link")
    view = add_user(obj.system(), CLI, name, link=brought_link, enabled=not disabled, **changes)
    lost = map(sentence, not_kept(brought_link, view.tg_link)) if brought_link else ()
    obj.answer(view.to_json(), described(view) + "".join(f"\n\n! Not kept of the link: {what}." for what in lost))


@user.command(name="list")
@click.pass_obj
def list_users(obj: Invocation) -> None:
    """Every user in one table."""
    from app.control import views

    users = views.users(obj.system())
    rows = [
        [view.name, view.id, str(view.link_port), view.state, str(view.connections),
         amount(view.bytes_down, view.estimated), amount(view.bytes_up, view.estimated)]
        for view in users
    ]
    head = ["NAME", "ID", "PORT", "STATE", "CONN", "DOWN", "UP"]
    text = table(head, rows, right=(2, 4, 5, 6)) if rows else obj.no_users()
    obj.answer([view.to_json() for view in users], text)


@user.command()
@click.argument("name")
@click.pass_obj
def show(obj: Invocation, name: str) -> None:
    """One user in full."""
    from app.control import views

    view = views.user(obj.system(), name)
    obj.answer(view.to_json(), described(view))


#: What `user set` may change.
KEYS = [code.partition(".")[2] for code in FIELDS if code.startswith("user.") and code != "user.link"]


@user.command(name="set", help=f"""Change a user.

Keys: {", ".join(KEYS)}. An empty value takes a limit, a speed or an expiry back to the default; limit_gb=none
means no limit, whatever the setting is. With secret=- the secret is read from standard input.
""")
@click.argument("name")
@click.argument("pairs", metavar="KEY=VALUE…", nargs=-1, required=True)
@click.pass_obj
def set_user(obj: Invocation, name: str, pairs: tuple[str, ...]) -> None:
    """Change a user."""
    from app.accounts.actor import CLI
    from app.actions.users import update_user
    from app.control import move_notes, views

    changes = typed.read_dashes(assignments(pairs), ("secret",))
    system = obj.system()
    before = views.user(system, name)
    view = update_user(system, CLI, before.id, changes)
    new = view.tg_link != before.tg_link
    obj.answer(view.to_json(), described(view) + ("\n\n! The link has changed: send it again." if new else "") +
               "".join(f"\n\n! {sentence(told)}." for told in move_notes.of_view(view)))


@user.command()
@click.argument("name")
@click.pass_obj
def enable(obj: Invocation, name: str) -> None:
    """Enable a user again."""
    from app.accounts.actor import CLI
    from app.actions import users

    view = users.enable(obj.system(), CLI, name)
    obj.answer(view.to_json(), f"{view.name}: {state_of(view)}")


@user.command()
@click.argument("name")
@click.pass_obj
def disable(obj: Invocation, name: str) -> None:
    """Disable a user; live connections end at once."""
    from app.accounts.actor import CLI
    from app.actions import users

    view = users.disable(obj.system(), CLI, name)
    obj.answer(view.to_json(), f"{view.name}: {state_of(view)}")


@user.command()
@click.argument("name")
@click.pass_obj
def rotate(obj: Invocation, name: str) -> None:
    """Give a user a new secret; the old link stops working at once."""
    from app.accounts.actor import CLI
    from app.actions import users

    view = users.rotate(obj.system(), CLI, name)
    obj.answer(view.to_json(), f"{view.name} has a new link; the old one no longer works:\n{view.tg_link}")


@user.command()
@click.argument("name")
@click.option("--renew", is_flag=True, help="A new address; the one before leads nowhere from now on.")
@click.option("--off", is_flag=True, help="Switch the page off.")
@click.pass_obj
def share(obj: Invocation, name: str, renew: bool, off: bool) -> None:
    """Give a user a page of their own, with their link as it is now, and print its address."""
    from app.accounts.actor import CLI
    from app.actions import share as actions

    if renew and off:
        raise click.UsageError("--renew gives the page another address, --off removes it: choose one of them.")
    action = actions.renew_page if renew else actions.remove_page if off else actions.make_page
    told = action(obj.system(), CLI, name)
    if not told.path:
        obj.answer(told.to_json(), f"{told.name} has no page of their own.")
        return
    obj.answer(told.to_json(), told.url or f"{told.path}\nAdd it to the address at which people reach this panel: "
                                           "neither share_hostname nor panel_domain is set.")


@user.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--for-good", is_flag=True, help="It can't be undone by `user restore`, either.")
@click.pass_obj
def remove(obj: Invocation, name: str, yes: bool, for_good: bool) -> None:
    """Remove a user; live connections end at once. For 30 days `user restore` brings them back, with the same link."""
    from app.accounts.actor import CLI
    from app.actions import users
    from app.control import views

    system = obj.system()
    if not yes:
        if obj.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError("To remove a user, add --yes. Nothing was changed.")
        view = views.user(system, name)
        after = "Their link will never work again" if for_good else "Their link stops working"
        if not click.confirm(f"Remove {view.name} (port {view.port})? {after}"):
            raise Refusal("unchanged")
    view = users.remove(system, CLI, name, for_good)
    back = "" if for_good else f" For 30 days this brings them back: {obj.command_line(f'user restore {view.id}')}"
    obj.answer(view.to_json(), f"{view.name} is removed.{back}")


@user.command(name="deleted")
@click.pass_obj
def list_deleted(obj: Invocation) -> None:
    """Who was removed, and can be restored."""
    from app.control import views

    found = views.deleted(obj.system())
    rows = [[one.name, one.id, str(one.port), one.domain, one.deleted_at, one.until] for one in found]
    obj.answer([one.to_json() for one in found],
               table(["NAME", "ID", "PORT", "DOMAIN", "REMOVED", "KEPT UNTIL"], rows, right=(2,)) if rows else
               "Nobody was removed in the last 30 days.")


@user.command()
@click.argument("name")
@click.pass_obj
def restore(obj: Invocation, name: str) -> None:
    """Bring a removed user back, with the same link."""
    from app.accounts.actor import CLI
    from app.actions import users

    view, changed = users.restore(obj.system(), CLI, name)
    obj.answer(view.to_json(), described(view) + "".join(f"\n\n! {sentence(each)}." for each in changed))


@user.command()
@click.argument("name")
@click.option("--qr", metavar="FILE", help="Write a QR code of the link to FILE.png or FILE.svg.")
@click.option("--terminal", is_flag=True, help="Print a QR code of the link.")
@click.pass_obj
def link(obj: Invocation, name: str, qr: str | None, terminal: bool) -> None:
    """Print a user's links: tg:// for the app, https://t.me/ for everywhere else."""
    kind = Path(qr).suffix.lower() if qr is not None else ""
    if qr is not None and kind not in (".png", ".svg"):
        raise click.UsageError(f"--qr {qr}: the file's name must end in .png or .svg.")
    if obj.json and terminal:
        raise click.UsageError("--terminal draws for people; leave it out with --json.")
    from app.control import views

    view = views.user(obj.system(), name)
    text = f"{view.tg_link}\n{view.tme_link}"
    document: dict[str, object] = {"name": view.name, "tg_link": view.tg_link, "tme_link": view.tme_link}
    if qr is not None:
        from app.mtproto.qr import qr_png, qr_svg

        path = Path(qr)
        path.write_bytes((qr_png if kind == ".png" else qr_svg)(view.tg_link))
        document["qr"] = str(path.absolute())
        text += f"\nQR code: {path}"
    if terminal:
        from app.mtproto.qr import qr_terminal

        text += "\n" + qr_terminal(view.tg_link)
    obj.answer(document, text)
