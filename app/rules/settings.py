"""Changes to settings, as changes to the declaration. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from app.config import model
from app.config.model import Config
from app.messages import Problem
from app.messages.refused import Refused
from app.rules import door


def change(config: Config, changes: Mapping[str, object]) -> Config:
    """Put these values, as typed, into `config`; returns what it then says. Raises Refused.

    Where the panel is to be served at the bare address, it gets a path there, unless it has one."""
    for key, value in changes.items():
        if key not in model.SETTINGS:
            raise Refused(model.unknown_setting(key))
        setattr(config, key, value)
        config.settle(key)
    try:
        changed = model.load(model.dump(config))
    except model.InvalidConfig as error:
        field = next(iter(changes)) if len(changes) == 1 else ""
        problems = [problem if problem.field else problem.about(field) for problem in error.problems]
        raise Refused.of([*problems, Problem("unchanged")]) from None
    if changed.panel_by_address and not changed.panel_path:
        config.panel_path = changed.panel_path = door.new_path()
    return changed
