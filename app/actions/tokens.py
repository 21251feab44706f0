"""What is done to tokens of the API: made, looked at, removed."""

from __future__ import annotations

from app.accounts import tokens
from app.accounts.actor import Actor, Right
from app.accounts.admins import find
from app.config.model import ApiToken
from app.control.errors import refusing
from app.control.records import TokenView, moment
from app.control.system import System
from app.ledger.token_uses import Use
from app.lib.zone import server_zone
from app.messages import Problem
from app.messages.refused import Refused


def create_token(system: System, actor: Actor, name: str, scope: str, days: int = 0,
                 admin: str = "") -> tuple[TokenView, str]:
    """A new token of the admin who asks, and its text, which is shown this once. days: until it ends, 0 for never.
    admin: another one whose it is to be, for whoever can run commands. No token makes another one: one that was lost
    would never end."""
    actor.require(Right.VIEW)
    if actor.token or not (actor.name or admin):
        raise Refused("token.by_token")
    if admin not in ("", actor.name):
        actor.require(Right.SUDO)
    with refusing():
        token, text = tokens.create(system.file, admin or actor.name, name, scope, days, system.reconciler.now())
    _record(system, actor, "token.created", token)
    return _view(system, token), text


def remove_token(system: System, actor: Actor, token_id: str) -> TokenView:
    """It is worth nothing from now on. Whoever may change admins removes anybody's, others their own."""
    actor.require(Right.VIEW)
    with refusing():
        token = tokens.remove(system.file, token_id, None if actor.may(Right.SUDO) else actor.name)
    _record(system, actor, "token.removed", token)
    return _view(system, token)


def every_token(system: System, actor: Actor) -> list[TokenView]:
    """One's own; for whoever may change admins, everybody's."""
    actor.require(Right.VIEW)
    with refusing():
        uses = system.ledger.token_uses.last()
    return [_view(system, token, uses.get(token.id)) for token in system.declaration.last_good().api_tokens
            if actor.may(Right.SUDO) or token.admin == actor.name]


def _view(system: System, token: ApiToken, use: Use | None = None) -> TokenView:
    zone, now = server_zone(), system.reconciler.now()
    return TokenView(
        id=token.id, name=token.name, admin=token.admin, scope=token.scope,
        created_at=token.created_at.astimezone(zone).isoformat(),
        expires_at=token.expires_at.astimezone(zone).isoformat() if token.expires_at else None,
        expired=token.expires_at is not None and token.expires_at <= now,
        orphaned=find(system.declaration.last_good(), token.admin) is None,
        last_used_at=moment(use.at, zone) if use else None, last_address=use.address if use else "")


def _record(system: System, actor: Actor, event: str, token: ApiToken) -> None:
    system.ledger.events.record(str(actor), event, token.name,
                                Problem("event.token", {"scope": token.scope, "admin": token.admin}))
