"""What an engine does not do, by its capabilities: whom it can't serve, and which settings it does not use."""

from __future__ import annotations

from collections.abc import Mapping

from app.config.model import Config, User
from app.engines.base import ENGINE, NOBODY, Engine, default_engine, engine_name, together
from app.messages import Problem
from app.mtproto.secret import FAKETLS
from app.rules.limits import max_unique_ips
from app.rules.links import UserLink, link_port

#: The catch of a setting that an engine is cautioned for.
_CATCHES = {"proxy_blocklist": "engine.blocklist_private"}


#: What is said of a link that is not served, though the engine of its user runs.
REFUSALS = frozenset({"engine.not_here", "engine.only_faketls", "engine.secrets", "engine.too_many"})


def unserved(link: UserLink, name: str, engines: Mapping[str, Engine]) -> Problem | None:
    """Why the engine of this name can't serve a link here, and what would help; None if it can."""
    engine = engines.get(name)
    if engine is None:
        return Problem("engine.not_here", {"engine": name, "available": sorted(engines)})
    taken = engine.capabilities.secrets
    if link.secret.kind in taken:
        return None
    if taken == {FAKETLS}:
        return Problem("engine.only_faketls", {"engine": _title(engine), "name": link.user.name,
                                               "kind": link.secret.kind})
    return Problem("engine.secrets", {"engine": _title(engine), "name": link.user.name, "kind": link.secret.kind,
                                      "kinds": sorted(taken)})


def ports_of_move(user: User, config: Config, edge_port: int, engines: Mapping[str, Engine], now: str, to: str
                  ) -> tuple[int, int]:
    """The port that the user's links carry with the engine `now`, and with the engine `to`."""
    def port(name: str) -> int:
        return link_port(user, config, edge_port, together(user, config, engines.get(name)))

    return port(now), port(to)


def user_notes(user: User, config: Config, engines: Mapping[str, Engine], limited: bool = False) -> list[Problem]:
    """What of this user's declaration is not done. limited: whether the limit on addresses was read back, from whoever
    keeps it for the engine."""
    engine = engines.get(engine_name(user, config, engines))
    if not engine or not max_unique_ips(user, config) or engine.capabilities.devices == ENGINE or limited:
        return []
    if config.port_443_mode:
        return [Problem("engine.no_address_limit_443", {"limit": max_unique_ips(user, config)})]
    if engine.capabilities.devices == NOBODY:
        return [Problem("engine.no_address_limit", {"engine": _title(engine), "limit": max_unique_ips(user, config)})]
    return []


def engine_notes(engines: Mapping[str, Engine], config: Config) -> list[Problem]:
    """What of the declaration its users' engines do not do, or do with a catch."""
    used = {engine_name(user, config, engines) for user in config.users} or {default_engine(config, engines)}
    return [note for name, engine in engines.items() if name in used for note in (
        *([] if engine.capabilities.counts else [Problem("engine.uncounted", {"engine": _title(engine)})]),
        *(Problem("engine.ignores", {"setting": field, "engine": _title(engine)})
          for field in engine.capabilities.ignores if getattr(config, field)),
        *(Problem(_CATCHES[field]) for field in engine.capabilities.cautions if getattr(config, field)))]


def _title(engine: Engine) -> Problem | str:
    return Problem("engine.builtin") if engine.name == "builtin" else engine.name
