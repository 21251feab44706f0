"""What is done to settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from app.accounts.actor import Actor, Right
from app.actions.declare import declare, edit
from app.checks.tls import TlsCheck, check_all
from app.config import containers
from app.config.model import Config
from app.control import passes, views
from app.control.errors import Refused, after_saving
from app.control.port443 import NGINX_SETTINGS
from app.control.system import System
from app.edge.base import EdgeFailure, EdgeUnavailable
from app.engines.base import engine_name
from app.messages import Problem
from app.rules import settings
from app.runtimes.base import RuntimeFailure, RuntimeUnavailable


def set_settings(system: System, actor: Actor, changes: Mapping[str, object],
                 check: Callable[[Config], None] = lambda config: None) -> dict[str, object]:
    """Set several settings, or none of them. Values may be text as typed: the model reads them.

    What nginx does not accept is taken back, and so is port 443 if it does not come up. check: as in update_user.
    """
    actor.require(Right.SUDO)

    def change(config: Config) -> tuple[Config, Config]:
        before = config.model_copy(deep=True)
        check(before)
        after = settings.change(config, changes)
        needed = before.port_443_mode and _is_shared(system, after)
        if (needed or after.shared_port != before.shared_port) and not after.port_443_mode:
            _refuse_taken(system, after, after.shared_port, "shared_port")
        if after.mtproxy_first_port != before.mtproxy_first_port:
            new = containers.ports(after.users, after.mtproxy_first_port) or {after.mtproxy_first_port}
            for port in sorted(new - containers.ports(before.users, before.mtproxy_first_port)):
                _refuse_taken(system, after, port, "mtproxy_first_port")
        system.port443.refuse_settings(after, before, system.reconciler.now())
        return before, after

    before, after = declare(system, change)
    with after_saving(Problem("saved.settings")):
        to_nginx = any(key in NGINX_SETTINGS for key in changes)
        taken_back = _serve_or_take_back(system, changes, before, after) if to_nginx else None
        passes.attempt(lambda: passes.reconcile(system))
        if "server_domain" in changes or "server_ip" in changes:
            passes.look_at_server(system)
        if not taken_back:
            system.ledger.events.record(str(actor), "settings.changed", "",
                                        Problem("event.fields", {"names": list(changes)}))
    if taken_back:
        raise taken_back
    return views.settings(system)


def _is_shared(system: System, config: Config) -> bool:
    """Whether an engine that serves users together serves anybody."""
    used = {engine_name(user, config, system.engines) for user in config.users}
    return any(engine.capabilities.shared for name, engine in system.engines.items() if name in used)


def _refuse_taken(system: System, config: Config, port: int, field: str) -> None:
    """Raise Refused if somebody has the port of this setting: all who are served there would be without a proxy."""
    for user in config.users:
        if user.port == port:
            raise Refused("port.of_user", field, port=port, name=user.name)
    try:
        by = system.runtime.port_taken(port, config.proxy_bind)
    except RuntimeUnavailable:
        return  # found out, and told, when the runtime is back
    if by:
        raise Refused(by.about(field))


def check_domains(system: System, actor: Actor, names: Iterable[str] | None = None) -> list[TlsCheck]:
    """Whether these domains, or those of the pool, answer on port 443 with TLS 1.3 and a valid certificate."""
    actor.require(Right.SUDO)
    return check_all(list(names) if names else system.declaration.last_good().domain_pool)


def _serve_or_take_back(system: System, changes: Mapping[str, object], before: Config,
                        after: Config) -> Refused | None:
    """Let nginx serve the declaration that was just saved, or save what stood there before: then the refusal."""
    try:
        system.reconciler.serve(after)
    except (EdgeFailure, RuntimeFailure) as failure:
        switched_on = after.port_443_mode and not before.port_443_mode
        if isinstance(failure, EdgeUnavailable) and not switched_on:
            return None  # told as a problem, and applied when nginx is back
        with edit(system) as config:
            for key in changes:
                setattr(config, key, getattr(before, key))
        field = "port_443_mode" if switched_on else next((k for k in changes if k in NGINX_SETTINGS), "")
        return Refused("settings.taken_back", field, reason=list(failure.problems))
    return None
