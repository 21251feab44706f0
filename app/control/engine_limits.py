"""What an engine does not do, by its capabilities: whom it can't serve, and which settings it does not use."""

from __future__ import annotations

from app.config.model import Config
from app.engines.base import Engine
from app.messages import Problem
from app.mtproto.secret import FAKETLS
from app.rules.links import UserLink

#: The catch of a setting that an engine is cautioned for.
_CATCHES = {"proxy_blocklist": "engine.blocklist_private"}


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


def engine_notes(engine: Engine, config: Config) -> list[Problem]:
    """What of the declaration this engine does not do, or does with a catch."""
    can = engine.capabilities
    return [*(Problem("engine.ignores", {"setting": field, "engine": _title(engine)}) for field in can.ignores
              if getattr(config, field)),
            *(Problem(_CATCHES[field]) for field in can.cautions if getattr(config, field))]


def _title(engine: Engine) -> Problem | str:
    return Problem("engine.builtin") if engine.name == "builtin" else engine.name
