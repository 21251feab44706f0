"""What is done to admins: the declaration is changed, sessions end, and the audit log knows."""

from __future__ import annotations

from app.accounts import admins
from app.accounts.actor import Actor, Right
from app.accounts.logins import Place
from app.config.model import Admin
from app.control.errors import refusing
from app.control.system import System
from app.messages import Problem


def check_login(system: System, username: str, password: str, place: Place) -> Admin | None:
    """See Logins.check; who asks is known only afterwards, so there is no actor."""
    with refusing():
        return system.logins.check(username, password, place)


def create_admin(system: System, actor: Actor, username: str, password: str, sudo: bool = False) -> str:
    """The name of the new admin, in the spelling that is kept."""
    actor.require(Right.SUDO)
    with refusing():
        admin = admins.create(system.file, username, password, sudo)
    system.ledger.events.record(str(actor), "admin.created", admin.username, Problem("event.may") if sudo else "")
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


def remove_admin(system: System, actor: Actor, username: str) -> None:
    """This admin can no longer log in, and is logged out. Refused for the last who may change settings."""
    actor.require(Right.SUDO)
    with refusing():
        admins.remove(system.file, username)
    system.logins.end_sessions(username)
    system.ledger.events.record(str(actor), "admin.removed", username)


def set_sudo(system: System, actor: Actor, username: str, sudo: bool) -> Admin:
    """Let an admin change settings, or no longer. Refused for the last who may."""
    actor.require(Right.SUDO)
    with refusing():
        admin = admins.set_sudo(system.file, username, sudo)
    system.ledger.events.record(str(actor), "admin.changed", username,
                                Problem("event.may" if sudo else "event.may_not"))
    return admin
