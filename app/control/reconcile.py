"""Carries out a plan: parallel, one reconcile per data folder at a time, every action reported."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from app.config.model import Config
from app.control.at_work import AtWork
from app.control.backoff import BackOff
from app.control.collecting import Collecting
from app.control.desired import Desired, desired
from app.control.device_limits import DeviceLimits
from app.control.edge import NGINX, SERVE, EdgeReconciler
from app.control.outcome import BACKUPS, FAILED, MTPROXY_EXPORT, TELEGRAM_FILES, Outcome
from app.control.plan import CREATE, LONGEST_PAUSE, REMOVE, REPLACE, START, STOP, UPDATE, Action, plan
from app.control.port443 import Port443, closing
from app.control.sampling import Sampler
from app.control.served import standing
from app.control.throttling import Throttling
from app.control.turns import Turns, in_turn
from app.control.updating import Updating
from app.engines.base import Engine, engine_name
from app.host import firewall
from app.ledger.ledger import Ledger
from app.lib.clock import WALL, Clock
from app.messages import Problem, together
from app.rules.links import UserLink, all_links
from app.runtimes.base import RUNNING, LegacyContainer, Notice, Observed, Runtime, RuntimeFailure, Sample, Workload

WORKERS = 8

#: How many are made at a time beside others that are in use: a program that starts takes a core for itself.
GENTLE = min(WORKERS, max(2, os.cpu_count() or 2))

#: Whose problems stand among those of the workloads, and are noted and cleared elsewhere.
BESIDE = frozenset({NGINX, BACKUPS, TELEGRAM_FILES, MTPROXY_EXPORT})


@dataclass
class Reconciler:
    """Compares and repairs. Holds no state that matters: everything is read anew each time,
    but for the back-off after failed actions, and when throttles were read back."""

    data_dir: Path
    ledger: Ledger
    runtime: Runtime
    engines: Mapping[str, Engine]
    by_name: Callable[[], Mapping[str, UserLink]]
    port443: Port443 = field(default_factory=Port443)
    clock: Clock = WALL

    def __post_init__(self) -> None:
        self.backoff = BackOff(lambda: self.clock(), LONGEST_PAUSE)
        self.collecting = Collecting(self.data_dir)
        #: What the last pass wanted.
        self.tried: Mapping[str, Workload] = {}
        #: What the pass that is under way has to do, and has done, as names of workloads.
        self._to_do: list[str] = []
        self._done: list[str] = []
        self._to_come = 0
        self.at_work = AtWork(self.data_dir)
        self.edge = EdgeReconciler(self.ledger, self.port443, lambda: self.clock())
        self.sampler = Sampler(self.data_dir, self.ledger, self.runtime, self.engines, self.by_name,
                               lambda: self.clock())
        self.updating = Updating(lambda workload: self.engines[workload.engine], self.runtime,
                                 self.ledger.debug_logs)
        self.throttling = Throttling(self.engines, self.runtime, self.ledger, lambda: self.clock())
        self.device_limits = DeviceLimits(self.runtime, self.port443.edge, self.ledger, lambda: self.clock())

    @property
    def progress(self) -> tuple[int, int]:
        """(done, of how many): actions of the pass that is under way, or of the last one, in this process. A restart
        is a stop and a start of each."""
        return len(self._done), len(self._to_do) + self._to_come

    def reconcile(self, read: Callable[[], Config], respect_backoff: bool = False) -> list[Outcome]:
        """One pass. `read` is called under the lock, so that no pass acts on a stale declaration.

        respect_backoff: leave alone what failed a moment ago (the monitor's way); a person's
        request tries everything at once.
        """
        with self.at_work.hold():
            return self._pass(read(), respect_backoff)

    def restart(self, read: Callable[[], Config], user_ids: set[str]) -> list[Outcome]:
        """Stop what these users have running, and start it again; whoever is stopped stays so. What serves users
        together is restarted with all of them only."""
        with self.at_work.hold():
            everybody = {user.id for user in read().users} <= user_ids
            running = [o for o in self.runtime.observe() if o.state == RUNNING
                       and (o.user_id in user_ids or (o.shared and everybody))]
            self._to_do, self._done, self._to_come = [], [], 2 * len(running)
            self.sampler.sample(running)
            config, self._to_come = read(), len(running)
            stops = self._run_all([Action(STOP, o.name, o.user_id) for o in running], config)
            return [o for o in stops if not o.ok] + self._pass(config, respect_backoff=False, begun=True)

    def renew(self, read: Callable[[], Config], name: str) -> list[Outcome]:
        """One pass, in which the workload of this name is replaced if its image is an old one."""
        with self.at_work.hold():
            return self._pass(read(), respect_backoff=True, renew=(name,))

    def move(self, read: Callable[[], Config], engines: Mapping[str, tuple[str, str]]
             ) -> tuple[list[Outcome], dict[str, Problem]]:
        """One pass, in which users are served by another engine than before: (now, to) by user id. Also told: why some
        could not be, by user id; those are served as before again."""
        with self.at_work.hold():
            self.ledger.placements.place({user: to for user, (_, to) in engines.items()})
            config = read()
            outcomes, links = self._pass(config, respect_backoff=False), all_links(config)
            back: dict[str, Problem] = {}
            for one in outcomes:
                if one.reason and one.action == SERVE:
                    # It leads people where it did, so what is there has to go on.
                    back |= dict.fromkeys(engines, one.reason)
                elif one.reason:
                    served = self.tried[one.name].links if one.name in self.tried else ()
                    users = {one.user_id, *(link.user.id for link in links if link.id in served)}
                    back |= dict.fromkeys(users & engines.keys(), one.reason)
            if back:
                before = {user: engines[user][0] for user in back}
                self.ledger.placements.place(before)
                outcomes += self._pass(read(), respect_backoff=False, back=before)
            return outcomes, back

    def serve(self, config: Config) -> None:
        """Let nginx serve this declaration, and change nothing else. Raises EdgeFailure, RuntimeFailure."""
        with self.at_work.hold():
            self.edge.serve(config, self._desired(config, standing(self.runtime.observe())))

    def _desired(self, config: Config, observed: Collection[Observed] = (),
                 back: Mapping[str, str] = MappingProxyType({})) -> Desired:
        front = closing(self.port443.front, self.ledger.strangers.closed_covers())
        return desired(config, self.ledger.traffic.totals(), self.now(), self.engines, self.runtime,
                       front, self.ledger.traffic.last_uses(), {**self._placed(config, observed), **back},
                       self.ledger.debug_logs.running(self.clock()))

    def _placed(self, config: Config, observed: Collection[Observed]) -> dict[str, str]:
        """The engine that each user is served by, by user id, as it was noted; before anything was, as is seen."""
        seen = {each.user_id: each.engine for each in observed
                if each.user_id and each.engine and each.state == RUNNING}
        declared = {user.id: engine_name(user, config, self.engines) for user in config.users}
        noted = {**seen, **self.ledger.placements.engines()}
        # What is as it is declared needs no move, whatever a ledger of another day says.
        return {user: engine for user, engine in noted.items() if seen.get(user) != declared.get(user)}

    def _note_placed(self, wanted: Desired, links: Mapping[str, UserLink]) -> None:
        noted = self.ledger.placements.engines()
        now = {links[link].user.id: workload.engine for workload in wanted.workloads.values() for link in workload.links
               if link in links}
        changed = {user: engine for user, engine in now.items() if noted.get(user) != engine}
        if changed or noted.keys() - now.keys():
            self.ledger.placements.place(changed, noted.keys() - now.keys())

    def _pass(self, config: Config, respect_backoff: bool, renew: Collection[str] = (),
              back: Mapping[str, str] = MappingProxyType({}), begun: bool = False) -> list[Outcome]:
        """back: the engines of those who could not be moved, by user id, whatever is there for them by now. begun:
        whether something of what it does has been done already."""
        if not begun:
            self._to_do, self._done, self._to_come = [], [], 0
        names = {u.id: u.name for u in config.users}
        self._tell(self.runtime.notices(), names)
        observed = standing(self.runtime.observe())
        wanted = self._desired(config, observed, back)
        self.tried = wanted.workloads
        firewall.tell(self.data_dir, firewall.wanted(config, wanted.workloads.values()))
        self._note_placed(wanted, {link.id: link for link in all_links(config)})
        actions = plan(wanted.workloads, observed, self.clock() if respect_backoff else float("inf"), wanted.suspended,
                       renew)
        acting, running = {a.name for a in actions}, {o.name for o in observed if o.state == RUNNING}
        actions += [Action(UPDATE, each.name, each.user_id, each) for each in wanted.workloads.values()
                    if each.shared and each.live_files and each.name in running - acting
                    and self.updating.is_stale(each)]
        resting = {a.name for a in actions if respect_backoff and self.backoff.resting(a.name, a.spec)}
        waiting = set() if back else self.collecting.left_for_later(actions, wanted.workloads.values(), running)
        actions = [a for a in actions if a.name not in resting and a.name not in waiting]
        ending = {a.name for a in actions if a.kind in (REPLACE, UPDATE, STOP, REMOVE)}
        self._to_come = len(actions)
        self.sampler.sample([o for o in observed if o.name in ending and o.state == RUNNING])
        self._to_come = 0
        if any(a.workload and a.workload.shared for a in actions):
            with self.ledger.database.best_effort("whose links are served"):
                self.ledger.traffic.note_links({link.id: link.user.id for link in all_links(config)})
        if turns := in_turn(actions, wanted, self.runtime.held, back):
            outcomes = self._run_in_turn(turns, config, wanted, respect_backoff, observed)
        elif self.edge.has_served and actions:
            with ThreadPoolExecutor(1) as beside:
                # nginx finds a proxy when a client asks for it, so it need not wait until that one runs.
                served = beside.submit(self.edge.reconcile, config, wanted, respect_backoff)
                outcomes = self._run_all(actions, config, observed) + served.result()
        else:
            # The first time the proxies wait: mtg learns its timing from nginx when it starts.
            outcomes = self.edge.reconcile(config, wanted, respect_backoff)
            outcomes += self._run_all(actions, config, observed)
        for user, user_id in sorted({(one.user, one.user_id) for one in outcomes
                                     if one.ok and one.action == STOP and one.name in wanted.blocked}):
            self.ledger.events.record("panel", "user.blocked", user, users=[user_id])
        owners = {link.name: link.user.id for link in all_links(config)} if wanted.refused else {}
        outcomes += [Outcome("refuse", name, "", False, why, user_id=owners[name])
                     for name, why in wanted.refused.items()]
        now_there = {o.name: o for o in (standing(self.runtime.observe()) if actions else observed)}
        outcomes += self.throttling.enforce(wanted.throttles, now_there, config)
        outcomes += self.device_limits.enforce(wanted, now_there, config, respect_backoff)
        with self.ledger.database.best_effort("problems"):
            self._note_problems(wanted, now_there, outcomes, resting | self.device_limits.resting)
        return outcomes

    def interrupted(self, config: Config) -> set[str]:
        """The ids of users whose connections a pass with this declaration would end. Raises RuntimeFailure."""
        observed = standing(self.runtime.observe())
        there = {each.name: each for each in observed if each.state == RUNNING}
        wanted = self._desired(config, observed)
        ended: set[str] = set()
        for action in plan(wanted.workloads, observed, self.clock(), wanted.suspended):
            if action.kind in (REPLACE, STOP, REMOVE) and action.name in there:
                made = action.workload or self.tried.get(action.name)
                served = set(made.links if made else ())
                ended |= {link.user.id for link in all_links(config) if link.id in served} | {action.user_id}
        return ended - {""}

    def stop_everything(self) -> list[Outcome]:
        """End every workload and leave the declaration alone: the next reconcile starts them again."""
        with self.at_work.hold():
            running = [o for o in self.runtime.observe() if o.state == RUNNING]
            self.sampler.sample(running)
            return [self._run(Action(STOP, o.name, o.user_id), "") for o in running]

    def _run_in_turn(self, turns: Turns, config: Config, wanted: Desired, respect_backoff: bool,
                     observed: list[Observed]) -> list[Outcome]:
        """Nothing that serves somebody ends before what serves them instead is there, and nginx leads there; where
        that fails, it stays."""
        outcomes = self._run_all(turns.ending, config, observed)
        begun: list[Outcome] = []
        for turn in (turns.made, turns.told):
            begun += self._run_all(turn, config, observed, GENTLE)
            if not all(one.ok for one in begun):
                return outcomes + begun
        outcomes += begun + self.edge.reconcile(config, wanted, respect_backoff)
        return outcomes if self.edge.failing else outcomes + self._run_all(turns.left, config, observed)

    def _run_all(self, actions: list[Action], config: Config, observed: Collection[Observed] = (),
                 workers: int = WORKERS) -> list[Outcome]:
        """All actions in parallel - but those that take a port over from an older installation, which
        go one after the other: should the first one fail, the others' users have lost nothing."""
        self._to_do += [action.name for action in actions]
        if actions:
            self.at_work.tell(*self.progress)
        names = {u.id: u.name for u in config.users}
        creates = any(a.kind == CREATE for a in actions)
        older = {f.port: f for f in self.runtime.foreign()} if creates else {}
        taken_over = [(a, older[a.workload.port]) for a in actions
                      if a.kind == CREATE and a.workload and a.workload.port in older]
        others = [a for a in actions if all(a is not taken for taken, _ in taken_over)]
        there = {each.name: each for each in observed if each.state == RUNNING}
        with ThreadPoolExecutor(workers) as pool:
            outcomes = list(pool.map(lambda a: self._run(a, names.get(a.user_id, ""), was=there.get(a.name)), others))
        return outcomes + [self._run(a, names.get(a.user_id, ""), old) for a, old in taken_over]

    def _tell(self, notices: list[Notice], names: Mapping[str, str]) -> None:
        for notice in notices:
            self.ledger.events.record("panel", notice.code, names.get(notice.user_id) or notice.name,
                                      notice.detail or "", users=[notice.user_id])

    def _run(self, action: Action, user: str, older: LegacyContainer | None = None,
             was: Observed | None = None) -> Outcome:
        """was: what runs under its name."""
        began, kind = time.monotonic(), "adopt" if older else action.kind
        done = self._done
        try:
            if older and action.workload:
                self.runtime.adopt(action.workload, older)
            else:
                self._act(action, was)
        except RuntimeFailure as failure:
            self.backoff.failed(action.name, action.spec)
            return Outcome(kind, action.name, user, False, together(failure.problems), time.monotonic() - began,
                           action.user_id)
        finally:
            done.append(action.name)
            self.at_work.tell(*self.progress)
        self.backoff.succeeded(action.name)
        if action.kind == START:
            self.ledger.events.record("panel", "proxy.restarted", user or action.name, action.reason or "",
                                      users=[action.user_id])
        if older:
            self.ledger.events.record("panel", "proxy.taken_over", user,
                                      Problem("event.container", {"name": older.name}), users=[action.user_id])
        return Outcome(kind, action.name, user, True, None, time.monotonic() - began, action.user_id)

    def _act(self, action: Action, was: Observed | None) -> None:
        read: list[Sample] = []

        def last_look(name: str) -> None:
            """What it has counted since this pass began: with many to be replaced, that was a while ago."""
            with suppress(RuntimeFailure):
                read.extend(filter(None, [self.runtime.sample(name) if was else None]))

        try:
            self._do(action, last_look)
        finally:
            if was and read:
                self.sampler.sample([was], read)

    def _do(self, action: Action, last_look: Callable[[str], None]) -> None:
        if action.kind in (STOP, REMOVE):
            last_look(action.name)
            (self.runtime.stop if action.kind == STOP else self.runtime.remove)(action.name)
            self.ledger.workloads.set_throttle(action.name, None)
            return
        if action.kind == REPLACE and action.workload:
            self.runtime.replace(action.workload, last_look)
            return
        if action.kind == CREATE and action.workload:
            self.runtime.create(action.workload)
        elif action.kind == UPDATE and action.workload:
            self.updating.update(action.workload)
            return
        elif action.workload and action.workload.live_files:
            self.runtime.update(action.name, action.workload.live_files)
        self.runtime.start(action.name)

    def _note_problems(self, wanted: Desired, observed: Mapping[str, Observed], outcomes: list[Outcome],
                       resting: set[str]) -> None:
        """What failed in this pass is a problem until a later pass finds it as it should be. resting: what is still to
        be done to these, and was left alone in this pass because it has failed."""
        failed = {o.name: o for o in outcomes if not o.ok and o.action != SERVE and o.name not in BESIDE}
        for name, outcome in failed.items():
            if outcome.reason and self.ledger.workloads.set_problem(name, outcome.reason):
                self.ledger.events.record("panel", FAILED[outcome.action], outcome.user or name, outcome.reason,
                                          users=[outcome.user_id])
        # Those are others' to note and to clear.
        for name in self.ledger.workloads.problems().keys() - failed.keys() - resting - BESIDE:
            there, workload = observed.get(name), wanted.workloads.get(name)
            if workload is None or (there and there.state == RUNNING and there.spec == workload.spec):
                self.ledger.workloads.clear_problem(name)

    def now(self) -> datetime:
        """The time by which things end: never earlier than it has been."""
        return datetime.fromtimestamp(self.ledger.latest.after(self.clock())).astimezone()
