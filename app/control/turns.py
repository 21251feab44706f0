"""In which order what is planned is done where somebody is to be served by another workload than before. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from app.control.desired import Desired
from app.control.plan import CREATE, REMOVE, REPLACE, START, STOP, UPDATE, Action


@dataclass(frozen=True)
class Turns:
    """One after the other. ending: what nobody is to be served by. made: what is new. told: what is told of a change.
    left: what serves those who are served elsewhere by now, where nginx, which comes before it, leads them."""

    ending: list[Action]
    made: list[Action]
    told: list[Action]
    left: list[Action]


def in_turn(actions: list[Action], wanted: Desired, held: Callable[[str], Mapping[str, str]],
            back: Collection[str] = ()) -> Turns | None:
    """None where nobody is to be served by another workload. held: see Runtime.held. back: ids of users who could not
    be moved: nginx never led them to what is there for them."""
    served = {name for name, workload in wanted.workloads.items() if not workload.shared}
    made = [a for a in actions if a.kind in (CREATE, REPLACE, START)]
    told = [a for a in actions if a.kind == UPDATE]
    removed = [a for a in actions if a.kind == REMOVE]
    left = [a for a in removed if (made and not a.user_id) or
            (a.user_id in wanted.users and a.user_id not in back and a.name not in served)]
    left += [a for a in told if _only_left(a, wanted, held)]
    if not left:
        return None
    ending = [a for a in actions if a.kind in (STOP, REMOVE) and a not in left]
    return Turns(ending, made, [a for a in told if a not in left], left)


def _only_left(update: Action, wanted: Desired, held: Callable[[str], Mapping[str, str]]) -> bool:
    """Whether this change takes links away that others serve now, and brings none. Live files name links by ids."""
    if not update.workload or not update.workload.shared:
        return False
    before = "\n".join(held(update.name).values())
    if any(link not in before for link in update.workload.links):
        return False
    return any(link in before for workload in wanted.workloads.values() if workload.name != update.name
               for link in workload.links)
