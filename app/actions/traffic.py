"""What is done to traffic that was counted."""

from __future__ import annotations

from app.accounts.actor import Actor, Right
from app.control import passes, periods, views
from app.control.errors import refusing
from app.control.records import UserView
from app.control.system import System
from app.rules.users import find


def reset_traffic(system: System, actor: Actor, ref: str = "") -> list[UserView]:
    """Begin a new period for one user, or for all: nobody of them is throttled or blocked any more.

    Refused when the ledger can't take it; then nothing was changed.
    """
    actor.require(Right.USERS)
    passes.attempt(lambda: passes.sample(system))  # what was moved until now belongs to the old period
    config = system.declaration.last_good()
    chosen = [find(config, ref)] if ref else config.users
    with refusing():
        periods.reset(system.ledger, chosen, system.reconciler.now(), str(actor))
    passes.attempt(lambda: passes.reconcile(system))
    ids = {user.id for user in chosen}
    return [view for view in views.users(system) if view.id in ids]
