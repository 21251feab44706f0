"""What is done to proxies that run: start, stop and restart, all of them or one."""

from __future__ import annotations

from app.accounts.actor import Actor, Right
from app.actions.declare import edit
from app.control import passes, views
from app.control.errors import Refused, after_saving, refusing
from app.control.outcome import Outcome
from app.control.system import System
from app.messages import Problem
from app.rules.users import find


def start_all(system: System, actor: Actor) -> list[Outcome]:
    """End the declared stop: every enabled user's proxy runs again."""
    return _stop_or_start(system, actor, False, "proxies.started")


def stop_all(system: System, actor: Actor) -> list[Outcome]:
    """Stop every proxy, whoever is enabled, until start_all; a reboot respects it."""
    return _stop_or_start(system, actor, True, "proxies.stopped")


def restart(system: System, actor: Actor, ref: str = "") -> list[Outcome]:
    """Restart one user's proxy, or all of them; whoever is stopped or disabled stays so. Refused for one user of a
    proxy that serves others, too."""
    actor.require(Right.USERS if ref else Right.SUDO)
    config = system.declaration.last_good()
    users = [find(config, ref)] if ref else config.users
    if ref and (view := views.user(system, users[0].id)).shared:
        raise Refused("proxy.shared", name=view.name, engine=view.served_by)
    with refusing():
        outcomes = system.reconciler.restart(system.declaration.read, {user.id for user in users})
    if ref:
        system.ledger.events.record(str(actor), "proxy.restarted", users[0].name, users=[users[0].id])
    else:
        system.ledger.events.record(str(actor), "proxies.restarted")
    return outcomes


def reconcile(system: System, actor: Actor) -> list[Outcome]:
    """Compare what is declared with what runs, and apply the difference, once."""
    actor.require(Right.USERS)
    return passes.reconcile(system)


def stop_everything(system: System, actor: Actor) -> list[Outcome]:
    """End every proxy without changing the declaration; the next reconcile starts them again."""
    actor.require(Right.SUDO)
    with refusing():
        return system.reconciler.stop_everything()


def _stop_or_start(system: System, actor: Actor, stopped: bool, action: str) -> list[Outcome]:
    actor.require(Right.SUDO)
    with edit(system) as config:
        config.proxies_stopped = stopped
    saved = Problem("saved.stopped" if stopped else "saved.started")
    with after_saving(saved):
        system.ledger.events.record(str(actor), action)
        try:
            return passes.reconcile(system)
        except Refused as refused:
            return [Outcome("stop" if stopped else "start", "all proxies", "", False,
                            Problem("proxies.later", {"saved": saved, "reason": refused}))]
