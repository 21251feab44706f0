"""`mtproxy …`: users of MTProxy by their secrets, its containers, and Telegram's files."""

from __future__ import annotations

import base64
import binascii
import json
import secrets as random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.output import duration, facts, paragraph, table
from app.cli.root import Group, Invocation, Refusal
from app.messages import coded, sentence

if TYPE_CHECKING:
    from app.config.model import User
    from app.control.mtproxy_views import ContainerView
    from app.control.system import System


@click.group(cls=Group)
def mtproxy() -> None:
    """Telegram's MTProxy: its users by their secrets, its containers, Telegram's files. SECRET may also be the user's
    name or id."""


@mtproxy.command("add-secret")
@click.option("--name", default="", help="Of the user (default: mtproxy-N).")
@click.option("--with-padding/--without-padding", "padding", default=True, help="A dd link (default), or a plain one.")
@click.option("--domain", default="", metavar="HOST", help="An ee link that looks like a visit to this site.")
@click.pass_obj
def add_secret(obj: Invocation, name: str, padding: bool, domain: str) -> None:
    """Add a user of MTProxy with a new secret."""
    from app.accounts.actor import CLI
    from app.actions import mtproxy as actions
    from app.mtproto.secret import PLAIN, Secret, SecretError

    system = obj.system()
    try:
        secret = Secret.generate(domain) if domain else Secret.padded() if padding else \
            Secret(PLAIN, random.token_bytes(16))
    except SecretError as error:
        raise Refusal(error.problem.about("domain")) from None
    _answer_user(obj, system, actions.add_secret(system, CLI, secret, name))


@mtproxy.command("list-secrets")
@click.pass_obj
def list_secrets(obj: Invocation) -> None:
    """Every secret, masked."""
    from app.config.containers import users_of
    from app.control import views

    system = obj.system()
    ids = {user.id for user in users_of(system.declaration.last_good())}
    found = [view for view in views.users(system) if view.id in ids]
    rows = [[view.masked_secret, "yes" if view.secret[:2] in ("dd", "ee") else "no", view.created_at[:10],
             "yes" if view.enabled else "no", view.name, str(view.link_port), view.state] for view in found]
    head = ["SECRET", "PADDING", "CREATED", "ACTIVE", "NAME", "PORT", "STATE"]
    obj.answer([{"secret": view.masked_secret, "padding_enabled": view.secret[:2] in ("dd", "ee"),
                 "created_at": view.created_at, "active": view.enabled, "name": view.name, "id": view.id,
                 "port": view.link_port, "state": view.state} for view in found],
               table(head, rows, right=(5,)) if rows else
               f"MTProxy has no users. Add one: {obj.command_line('mtproxy add-secret')}")


@mtproxy.command("remove-secret")
@click.argument("secret")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def remove_secret(obj: Invocation, secret: str, yes: bool) -> None:
    """Remove the user of a secret. For 30 days `user restore` brings them back."""
    from app.accounts.actor import CLI
    from app.actions import users
    from app.actions.mtproxy import export, find
    from app.config.containers import users_of

    system = obj.system()
    config = system.declaration.last_good()
    user = find(config, secret)
    last = " It is the last one of MTProxy." if len(users_of(config)) == 1 else ""
    if not yes:
        if obj.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError(f"To remove {user.name}, add --yes.{last} Nothing was changed.")
        if not click.confirm(f"Remove {user.name}?{last}{_reconnect(system, user)}"):
            raise Refusal("unchanged")
    view = users.remove(system, CLI, user.id)
    export(system)
    obj.answer(view.to_json(), f"{view.name} is removed.{last}")


@mtproxy.command("regenerate-secret")
@click.argument("secret")
@click.pass_obj
def regenerate_secret(obj: Invocation, secret: str) -> None:
    """Replace a secret by a new one of the same kind; the old link stops working."""
    from app.accounts.actor import CLI
    from app.actions import users
    from app.actions.mtproxy import find

    system = obj.system()
    user = find(system.declaration.last_good(), secret)
    users.rotate(system, CLI, user.id)
    _answer_user(obj, system, user)


