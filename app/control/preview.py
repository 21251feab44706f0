"""What a change of the declaration would interrupt, and what of it would be refused, before it is made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from app.config import containers, values
from app.config.model import Config, User, new_id
from app.control import views
from app.control.errors import Refused
from app.control.system import System
from app.engines.base import engine_name
from app.mtproto.secret import Secret
from app.rules import domains, many, plans, settings, users
from app.runtimes.base import RuntimeFailure


@dataclass(frozen=True)
class Interruption:
    """users: whose connections would end. connected: how many of them are connected now; None if their engine does not
    tell."""

    users: int
    connected: int | None


def of_settings(system: System, changes: Mapping[str, object]) -> Interruption:
    """What setting these, as typed, would interrupt. Nothing where it can't be known; what is refused is told when it
    is saved."""
    try:
        return _between(system, system.declaration.last_good(), changed(system, changes))
    except Refused:
        return Interruption(0, 0)


def changed(system: System, changes: Mapping[str, object]) -> Config:
    """The declaration as it would be with these settings, as typed. Raises Refused for what breaks a rule that can be
    looked at without asking anybody."""
    return settings.change(system.declaration.last_good().model_copy(deep=True), changes)


def try_user(system: System, changes: Mapping[str, object], user_id: str = "") -> None:
    """Make these changes, as typed, to a user ("": a new one) of a copy of the declaration. Raises Refused for what
    breaks a rule that can be looked at without asking anybody."""
    config = system.declaration.last_good().model_copy(deep=True)
    if user_id:
        users.change(config, users.find(config, user_id), changes, _ALONE)
    else:
        users.add(config, changes, True, _ALONE)


def try_names(system: System, names: Sequence[str]) -> None:
    """The same for new users of these names."""
    many.add_all(system.declaration.last_good().model_copy(deep=True), names, {}, _ALONE)


def try_plan(system: System, changes: Mapping[str, object], plan_id: str = "") -> None:
    """The same for a plan."""
    config = system.declaration.last_good().model_copy(deep=True)
    if plan_id:
        plans.change(config, plans.find(config, plan_id), changes)
    else:
        plans.add(config, changes)


def _refuse_conflict(config: Config, domain: str, user: User | None) -> None:
    if why := domains.conflict(config, domain, user, values.now()):
        raise Refused(why)


#: Nothing is asked, neither DNS nor the machine.
_ALONE = users.Checks(port_taken=lambda port: None, refuse_domain=_refuse_conflict, port_free=lambda port: True)


def of_user(system: System, user_id: str, enabled: bool = False) -> Interruption:
    """What a change of this user would interrupt beside their own proxy: the connections of all whom the same workload
    serves, if that is restarted by it. enabled: whether the change lets them in; if not, they get another key, or
    leave."""
    def change(config: Config) -> None:
        user = next((user for user in config.users if user.id == user_id), None)
        if user and enabled:
            user.enabled = True
        elif user:
            config.users.remove(user)

    return _of_others(system, change, user_id)


def of_new_user(system: System, changes: Mapping[str, object]) -> Interruption:
    """What one more user with these fields, as typed, would interrupt."""
    engine = str(changes.get("engine") or "")

    def change(config: Config) -> None:
        ids, ports = {user.id for user in config.users}, {user.port for user in config.users}
        secret = Secret.generate("www.example.com") if changes.get("domain") else Secret.padded()
        config.users.append(User(id=new_id(ids), name="new", secret=secret.hex,
                                 engine=engine,
                                 port=next(port for port in range(65535, 0, -1) if port not in ports)))
        containers.settle(config.users, config.engine, config.mtproxy_first_port, config.shared_port)

    return Interruption(0, 0) if engine and engine not in system.engines else _of_others(system, change)


def _of_others(system: System, change: Callable[[Config], None], user_id: str = "") -> Interruption:
    before = system.declaration.last_good()
    if not _is_costly(system, before):
        return Interruption(0, 0)
    after = before.model_copy(deep=True)
    change(after)
    return _between(system, before, after, but={user_id})


def _is_costly(system: System, config: Config) -> bool:
    """Whether somebody is served by an engine that restarts many for a change of one."""
    used = {engine_name(user, config, system.engines) for user in config.users}
    return any(engine.capabilities.shared and engine.capabilities.restarts
               for name, engine in system.engines.items() if name in used)


def _between(system: System, before: Config, after: Config, but: Collection[str] = ()) -> Interruption:
    there = {user.id for user in before.users}.difference(but)
    try:
        ended = (system.reconciler.interrupted(after) - system.reconciler.interrupted(before)) & there
    except RuntimeFailure:
        return Interruption(0, 0)
    rows = [row for row in (views.status(system, whole=False).rows if ended else ()) if row.user.id in ended]
    if any(row.engine in system.engines and not system.engines[row.engine].capabilities.counts for row in rows):
        return Interruption(len(ended), None)
    return Interruption(len(ended), sum(row.connections > 0 for row in rows))
