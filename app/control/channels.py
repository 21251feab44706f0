"""Channels of notifications that can't be reached, as far as people are told of it."""

from __future__ import annotations

from app.control.system import System
from app.messages import Problem


def problems(system: System) -> list[Problem]:
    """Each channel once, with the reason of one of its addresses."""
    names = {channel.id: channel.name for channel in system.declaration.last_good().notifications if channel.enabled}
    found: dict[str, Problem] = {}
    for box, state in system.ledger.letters.states().items() if names else ():
        channel = box.partition("/")[0]
        if state.told and channel in names:
            found.setdefault(channel, Problem("notify.trouble", {"name": names[channel], "reason": state.problem}))
    return list(found.values())
