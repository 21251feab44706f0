"""The page of a user: made, given a new address, removed; and the new link that somebody gives themselves there."""

from __future__ import annotations

from collections.abc import Callable

from app.accounts.actor import Actor, Right
from app.actions import users
from app.actions.declare import edit
from app.config.model import User
from app.control import passes, share_views
from app.control.errors import Refused, after_saving, refusing
from app.control.share_views import ShareAddress
from app.control.system import System
from app.messages import Problem
from app.rules import limits, share
from app.rules.users import find

#: Who renews a link on a page of their own: the token was the key, and nothing else of the panel is open to them.
VISITOR = Actor("user", Right.USERS)


def make_page(system: System, actor: Actor, ref: str) -> ShareAddress:
    """The page of this user, which is made if there is none."""
    return _change(system, actor, ref, "user.page_made", lambda user: user.share_token or share.new_token())


def renew_page(system: System, actor: Actor, ref: str) -> ShareAddress:
    """A new address for the page of this user: the one before leads nowhere from now on."""
    return _change(system, actor, ref, "user.page_renewed", lambda user: share.new_token())


def remove_page(system: System, actor: Actor, ref: str) -> ShareAddress:
    """Switch the page of this user off; a later one has another address."""
    return _change(system, actor, ref, "user.page_removed", lambda user: "")


def renew_link(system: System, token: str) -> None:
    """A new link for whoever asks for it on their own page, once an hour; the one before ends at once.

    Raises Refused, and then nothing was changed.
    """
    config, now = system.declaration.last_good(), system.reconciler.now().timestamp()
    user = share.find(config, token)
    # Whoever is kept out gets nothing new.
    if user is None or not config.share_renew or not user.enabled or limits.expired(user, system.reconciler.now()):
        raise Refused("share.not_allowed")
    with refusing():
        wait = system.ledger.share_renewals.take(user.id, now)
    if wait:
        raise Refused("share.too_soon", minutes=int(-(-wait // 60)))
    try:
        users.rotate(system, VISITOR, user.id)
    except Refused:
        with system.ledger.database.best_effort("a new link that came to nothing"):
            system.ledger.share_renewals.give_back(user.id)
        raise


def _change(system: System, actor: Actor, ref: str, event: str, token: Callable[[User], str]) -> ShareAddress:
    actor.require(Right.USERS)
    with edit(system) as config:
        user = find(config, ref)
        before, user.share_token = user.share_token, token(user)
        changed = user.share_token != before
    with after_saving(Problem("saved.user", {"action": Problem(event)})):
        if changed:
            system.ledger.events.record(str(actor), event, user.name, users=[user.id])
            # nginx lets nobody through to a page that it was not told of.
            passes.attempt(lambda: passes.reconcile(system))
        return share_views.address(system, user.id)
