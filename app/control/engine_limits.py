"""What an engine does not do, by its capabilities: whom it can't serve, and which settings it does not use."""

from __future__ import annotations

from app.config.model import Config
from app.engines.base import Engine
from app.messages import Problem
from app.mtproto.secret import FAKETLS
from app.rules.links import UserLink

#: How engines are called where their name alone says little.
_TITLES = {"builtin": "the built-in engine"}

#: The catch of a setting that an engine is cautioned for.
_CATCHES = {
    "proxy_blocklist": "proxy_blocklist is on: firehol_level1 holds the private ranges, so clients in this "
                       "server's own network (and those that Docker shows with its own address) are refused",
}


def unserved(link: UserLink, engine: Engine) -> Problem | None:
    """Why this engine can't serve a link with such a secret, and what would help; None if it can."""
    taken = engine.capabilities.secrets
    if link.secret.kind in taken:
        return None
    if taken == {FAKETLS}:
        return Problem("engine.only_faketls", {"engine": _title(engine), "name": link.user.name,
                                               "kind": link.secret.kind})
    return Problem("engine.secrets", {"engine": _title(engine), "name": link.user.name, "kind": link.secret.kind,
                                      "kinds": sorted(taken)})


def engine_notes(engine: Engine, config: Config) -> list[str]:
    """What of the declaration this engine does not do, or does with a catch, one sentence each."""
    can = engine.capabilities
    return [*(f"{field} is set, but {_title(engine)} does not use it" for field in can.ignores
              if getattr(config, field)),
            *(_CATCHES[field] for field in can.cautions if getattr(config, field))]


def _title(engine: Engine) -> str:
    return _TITLES.get(engine.name, engine.name)
