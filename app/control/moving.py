"""Moving users to another engine: the new way of each is proven before the old one ends; who has none stays."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from app.config.model import Config, User
from app.control.backoff import BackOff
from app.control.engine_limits import ports_of_move, unserved
from app.control.errors import refusing
from app.control.outcome import Outcome
from app.control.port443 import closing
from app.control.probing import note_try, probe_link
from app.control.reconcile import GENTLE
from app.control.served import TRIAL
from app.control.system import System
from app.engines.base import EngineRefusal, IngressSpec, engine_name
from app.ledger.traffic import Total
from app.lib.filelock import FileLock
from app.messages import Coded, Problem, text
from app.mtproto.links import Link
from app.mtproto.probe import ProbeError
from app.rules.limits import blocked, expired
from app.rules.links import UserLink, links
from app.runtimes.base import Place, RuntimeFailure, Workload

#: Users that are moved together.
AT_ONCE = 50

#: Seconds: the longest pause after moves of one user that failed.
LONGEST_PAUSE = 3600.0

Prove = Callable[[Link, Config], object]


@dataclass(frozen=True)
class Move:
    """now, to: names of engines. links: all that the user has."""

    user: User
    now: str
    to: str
    links: list[UserLink]


class Moving:
    """prove: raises ProbeError for a link that does not lead to Telegram."""

    def __init__(self, system: System, prove: Prove | None = None) -> None:
        self._system = system
        self._prove = prove or (lambda link, config: probe_link(link, system.clock, config))
        self._backoff = BackOff(lambda: system.reconciler.clock(), LONGEST_PAUSE)

    def step(self, respect_backoff: bool = True) -> list[Outcome]:
        """Move the next ones to one engine, AT_ONCE at most; what was done, nothing if somebody else is at it. Takes as
        long as their trials do. respect_backoff: leave alone for a while who could not be moved. Raises Refused."""
        with FileLock(self._system.data_dir / "move.lock") as lock:
            if not lock.try_take():
                return []
            with refusing():
                return self._step(respect_backoff)

    def _step(self, respect_backoff: bool) -> list[Outcome]:
        config = self._system.declaration.read()
        able = []
        waiting = waiting_moves(self._system, config)
        left = _places_left(self._system, config) if waiting else {}
        for move in waiting:
            if why := hindrance(self._system, move, config, left):
                self._tell(move, why)
            elif not (respect_backoff and self._backoff.resting(move.user.id, move.to)):
                able.append(move)
                if move.to in left:
                    left[move.to] -= len(move.links)
        if not able:
            return []
        self._sweep()
        # To one engine at a time: what is told of all changes in one file is told of leavers or of newcomers.
        batch = [move for move in able if move.to == able[0].to][:AT_ONCE]
        found = self._try_all(batch, config)
        proven = [move for move in batch if not found.get(move.user.id)]
        for move in batch:
            if why := found.get(move.user.id):
                self._failed(move, Problem("move.not_proven", {"engine": move.to, "now": move.now, "reason": why}))
        if not proven:
            return []
        outcomes, back = self._system.reconciler.move(
            self._system.declaration.read, {move.user.id: (move.now, move.to) for move in proven})
        for move in proven:
            if why := back.get(move.user.id):
                self._failed(move, Problem("move.taken_back", {"engine": move.to, "now": move.now, "reason": why}))
            else:
                self._backoff.succeeded(move.user.id)
                self._system.ledger.events.record("panel", "user.moved", move.user.name,
                                                  Problem("event.moved", {"before": move.now, "engine": move.to}),
                                                  users=[move.user.id])
        return outcomes

    def _failed(self, move: Move, why: Problem) -> None:
        self._backoff.failed(move.user.id, move.to)
        self._tell(move, why)

    def _tell(self, move: Move, why: Problem) -> None:
        if self._system.ledger.placements.trouble(move.user.id, why):
            self._system.ledger.events.record("panel", "user.not_moved", move.user.name, why, users=[move.user.id])

    # -- trials ----------------------------------------------------------------------------------

    def _try_all(self, moves: list[Move], config: Config) -> dict[str, Problem]:
        """Why users could not be served by their new engine, by user id."""
        found: dict[str, Problem] = {}
        for engine in {move.to for move in moves}:
            theirs = [move for move in moves if move.to == engine]
            if self._system.engines[engine].capabilities.shared and len(theirs) > 1:
                try:
                    found |= self._try(theirs, config)
                    continue
                except (EngineRefusal, RuntimeFailure):
                    pass  # what keeps all of them from being served may be one of them: each is tried alone
            with ThreadPoolExecutor(GENTLE) as pool:
                for each in pool.map(lambda move: self._try_alone(move, config), theirs):
                    found |= each
        return found

    def _try_alone(self, move: Move, config: Config) -> dict[str, Problem]:
        try:
            return self._try([move], config)
        except (EngineRefusal, RuntimeFailure) as failure:
            return {move.user.id: failure.problem}

    def _try(self, moves: list[Move], config: Config) -> dict[str, Problem]:
        """Serve these users beside what serves them now, on a port that nobody knows, and go each of their links."""
        front = closing(self._system.port443.front, self._system.ledger.strangers.closed_covers())

        def inner(domain: str) -> IngressSpec:
            return replace(front(config, domain), proxy_protocol=False)  # the trial comes straight

        made = self._system.engines[moves[0].to].workloads(
            [link for move in moves for link in move.links], config, self._place, inner)
        owners = {link.id: (move.user.id, link) for move in moves for link in move.links}
        found: dict[str, Problem] = {}
        for workload in made:
            trial = replace(workload, name=workload.name + TRIAL, user_id="", keeps=())
            try:
                address = self._serve(trial)
                for link in workload.links:
                    user, tried = owners[link]
                    if why := self._trouble(address, tried, config):
                        found[user] = why
            finally:
                with suppress(RuntimeFailure):  # swept by the next step
                    self._system.runtime.remove(trial.name)
        return found

    def _serve(self, trial: Workload) -> str:
        self._system.runtime.create(trial)
        self._system.runtime.start(trial.name)
        return self._system.runtime.address(trial.name)

    def _trouble(self, address: str, link: UserLink, config: Config) -> Problem | None:
        host, _, port = address.rpartition(":")
        if link.user.expires_after_days:
            note_try(self._system.ledger, link.user.id)
        try:
            self._prove(Link(host.strip("[]"), int(port), link.secret), config)
        except ProbeError as error:
            return error.problem if isinstance(error, Coded) else text(str(error))
        return None

    def _place(self, port: int) -> Place:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        return replace(self._system.runtime.place(port, "127.0.0.1"), publish="")

    def _sweep(self) -> None:
        """Remove the trials of a panel that was killed."""
        for each in self._system.runtime.observe():
            if each.name.endswith(TRIAL):
                self._system.runtime.remove(each.name)


def waiting_moves(system: System, config: Config) -> list[Move]:
    """Who should be served by another engine than serves them now."""
    now, totals = system.reconciler.now(), system.ledger.traffic.totals()
    if config.proxies_stopped:
        return []
    placed = system.ledger.placements.engines()
    return [Move(user, placed[user.id], to, links(user, config, now)) for user in config.users
            if user.id in placed and placed[user.id] != (to := engine_name(user, config, system.engines))
            and user.enabled and not expired(user, now) and not blocked(user, config, totals.get(user.id, Total()))]


def _places_left(system: System, config: Config) -> dict[str, int]:
    """How many more links each engine could serve that serves a limited number only."""
    now, placed = system.reconciler.now(), system.ledger.placements.engines()
    left = {name: most for name, engine in system.engines.items() if (most := engine.capabilities.most_links)}
    for user in config.users:
        if user.enabled and placed.get(user.id) in left:
            left[placed[user.id]] -= len(links(user, config, now))
    return left


def hindrance(system: System, move: Move, config: Config, left: Mapping[str, int]) -> Problem | None:
    """Why this move is not even tried; None if nothing is in its way. left: how many more links engines could serve, of
    those that serve a limited number only."""
    for link in move.links:
        if why := unserved(link, move.to, system.engines):
            return why
    if len(move.links) > left.get(move.to, len(move.links)):
        return Problem("engine.too_many", {"engine": move.to, "most": system.engines[move.to].capabilities.most_links})
    before, after = ports_of_move(move.user, config, system.port443.public_port, system.engines, move.now, move.to)
    if before != after and not config.move_changes_links:
        return Problem("move.changes_link", {"engine": move.to, "now": move.now, "before": before, "after": after})
    return None