@mtproxy.command("show-config")
@click.argument("secret", default="")
@click.pass_obj
def show_config(obj: Invocation, secret: str) -> None:
    """The link of a secret; without one, the settings of MTProxy, its containers and the age of Telegram's files."""
    from app.actions.mtproxy import find
    from app.control import mtproxy_views, views

    system = obj.system()
    if secret:
        _answer_user(obj, system, find(system.declaration.last_good(), secret))
        return
    told = {key: value for key, value in views.settings(system).items() if key.startswith("mtproxy_")}
    age = mtproxy_views.files_age(system)
    containers = mtproxy_views.every_container(system)
    obj.answer({"settings": told, "files_age_s": age, "containers": [each.to_json() for each in containers]},
               facts([*((key, str(value)) for key, value in told.items()), ("telegram's files", _aged(age))])
               + "\n\n" + table_of(containers))


@mtproxy.command("set-port")
@click.argument("port")
@click.pass_obj
def set_port(obj: Invocation, port: str) -> None:
    """Another port for the first container; further ones have the next ones. All links change."""
    _set(obj, "mtproxy_first_port", port, "All links of MTProxy have changed: send them again. Open the new port in "
                                          "the firewall.")


@mtproxy.command("set-workers")
@click.argument("count")
@click.pass_obj
def set_workers(obj: Invocation, count: str) -> None:
    """Worker processes of each container, 0 to 8."""
    _set(obj, "mtproxy_workers", count, "")


@mtproxy.command()
@click.option("--live", is_flag=True, help="Again every two seconds, until it is interrupted.")
@click.pass_obj
def stats(obj: Invocation, live: bool) -> None:
    """Connections and uptime (with --json, in seconds) of each container. MTProxy counts nothing by user."""
    from app.control.mtproxy_views import every_container

    system = obj.system()
    while True:
        containers = every_container(system)
        if live and not obj.json and sys.stdout.isatty():
            click.clear()
        obj.answer([each.to_json() for each in containers], table_of(containers))
        if not live:
            return
        try:
            time.sleep(2.0)
        except KeyboardInterrupt:
            return


@mtproxy.command()
@click.pass_obj
def export(obj: Invocation) -> None:
    """Write mtproxy_secrets.json, and each user's link and QR code, into data/mtproxy."""
    from app.actions.mtproxy import export as write

    folder = write(obj.system())
    obj.answer({"folder": str(folder)}, f"Written: {folder}")


@mtproxy.command(name="import")
@click.argument("file")
@click.pass_obj
def import_secrets(obj: Invocation, file: str) -> None:
    """Take over the secrets of a mtproxy_secrets.json, from FILE or, with -, from standard input. Those that a user has
    already are left out."""
    from app.accounts.actor import CLI
    from app.actions import mtproxy as actions
    from app.actions.mtproxy import export as write

    system = obj.system()
    try:
        document = json.loads(_read(file, 4 << 20))
    except (ValueError, RecursionError):
        raise Refusal("mtproxy.no_export") from None
    found = actions.read_export(document)
    added = actions.bring(system, CLI, found)
    write(system)
    why = actions.unserved(system, {user.id for user in added})
    lines = [f"Taken over: {len(added)}. Known already: {len(found) - len(added)}.",
             *(paragraph(f"They are kept, but not served yet: {sentence(reason)}") for reason in why)]
    obj.answer({"added": [user.name for user in added], "known": len(found) - len(added),
                "unserved": [coded(reason) for reason in why]}, "\n".join(lines))


