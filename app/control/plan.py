"""What to do so that what runs becomes what is desired. Pure: data in, data out."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from app.lib import backoff
from app.messages import Problem
from app.runtimes.base import RUNNING, Observed, Workload

CREATE, START, REPLACE, UPDATE, STOP, REMOVE = "create", "start", "replace", "update", "stop", "remove"

LONGEST_PAUSE = 300.0


@dataclass(frozen=True)
class Action:
    """kind: create, start, replace, update (its live files), stop or remove. workload: None for the last two.
    reason: why a workload that is started again had stopped."""

    kind: str
    name: str
    user_id: str
    workload: Workload | None = None
    reason: Problem | None = None

    @property
    def spec(self) -> str:
        return self.workload.spec if self.workload else ""


def plan(workloads: Mapping[str, Workload], observed: Iterable[Observed], now: float,
         suspended: Mapping[str, str] | None = None, renew: Container[str] = ()) -> list[Action]:
    """The actions, each independent of the others; what already is as it should be gets none.

    now: Unix seconds. parked: user ids by the name of the workload, of users who keep theirs,
    with its log, but stopped. A workload that keeps crashing is started again after a
    pause that doubles with each crash, up to five minutes. renew: names of workloads that are replaced if they are
    outdated; one that has to be started anyway is replaced then, too.
    """
    seen = {o.name: o for o in observed}
    suspended = suspended or {}
    actions = []
    for one in seen.values():
        if one.name in workloads:
            continue
        if suspended.get(one.name) != one.user_id:
            actions.append(Action(REMOVE, one.name, one.user_id))
        elif one.state == RUNNING:
            actions.append(Action(STOP, one.name, one.user_id))
    for name, workload in workloads.items():
        there = seen.get(name)
        kind = _needed(workload, there, now, name in renew)
        if kind:
            reason = there.reason if there and kind == START else None
            actions.append(Action(kind, name, workload.user_id, workload, reason))
    return actions


def retry_at(observed: Observed) -> float:
    """When a workload that stopped by itself may be started again, in Unix seconds."""
    if observed.crashes == 0:
        return 0.0
    return observed.exited_at + pause(observed.crashes)


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 0, 2, 4, 8 … 300."""
    return backoff.pause(failures - 1, 2.0, LONGEST_PAUSE)


def _needed(workload: Workload, observed: Observed | None, now: float, renew: bool) -> str:
    if observed is None:
        return CREATE
    if observed.spec != workload.spec or (renew and observed.outdated):
        return REPLACE
    if observed.state == RUNNING:
        return UPDATE if observed.live != workload.live else ""
    # One that seems to have ended later than now did so before the clock was set back.
    if observed.exited_at - 1 <= now < retry_at(observed):
        return ""
    return REPLACE if observed.outdated else START
