"""What is done to MTProxy beside its users: Telegram's files by hand, and secrets of another installation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.accounts.actor import Actor, Right
from app.actions.declare import declare
from app.actions.users import checks_of
from app.checks.telegram_files import FetchFailure
from app.config import containers
from app.config.model import Config, User
from app.control import passes, telegram_files, views
from app.control.errors import after_saving
from app.control.system import System
from app.engines.mtproxy.telegram_files import NotTelegrams
from app.messages import Problem
from app.messages.refused import Refused
from app.mtproto.secret import FAKETLS, PADDED, Secret
from app.rules import users


@dataclass(frozen=True)
class Imported:
    """A secret of another installation. name: "" for one that is made up."""

    secret: Secret
    name: str = ""
    active: bool = True


def give_files(system: System, actor: Actor, secret: bytes, conf: bytes) -> None:
    """Let these be proxy-secret and proxy-multi.conf. Raises Refused; those of before stay then."""
    actor.require(Right.SUDO)
    kept = telegram_files.store(system)
    if kept is None:
        raise Refused("engine.mtproxy_needs_docker")
    try:
        changed = kept.keep(secret, conf)
    except NotTelegrams as refusal:
        raise Refused(refusal.problem) from None
    except OSError as error:
        raise Refused("mtproxy.files_unkept", reason=error.strerror) from None
    telegram_files.taken_over(system, changed)


def fetch_files(system: System, actor: Actor) -> None:
    """Download both now. Raises Refused."""
    actor.require(Right.SUDO)
    if telegram_files.store(system) is None:
        raise Refused("engine.mtproxy_needs_docker")
    try:
        telegram_files.renew(system)
    except (FetchFailure, NotTelegrams) as failure:
        raise Refused(failure.problem) from None
    except OSError as error:
        raise Refused("mtproxy.files_unkept", reason=error.strerror) from None


def add_secret(system: System, actor: Actor, secret: Secret, name: str = "") -> User:
    """A user of MTProxy with this secret. name: "" for a made-up one, which is free. Raises Refused."""
    (user,) = bring(system, actor, [Imported(secret, name)])
    return user


def bring(system: System, actor: Actor, secrets: Sequence[Imported]) -> list[User]:
    """A user of MTProxy for each of these secrets that nobody has yet, by one save and one pass. Raises Refused."""
    actor.require(Right.USERS)

    def change(config: Config) -> list[User]:
        known = {Secret.parse(user.secret).key for user in config.users}
        checks, added = checks_of(system, config), []
        for each in secrets:
            if each.secret.key in known:
                continue
            known.add(each.secret.key)
            name = each.name if each.name and not _is_taken(config, each.name) else _free_name(config)
            added.append(users.add(config, {"name": name, "engine": containers.ENGINE, "link": each.secret.hex},
                                   each.active, checks))
        return added

    added = declare(system, change)
    if added:
        with after_saving(Problem("saved.user", {"action": Problem("user.added")})):
            passes.attempt(lambda: passes.reconcile(system))
            for user in added:
                system.ledger.events.record(str(actor), "user.added", user.name, users=[user.id])
    return added


def unserved(system: System, user_ids: Collection[str]) -> list[Problem]:
    """Why some of these users, who are kept, are not served: each reason once."""
    reasons = [view.reason for view in views.users(system) if view.id in user_ids and view.state == "failed"]
    return [reason for number, reason in enumerate(reasons) if reason and reason not in reasons[:number]]


def export(system: System) -> Path:
    """Write the files for other programs now; the panel does so by itself after a change. Returns their folder. Raises
    Refused."""
    folder = system.mtproxy_export.folder
    try:
        system.mtproxy_export.write()
    except OSError as error:
        raise Refused("mtproxy.not_exported", path=folder, reason=error.strerror) from None
    return folder


def find(config: Config, ref: str) -> User:
    """The user of MTProxy with this secret, as hex or base64 with its prefix or without, or with this name or id.
    Raises Refused."""
    try:
        key = Secret.parse(ref).key
    except ValueError:
        key = b""
    found = next((user for user in containers.users_of(config) if key and Secret.parse(user.secret).key == key), None)
    if found is None:
        found = users.find(config, ref)
        if found not in containers.users_of(config):
            raise Refused("mtproxy.not_its_user", "name", name=found.name)
    return found


def read_export(document: object) -> list[Imported]:
    """The secrets of a mtproxy_secrets.json that was parsed. Raises Refused, and takes nothing, for anything else."""
    entries = document.get("secrets") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise Refused("mtproxy.no_export")
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            secret = Secret.parse(entry["value"])
            if entry.get("padding_enabled") and secret.kind != FAKETLS:
                secret = Secret(PADDED, secret.key)
            name = entry.get("name", "")
            found.append(Imported(secret, name if isinstance(name, str) else "",
                                  bool(entry.get("active", True))))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            reason = error if isinstance(error, ValueError) else Problem("mtproxy.no_value")
            raise Refused("mtproxy.bad_entry", number=number, reason=reason) from None
    return found


def _is_taken(config: Config, name: str) -> bool:
    return any(user.name.casefold() == name.casefold() for user in config.users)


def _free_name(config: Config) -> str:
    taken = {user.name.casefold() for user in config.users}
    return next(name for number in range(1, len(taken) + 2) if (name := f"mtproxy-{number}") not in taken)
