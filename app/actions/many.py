"""What is done to many users at once: one change to the declaration, one pass, one line in the audit log."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.accounts.actor import Actor, Right
from app.actions.declare import declare, edit
from app.actions.users import checks_of
from app.config.model import Config, User
from app.control import passes, periods
from app.control.errors import Refused, refusing
from app.control.outcome import Outcome
from app.control.system import System
from app.messages import Problem, text
from app.messages.errors import Coded
from app.rules import many, trash
from app.rules.many import Before

log = logging.getLogger(__name__)

#: How many jobs are remembered once they are done, and how many users the audit log names of one.
KEPT, NAMED = 20, 20
#: How many deleted users may be restored at a time.
MOST_RESTORED = 500

#: What the audit log calls them.
EVENTS = {
    "add": "users.add", "enable": "users.enable", "disable": "users.disable", "add_traffic": "users.add_traffic",
    "limit": "users.limit", "extend": "users.extend", "engine": "users.engine", "tag": "users.tag",
    "untag": "users.untag", "reset": "users.reset", "delete": "users.delete", "undo": "users.undo"}

Phase = Literal["saving", "applying", "done"]

#: Everything that can be done; those of the rules, and what is more than a change to the declaration.
ACTIONS = (*many.CHANGES, "reset", "delete")


@dataclass
class Job:
    """One change to many users, under way or done.

    what: of ACTIONS, "add" or "undo". value: as it was typed. wanted: how many it is for. changed: who was changed,
    names by id; same: how many were so already; failed: who was not changed, and why: (name, reason); later: whose
    change is saved, and could not be carried out yet. trouble: why nothing was changed at all, or nothing could be
    carried out. before: what the changes were, by user id, for an undo.
    """

    what: str
    value: str
    actor: str
    wanted: int
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    begun: float = field(default_factory=time.time)
    phase: Phase = "saving"
    changed: dict[str, str] = field(default_factory=dict)
    same: int = 0
    failed: list[tuple[str, Problem]] = field(default_factory=list)
    later: list[tuple[str, Problem]] = field(default_factory=list)
    trouble: Problem | None = None
    before: dict[str, Before] = field(default_factory=dict)
    undone: bool = False

    @property
    def can_undo(self) -> bool:
        """Whether what it did can be taken back."""
        deleted = self.what == "delete" and 0 < len(self.changed) <= MOST_RESTORED
        return self.phase == "done" and not self.undone and (bool(self.before) or deleted)


def check(actor: Actor, what: str, value: str) -> None:
    """Raises Refused for what is no such change, or lacks the value that it needs."""
    actor.require(Right.USERS)
    if what not in ACTIONS:
        raise Refused("many.unknown", what=what)
    if what in many.CHANGES:
        with refusing():
            many.CHANGES[what].reads(value)


def change_many(system: System, actor: Actor, ids: Sequence[str], what: str, value: str, job: Job) -> Job:
    """Do it, and note in `job` how far it is. Raises Refused if nothing was changed."""
    check(actor, what, value)
    if what == "reset":
        return _reset(system, actor, ids, job)
    with edit(system) as config:
        there = {user.id: user for user in config.users}
        chosen = [there[each] for each in ids if each in there]
        job.failed += [(each, Problem("many.gone")) for each in ids if each not in there]
        if what == "delete":
            gone = trash.discard_all(config, chosen, system.reconciler.now())
            job.changed = {user.id: user.name for user in chosen}
        else:
            checks, now = checks_of(system, config), system.reconciler.now()
            read = many.CHANGES[what].reads(value)
            _each(chosen, job, lambda user: many.change(config, user, what, read, now, checks))
    _carry_out(system, actor, job)
    if what == "delete":
        periods.forget(system.ledger, [user.id for user in gone])
    return job


def undo(system: System, actor: Actor, done: Job, job: Job) -> Job:
    """Set everybody back whom `done` has changed, but for whoever was changed again since."""
    actor.require(Right.USERS)
    if done.what == "delete":
        declare(system, lambda config: _restore(system, config, done, job))
    else:
        _set_back(system, done, job)
    job.before = {}  # an undo is the end of it
    done.undone = True
    _carry_out(system, actor, job)
    return job


def _set_back(system: System, done: Job, job: Job) -> None:
    with edit(system) as config:
        there = {user.id: user for user in config.users}
        job.failed += [(name, Problem("many.gone")) for each, name in done.changed.items() if each not in there]

        def back(user: User) -> Before:
            many.undo(user, done.before[user.id])
            return done.before[user.id]

        _each([there[each] for each in done.before if each in there], job, back)


def _restore(system: System, config: Config, done: Job, job: Job) -> None:
    checks, now = checks_of(system, config), system.reconciler.now()
    job.changed, job.failed = {}, []
    for user_id, name in done.changed.items():
        try:
            user, _ = trash.restore(config, trash.find(config, user_id), checks, now)
        except Refused as refused:
            job.failed.append((name, refused.problem))
        else:
            job.changed[user.id] = user.name


def add_many(system: System, actor: Actor, names: Sequence[str], fields: Mapping[str, str]) -> list[User]:
    """New users, all of them or none. Raises Refused with a part for each name that is not possible, whose field is
    "names"; what all of them are given is refused once, under its own field."""
    actor.require(Right.USERS)
    return declare(system, lambda config: many.add_all(config, names, fields, checks_of(system, config)))


def _each(chosen: Sequence[User], job: Job, apply: Callable[[User], Before | None]) -> None:
    for user in chosen:
        try:
            change = apply(user)
        except Refused as refused:
            job.failed.append((user.name, refused.problem))
        else:
            if change:
                job.changed[user.id], job.before[user.id] = user.name, change
            else:
                job.same += 1


def _reset(system: System, actor: Actor, ids: Collection[str], job: Job) -> Job:
    passes.attempt(lambda: passes.sample(system))  # what was moved until now belongs to the old period
    wanted = set(ids)
    chosen = [user for user in system.declaration.last_good().users if user.id in wanted]
    gone = wanted - {user.id for user in chosen}
    job.failed += [(each, Problem("many.gone")) for each in ids if each in gone]
    with refusing():
        periods.reset(system.ledger, chosen, system.reconciler.now(), str(actor))
    job.changed = {user.id: user.name for user in chosen}
    _carry_out(system, actor, job)
    return job


def _carry_out(system: System, actor: Actor, job: Job) -> None:
    """One pass, and one line of the audit log."""
    names = list(job.changed.values())
    if names:
        more = len(names) - NAMED
        system.ledger.events.record(str(actor), EVENTS[job.what], job.value, Problem(
            "event.many_more" if more > 0 else "event.many",
            {"names": names[:NAMED], "count": len(names)} | ({"more": more} if more > 0 else {})), users=job.changed)
    job.phase = "applying"
    if names or job.what == "add":
        try:
            outcomes = passes.reconcile(system)
        except Refused as refused:
            job.trouble = Problem("many.later", {"reason": refused.problem})
        else:
            job.later += _failures(outcomes, job.changed)


def _failures(outcomes: Sequence[Outcome], changed: Mapping[str, str]) -> list[tuple[str, Problem]]:
    return [(changed[one.user_id], one.reason) for one in outcomes
            if not one.ok and one.reason and one.user_id in changed]


class Many:
    """The same beside the panel's pages, which do not wait for it but look how far it is."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def job(self, job_id: str) -> Job | None:
        """None for one that was never there, or is forgotten."""
        return self._jobs.get(job_id)

    @property
    def running(self) -> list[Job]:
        """What is under way, whoever has begun it."""
        with self._lock:
            return [job for job in self._jobs.values() if job.phase != "done"]

    def progress(self, job: Job) -> tuple[int, int]:
        """(done, of how many) of what runs: proxies to start, stop or change in the pass that is under way."""
        return self._system.reconciler.progress if job.phase == "applying" else (0, 0)

    def begin(self, actor: Actor, ids: Sequence[str], what: str, value: str) -> Job:
        """Begins to change these users. Raises Refused for what can't be done to anybody."""
        check(actor, what, value)
        ids = list(dict.fromkeys(ids))
        job = Job(what, value, str(actor), len(ids))
        return self._begin(job, lambda: change_many(self._system, actor, ids, what, value, job))

    def begin_undo(self, actor: Actor, done: Job) -> Job:
        """Begins to take it back."""
        actor.require(Right.USERS)
        if not done.can_undo:
            raise Refused("many.no_undo")
        job = Job("undo", done.what, str(actor), len(done.before) or len(done.changed))
        return self._begin(job, lambda: undo(self._system, actor, done, job))

    def begin_adding(self, actor: Actor, names: Sequence[str], fields: Mapping[str, str]) -> Job:
        """Adds users, and begins to start their proxies. Raises Refused, and then nobody was added."""
        added = add_many(self._system, actor, names, fields)
        job = Job("add", "", str(actor), len(added), changed={user.id: user.name for user in added})
        return self._begin(job, lambda: _carry_out(self._system, actor, job))

    def _begin(self, job: Job, work: Callable[[], Any]) -> Job:
        with self._lock:
            self._jobs[job.id] = job
            # One under way is never forgotten: whoever has begun it still asks how far it is.
            over = [each.id for each in self._jobs.values() if each.phase == "done"]
            for forgotten in over[:max(0, len(self._jobs) - KEPT)]:
                del self._jobs[forgotten]
        threading.Thread(target=self._run, args=(job, work), name=EVENTS[job.what], daemon=True).start()
        return job

    def _run(self, job: Job, work: Callable[[], Any]) -> None:
        try:
            work()
        except Coded as refused:
            job.trouble = refused.problem
        except Exception as error:
            log.exception("changing many users failed")
            job.trouble = text(str(error) or type(error).__name__)
        finally:
            job.phase = "done"
