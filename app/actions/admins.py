"""What is done to admins: the declaration is changed, sessions end, and the audit log knows."""

from __future__ import annotations

from collections.abc import Mapping

from app.accounts import admins
from app.accounts.actor import Actor, Right
from app.accounts.logins import Place
from app.config.model import Admin, Role
from app.control.errors import refusing
from app.control.system import System
from app.messages import Problem
from app.messages.refused import Refused

_ROLES: Mapping[Role, str] = {"owner": "event.owner", "operator": "event.operator", "viewer": "event.viewer"}


def check_login(system: System, username: str, password: str, place: Place) -> Admin | None:
    """See Logins.check; who asks is known only afterwards, so there is no actor."""
    with refusing():
        return system.logins.check(username, password, place)


def create_admin(system: System, actor: Actor, username: str, password: str, role: str = "operator") -> str:
    """The name of the new admin, in the spelling that is kept. role: one of config.model.ROLES, as typed."""
    actor.require(Right.SUDO)
    with refusing():
        admin = admins.create(system.file, username, password, admins.role_of(role))
    system.ledger.events.record(str(actor), "admin.created", admin.username, Problem(_ROLES[admin.role]))
    return admin.username


def set_password(system: System, actor: Actor, username: str, password: str | None = None) -> str:
    """Give an admin this password, or a new random one, and return it. Ends that admin's sessions, and lets in
    who was locked out by others' failures."""
    actor.require(Right.SUDO)
    with refusing():
        chosen = admins.set_password(system.file, username, password)
    system.logins.end_sessions(username)
    if password is None:
        system.logins.let_in(username)
    else:
        system.logins.forgive(username)
    system.ledger.events.record(str(actor), "admin.password_reset", username)
    return chosen


def set_own_password(system: System, actor: Actor, current: str, new: str, place: Place) -> Admin:
    """The admin with the new password, who knows the one until now. Ends all sessions of theirs. Raises LoginThrottled
    and LoginBusy, as a guess is a guess."""
    actor.require(Right.VIEW)
    with refusing():
        if system.logins.check(actor.name, current, place, login=False) is None:
            raise Refused("password.wrong", "current")
        admins.set_password(system.file, actor.name, new)
    system.logins.end_sessions(actor.name)
    system.ledger.events.record(str(actor), "admin.password_changed", actor.name)
    return admins.known(system.declaration.last_good(), actor.name)


def keep_first_password(system: System, actor: Actor) -> None:
    """The admin knows that their password was shown in a terminal, and keeps it: nobody asks again."""
    actor.require(Right.SUDO)
    with refusing():
        kept = admins.keep_first_password(system.file, actor.name)
    if kept:
        system.ledger.events.record(str(actor), "admin.password_kept", actor.name)


def remove_admin(system: System, actor: Actor, username: str) -> None:
    """This admin can no longer log in, and is logged out. Refused for the last owner."""
    actor.require(Right.SUDO)
    with refusing():
        admins.remove(system.file, username)
    system.logins.end_sessions(username)
    system.ledger.events.record(str(actor), "admin.removed", username)


def set_role(system: System, actor: Actor, username: str, role: str) -> Admin:
    """Give an admin this role, as typed. Refused where the last owner would be none."""
    actor.require(Right.SUDO)
    with refusing():
        admin = admins.set_role(system.file, username, admins.role_of(role))
    system.ledger.events.record(str(actor), "admin.changed", username, Problem(_ROLES[admin.role]))
    return admin
