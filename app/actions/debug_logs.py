"""A more detailed log of an engine, for a while. Nothing is restarted for it, and nobody's session ends."""

from __future__ import annotations

from app.accounts.actor import Actor, Right
from app.control import log_views, passes
from app.control.errors import Refused, refusing
from app.control.outcome import Outcome
from app.control.system import System
from app.ledger.debug_logs import MOST_MINUTES
from app.messages import Problem

USUAL_MINUTES = 15


def begin(system: System, actor: Actor, engine: str, minutes: int = USUAL_MINUTES) -> list[Outcome]:
    """Let this engine write one for so many minutes, or for those that are left where these are more. It ends by
    itself. Refused for an engine that has none, or serves nobody."""
    actor.require(Right.SUDO)
    if not 1 <= minutes <= MOST_MINUTES:
        raise Refused("debug_log.minutes", "minutes", minutes=minutes, most=MOST_MINUTES)
    if engine not in [each.engine for each in log_views.debug_logs(system)]:
        raise Refused("debug_log.not_here", engine=engine)
    now = system.reconciler.clock()
    with refusing():
        system.ledger.debug_logs.begin(engine, now + 60 * minutes, now)
    system.ledger.events.record(str(actor), "debug_log.begun", "",
                                Problem("event.engine_minutes", {"engine": engine, "minutes": minutes}))
    return passes.reconcile(system)


def end(system: System, actor: Actor, engine: str) -> list[Outcome]:
    """Let it write the usual log again, now."""
    actor.require(Right.SUDO)
    with refusing():
        ended = system.ledger.debug_logs.end(engine)
    if ended:
        system.ledger.events.record(str(actor), "debug_log.ended", "", Problem("event.engine", {"engine": engine}))
    return passes.reconcile(system)
