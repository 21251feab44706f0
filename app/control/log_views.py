"""What people see of engines' logs: which are detailed for a while, and what a line means."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import suppress

from app.control.records import DebugLogView, moment
from app.control.system import System
from app.lib.zone import server_zone
from app.messages import Problem
from app.runtimes.base import RUNNING, RuntimeFailure

#: What a line was, and what to do about it; None for one that needs no explanation. Of a workload's name, and the line.
Explain = Callable[[str, str], tuple[Problem, Problem] | None]


def debug_logs(system: System) -> list[DebugLogView]:
    """The engines that serve somebody now and can write a more detailed log; none while that can't be seen."""
    with suppress(sqlite3.OperationalError, RuntimeFailure):
        serving = {there.engine for there in system.runtime.observe() if there.state == RUNNING}
        now = system.reconciler.clock()
        until = system.ledger.debug_logs.running(now)
        return [DebugLogView(name, moment(until.get(name, 0.0), server_zone()),
                             math.ceil((until[name] - now) / 60) if name in until else 0)
                for name, engine in system.engines.items() if engine.capabilities.debug_log and name in serving]
    return []


def explain(system: System) -> Explain:
    """What the lines of the workloads that are there now mean."""
    try:
        engines = {there.name: there.engine for there in system.runtime.observe()}
    except RuntimeFailure:
        engines = {}

    def explained(name: str, line: str) -> tuple[Problem, Problem] | None:
        engine = system.engines.get(engines.get(name, ""))
        return engine.explain(line) if engine else None

    return explained
