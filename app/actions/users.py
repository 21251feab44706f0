"""What is done to users: add, change, enable, disable, rotate, remove."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.accounts.actor import Actor, Right
from app.actions.declare import declare, edit
from app.config.model import Config, DeletedUser, User
from app.control import passes, periods, views
from app.control.errors import after_saving
from app.control.records import UserView
from app.control.system import System
from app.messages import Problem
from app.rules import trash, users
from app.runtimes.base import RuntimeUnavailable

#: Raises Refused for a user who is not as the caller saw them (rules/seen); asked of what is then changed.
Check = Callable[[User], None]


def unchecked(user: User) -> None:
    """Whatever the user is like by now."""


def add_user(system: System, actor: Actor, name: str, *, enabled: bool = True, **fields: object) -> UserView:
    """A new user, whose proxy is started if they are enabled. fields: as typed, those of rules.users.CHANGEABLE
    and `link`, another proxy's link or secret to take over; what is left out, or None, is what is set for all."""
    actor.require(Right.USERS)
    changes = {"name": name, **fields}
    user = declare(system, lambda config: users.add(config, changes, enabled, checks_of(system, config)))
    return _changed(system, actor, user.id, "user.added")


def update_user(system: System, actor: Actor, ref: str, changes: Mapping[str, object],
                check: Check = unchecked) -> UserView:
    """Values as they are typed; what is not named stays as it is."""
    actor.require(Right.USERS)

    def change(config: Config) -> tuple[User, User]:
        user = users.find(config, ref)
        check(user)
        before = user.model_copy()
        users.change(config, user, changes, checks_of(system, config))
        return user, before

    user, before = declare(system, change)
    return _changed(system, actor, user.id, "user.changed", Problem("event.fields", {"names": list(changes)}),
                    (before, user))


def enable(system: System, actor: Actor, ref: str, check: Check = unchecked) -> UserView:
    """Let a user in again."""
    actor.require(Right.USERS)
    with edit(system) as config:
        user = users.find(config, ref)
        check(user)
        user.enabled = True
    return _changed(system, actor, user.id, "user.enabled")


def disable(system: System, actor: Actor, ref: str, check: Check = unchecked) -> UserView:
    """Lock a user out; live connections end at once."""
    actor.require(Right.USERS)
    with edit(system) as config:
        user = users.find(config, ref)
        check(user)
        user.enabled = False
    return _changed(system, actor, user.id, "user.disabled")


def rotate(system: System, actor: Actor, ref: str, check: Check = unchecked) -> UserView:
    """A new secret: the old link stops working at once."""
    actor.require(Right.USERS)
    with edit(system) as config:
        user = users.find(config, ref)
        check(user)
        before = user.model_copy()
        users.rotate(user)
    return _changed(system, actor, user.id, "user.rotated", links=(before, user))


def remove(system: System, actor: Actor, ref: str, for_good: bool = False,
           check: Check = unchecked) -> UserView:
    """Delete a user, who can be restored for a while; returns how the user last looked. for_good: nobody can."""
    actor.require(Right.USERS)
    last = views.user(system, ref)
    with edit(system) as config:
        user = users.find(config, last.id)
        check(user)
        gone = trash.discard(config, user, system.reconciler.now())
        if for_good:
            gone.append(trash.find(config, last.id))
            trash.forget(config, gone)
    with after_saving(Problem("saved.removed", {"name": last.name})):
        passes.attempt(lambda: passes.reconcile(system))
        periods.forget(system.ledger, [user.id for user in gone])
        system.ledger.events.record(str(actor), "user.removed", last.name, users=[last.id])
    return last


def restore(system: System, actor: Actor, ref: str) -> tuple[UserView, list[Problem]]:
    """Bring a deleted user back as they were; and what is not, because somebody else has it by now."""
    actor.require(Right.USERS)
    user, changed = declare(system, lambda config: trash.restore(
        config, trash.find(config, ref), checks_of(system, config), system.reconciler.now()))
    return _changed(system, actor, user.id, "user.restored"), changed


def forget(system: System, actor: Actor, ref: str) -> DeletedUser:
    """End the time in which a deleted user can be restored."""
    actor.require(Right.USERS)
    with edit(system) as config:
        gone = trash.find(config, ref)
        trash.forget(config, [gone])
    with after_saving(Problem("saved.removed", {"name": gone.name})):
        periods.forget(system.ledger, [gone.id])
        system.ledger.events.record(str(actor), "user.forgotten", gone.name, users=[gone.id])
    return gone


def _changed(system: System, actor: Actor, user_id: str, action: str, detail: Problem | str = "",
             links: tuple[User, User] | None = None) -> UserView:
    """The declaration is saved: what can't be applied now is told in the view, and applied later. links: the user
    before and after a change that may have made another link."""
    with after_saving(Problem("saved.user", {"action": Problem(action)})):
        name = users.find(system.declaration.last_good(), user_id).name
        system.ledger.events.record(str(actor), action, name, detail, users=[user_id])
        passes.attempt(lambda: passes.reconcile(system))
        if links:
            periods.forget_use_elsewhere(system.ledger, *links, by_name=system.declaration.last_good().port_443_mode)
        return views.user(system, user_id)


def checks_of(system: System, config: Config) -> users.Checks:
    """What a change to this declaration has to know of the world."""
    return users.Checks(
        port_taken=lambda port: _port_taken(system, config, port),
        refuse_domain=lambda config, domain, user: system.port443.refuse_domain(
            config, domain, user, system.reconciler.now()),
        port_free=lambda port: _port_free(system, config, port))


def _port_taken(system: System, config: Config, port: int) -> Problem | None:
    if config.port_443_mode and system.port443.edge:
        return None  # nothing listens there; it is the number in the proxy's name
    try:
        return system.runtime.port_taken(port, config.proxy_bind)
    except RuntimeUnavailable:
        return None  # found out, and told, when the runtime is back and the proxy is started


def _port_free(system: System, config: Config, port: int) -> bool:
    if config.port_443_mode and system.port443.edge:
        return True
    try:
        return system.runtime.port_free(port, config.proxy_bind)
    except RuntimeUnavailable:
        return True
