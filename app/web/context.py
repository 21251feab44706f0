"""What every handler needs: the system it works on, the admin who asks, the address they ask from."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import abort, current_app, g, request

from app.accounts.actor import RIGHTS, Actor, Right

if TYPE_CHECKING:
    from app.config.model import Admin, Config
    from app.control.system import System


def the_system() -> System:
    """The system of the application that is answering now."""
    return cast("System", current_app.extensions["system"])


def now() -> float:
    """Unix seconds, by which things end: never earlier than it has been."""
    return the_system().ledger.latest.now()


def the_config() -> Config:
    """The declaration, or the last good one."""
    return the_system().declaration.last_good()


def current_admin() -> Admin | None:
    """The admin who is logged in, None for a stranger."""
    return cast("Admin | None", g.get("admin"))


def actor() -> Actor:
    """Who makes this request's changes, with the rights of the admin who is logged in.

    Every change needs it, and nothing but a POST, with its token checked, may change anything: a view that
    forgets to ask for the method (Flask answers HEAD where it answers GET) ends here, with a 405.
    """
    if request.method != "POST":
        abort(405)
    admin = current_admin()
    return Actor.of_admin("web", admin) if admin else Actor("web", Right.NONE)


def may(right: Right) -> bool:
    """Whether whoever is logged in has this right: for what is shown and offered; actions ask by themselves."""
    admin = current_admin()
    return admin is not None and RIGHTS[admin.role] >= right


def sees_secrets() -> bool:
    """Whether whoever is logged in may see secrets, links and addresses of users' own pages."""
    return may(Right.USERS)


def client_address() -> str:
    """The address that login attempts are counted by; forwarded.py decides who may name it."""
    return request.remote_addr or "unknown"


def door() -> str:
    """By which door of nginx somebody came, "local", "https", or "share" for that of users' own pages; "" without
    nginx. What anybody else says of it was dropped by forwarded.py."""
    said = request.headers.get("X-Panel-Door", "")
    return said if said in ("local", "https", "share") else ""