@mtproxy.command()
@click.argument("files", nargs=-1, metavar="[PROXY-SECRET PROXY-MULTI.CONF]")
@click.option("--fetch", is_flag=True, help="Download both now.")
@click.pass_obj
def files(obj: Invocation, files: tuple[str, ...], fetch: bool) -> None:
    """How old Telegram's files are; give them by hand, or download them. With - both are read from standard input: the
    first in base64 as one line, then the second."""
    from app.accounts.actor import CLI
    from app.actions import mtproxy as actions
    from app.control.mtproxy_views import files_age

    system = obj.system()
    if files:
        if fetch or (len(files) != 2 and files != ("-",)):
            raise click.UsageError("Name proxy-secret and proxy-multi.conf, or - for standard input, or --fetch.")
        actions.give_files(system, CLI, *_both(files))
    elif fetch:
        actions.fetch_files(system, CLI)
    age = files_age(system)
    text = "There are none." if age is None else f"They are {duration(age)} old."
    obj.answer({"age_s": age}, text)


def _both(names: tuple[str, ...]) -> tuple[bytes, bytes]:
    if len(names) == 2:
        return _read(names[0], 1 << 20), _read(names[1], 1 << 20)
    line, _, rest = _read("-", 1 << 20).partition(b"\n")
    try:
        return base64.b64decode(line, validate=True), rest
    except binascii.Error:
        raise click.UsageError("The first line of standard input is no base64.") from None


def _read(name: str, most: int) -> bytes:
    """A file of at most so many bytes, a byte more of a larger one; "-" is standard input."""
    if name == "-":
        return sys.stdin.buffer.read(most + 1)
    try:
        with Path(name).open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise Refusal("mtproxy.unread", path=name, reason=error.strerror) from None


def _set(obj: Invocation, key: str, typed: str, then: str) -> None:
    from app.accounts.actor import CLI
    from app.actions.mtproxy import export as write
    from app.actions.settings import set_settings

    system = obj.system()
    set_settings(system, CLI, {key: typed})
    write(system)
    value = getattr(system.declaration.last_good(), key)
    obj.answer({key: value}, " ".join(filter(None, (f"{key} is {value}.", then))))


def _answer_user(obj: Invocation, system: System, user: User) -> None:
    """The link of a user, and where it stands in files."""
    from app.actions.mtproxy import export as write
    from app.control import views
    from app.control.mtproxy_export import LINKS

    folder = write(system) / LINKS / user.id
    view = views.user(system, user.id)
    obj.answer({"name": view.name, "id": view.id, "secret": view.secret, "port": view.link_port, "state": view.state,
                "tg_link": view.tg_link, "tme_link": view.tme_link, "link_file": str(folder / "mtproxy_link.txt"),
                "qr_png": str(folder / "mtproxy_qr.png"), "qr_svg": str(folder / "mtproxy_qr.svg")},
               facts([("name", view.name), ("secret", view.secret), ("port", str(view.link_port)),
                      ("state", view.state), ("link", view.tg_link), ("web link", view.tme_link),
                      ("QR code", str(folder / "mtproxy_qr.png"))]))


def _reconnect(system: System, user: User) -> str:
    from app.control.preview import of_user

    others = of_user(system, user.id).users
    return f" {others} other {'user reconnects' if others == 1 else 'users reconnect'}." if others else ""


def section(containers: list[ContainerView], files_age_s: float | None) -> str:
    """What `status` tells of MTProxy."""
    return f"MTProxy, with Telegram's files {_aged(files_age_s)}\n\n{table_of(containers)}"


def _aged(files_age_s: float | None) -> str:
    return "missing" if files_age_s is None else f"of {duration(files_age_s)} ago"


def table_of(containers: list[ContainerView]) -> str:
    """What each container does."""
    rows = [[each.name, str(each.port), str(each.users), "ee" if each.tls else "dd, plain", each.state,
             *("?" if value is None else str(value) for value in (each.connections, each.created)),
             "?" if each.uptime is None else duration(each.uptime)]
            for each in containers]
    head = ["CONTAINER", "PORT", "USERS", "SECRETS", "STATE", "CONN", "TOTAL", "UPTIME"]
    return table(head, rows, right=(1, 2, 5, 6, 7)) if rows else "MTProxy has no users."
