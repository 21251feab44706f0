"""Looks for addresses that keep coming with wrong keys, and writes them down for fail2ban (app/bans).

What engines say of their visitors is asked for here: telemt and the built-in engine count by address, mtg says it in
its log, of which so many are read in each look. nginx and the firewall say whom their limits refused. Of an address
that had a good session in the last day, is used for the panel, or is none of the internet's, nothing is written.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from app.bans.folder import BansFolder
from app.bans.log import OffendersLog
from app.bans.offences import FLOOD, TOO_OFTEN, Offence
from app.config.model import Config
from app.control import bans
from app.control.served import standing
from app.control.system import System
from app.edge.base import EdgeFailure
from app.engines.base import Visit, Visitors, serving
from app.lib.place import place
from app.lib.public import is_public
from app.runtimes import ports
from app.runtimes.base import RUNNING, Observed, RuntimeFailure
from app.runtimes.scrape import ScrapeFailure, scrape

log = logging.getLogger(__name__)

#: Lines in one look: of one address, and of all. Who makes more is banned for less, and the disk is everybody's.
MOST_OF_ONE, MOST_OF_ALL = 20, 2000
#: Logs that are read in one look, and how many of the last lines of each.
LOGS, LOG_LINES = 50, 3000
#: Workloads that are asked in one look.
ASKED = 100
#: Seconds for which an offence waits at most until it is known who had good sessions meanwhile.
PATIENCE = 60.0
#: Seconds that an engine has for its answer.
_ANSWER = 3.0


@dataclass
class _Run:
    """What is known of one run of a workload. counts: as they were last told, None before. read_to: up to which line
    its log was read (Unix seconds). moved: its counters when it was last looked at."""

    counts: Mapping[tuple[str, str], int] | None = None
    read_to: float = 0.0
    moved: tuple[int, int] = (0, 0)
    looked_at: float = 0.0


@dataclass
class Offenders:
    """One look after the other, by one process. began: Unix seconds."""

    system: System
    _runs: dict[str, _Run] = field(default_factory=dict)
    _waiting: list[Offence] = field(default_factory=list)
    _began: float = 0.0
    _refused_at: int = 0
    _told: str = ""

    def look(self) -> None:
        """Ask everybody, and write down what is new. Raises Refused."""
        system, config = self.system, self.system.declaration.last_good()
        self._try("bans/wanted", lambda: bans.keep(system, config))
        if not config.bans:
            self._runs, self._waiting, self._began = {}, [], 0.0
            return
        now = system.reconciler.clock()
        if not self._began:
            self._began = now
            self._try("logs/offenders.log", OffendersLog(system.data_dir / "logs").prepare)
        try:
            running = [each for each in standing(system.runtime.observe()) if each.state == RUNNING and each.run_id]
        except RuntimeFailure:
            return  # told elsewhere
        self._runs = {each.run_id: self._runs.get(each.run_id) or self._new_run(each, now) for each in running}
        found, good = self._ask_some(config, running, now)
        waits = self._read_logs(config, running, now, found, good)
        found += self._floods(config, now) + self._refused(now)
        self._note_good(config, good, now)
        room = MOST_OF_ALL * 2 - len(self._waiting)
        self._waiting += found[:max(0, room)]
        if self._waiting and (not waits or now - self._waiting[0].at > PATIENCE or now < self._waiting[0].at):
            offences, self._waiting = self._waiting, []
            written = self._bounded(self._not_spared(config, offences, now))
            self._try("logs/offenders.log", lambda: OffendersLog(system.data_dir / "logs").append(written))

    def _new_run(self, there: Observed, now: float) -> _Run:
        """One that was there before this process is: what it has told already was written down by the one before."""
        fresh = there.started_at >= self._began
        return _Run(counts={} if fresh else None, read_to=0.0 if fresh else now, moved=(0, 0) if fresh else (-1, -1))

    def _ask_some(self, config: Config, running: Iterable[Observed], now: float) -> tuple[list[Offence], set[str]]:
        """(new offences, addresses with good sessions) of engines that answer."""
        found: list[Offence] = []
        good = {address for seen in self.system.connected.seen.values() for address in seen}
        asked = [(there, engine, question) for there in running if (engine := serving(there, self.system.engines))
                 and (question := engine.ask_visitors(config))]
        for there, engine, question in sorted(asked, key=lambda each: self._turn(each[0]))[:ASKED]:
            run = self._runs[there.run_id]
            run.looked_at, run.moved = now, self._moved(there)
            try:
                told = engine.visitors(scrape(ports.join(self._address(there, config), question.port), question.path,
                                              _ANSWER, question.headers))
            except (ScrapeFailure, RuntimeFailure, ValueError) as error:
                log.debug("%s does not tell who came: %s", there.name, error)
                continue
            good.update(told.good)
            found += self._grown(there, told, bans.port_of(self.system, config, there), now)
        return found, good

    def _moved(self, there: Observed) -> tuple[int, int]:
        return self.system.reconciler.sampler.moved.get(there.run_id, (0, 0))

    def _turn(self, there: Observed) -> tuple[bool, float]:
        """Who comes first: where somebody was turned away, then who was not looked at for the longest time."""
        run = self._runs[there.run_id]
        return self._moved(there)[0] == run.moved[0], run.looked_at

    def _grown(self, there: Observed, told: Visitors, port: int, now: float) -> list[Offence]:
        run = self._runs[there.run_id]
        before, run.counts = run.counts, dict(told.turned_away)
        if before is None:
            return []
        found = []
        for (address, reason), count in told.turned_away.items():
            known = before.get((address, reason), 0)
            new = count - known if count >= known else count
            with suppress(ValueError):
                found += [Offence(now, place(address), port, reason)] * min(new, MOST_OF_ONE)
        return found

    def _read_logs(self, config: Config, running: Iterable[Observed], now: float, found: list[Offence],
                   good: set[str]) -> bool:
        """Read the logs of those whose counters have changed, first where somebody was turned away, then the one that
        was not read for the longest time. Returns whether some are left for the next look."""
        due = [(there, engine) for there in running if (engine := serving(there, self.system.engines))
               and engine.capabilities.logs_visitors and self._moved(there) != self._runs[there.run_id].moved]
        due.sort(key=lambda each: self._turn(each[0]))
        for there, engine in due[:LOGS]:
            run, moved = self._runs[there.run_id], self._moved(there)
            run.looked_at = now
            try:
                visits = engine.visits(self.system.runtime.logs(there.name, LOG_LINES))
            except RuntimeFailure:
                continue  # the next look tries again
            run.moved = moved
            found += self._new_visits(visits, run, bans.port_of(self.system, config, there), good)
        return len(due) > LOGS

    def _new_visits(self, visits: Iterable[Visit], run: _Run, port: int, good: set[str]) -> list[Offence]:
        since, found = run.read_to, []
        for visit in visits:
            run.read_to = max(run.read_to, visit.at)
            if not visit.reason:
                good.add(visit.address)
            elif visit.at > since:
                with suppress(ValueError):
                    found.append(Offence(visit.at, place(visit.address), port, visit.reason))
        return found

    def _floods(self, config: Config, now: float) -> list[Offence]:
        """Whom nginx turned away for too many connections at a time."""
        edge = self.system.port443.edge
        if not edge or not config.port_443_mode:
            return []
        try:
            told = edge.flooders()
        except (EdgeFailure, RuntimeFailure):
            return []
        found, port = [], self.system.port443.public_port
        for address, count in told.items():
            with suppress(ValueError):
                found += [Offence(now, place(address), port, FLOOD)] * min(count, MOST_OF_ONE)
        return found

    def _refused(self, now: float) -> list[Offence]:
        """Whom the firewall refused. One offence a minute, however often it was and at how many ports: an app that lost
        its network tries again many times."""
        told = BansFolder(self.system.data_dir).refused()
        if not told or told.at == self._refused_at or told.at < self._began:
            return []
        self._refused_at = told.at
        return [Offence(min(told.at, now), place, port, TOO_OFTEN) for place, port in told.ports.items()]

    def _note_good(self, config: Config, good: Iterable[str], now: float) -> None:
        """Those, and where the panel is used."""
        system, known = self.system, set()
        with system.ledger.database.best_effort("where the panel is used"):
            good = [*good, *system.ledger.sessions.addresses()]
        for address in good:
            with suppress(ValueError):
                if is_public(address):
                    known.add(place(address))
        system.ledger.good_places.note(known, config.secret_key, now)

    def _not_spared(self, config: Config, offences: list[Offence], now: float) -> list[Offence]:
        networks = bans.spared(self.system, config)
        addresses = {each.place for each in offences}
        open_ = {each for each in addresses if is_public(each, networks)}
        with self.system.ledger.database.best_effort("addresses with good sessions"):
            return [each for each in offences
                    if each.place in open_ - self.system.ledger.good_places.among(open_, config.secret_key, now)]
        return []  # nobody knows who is good: nobody is written down

    def _bounded(self, offences: list[Offence]) -> list[Offence]:
        counted: dict[str, int] = {}
        kept: list[Offence] = []
        for each in sorted(offences, key=lambda offence: offence.at):
            counted[each.place] = counted.get(each.place, 0) + 1
            if counted[each.place] <= MOST_OF_ONE and len(kept) < MOST_OF_ALL:
                kept.append(replace(each, at=int(each.at)))
        return kept

    def _address(self, there: Observed, config: Config) -> str:
        """Where this workload is asked."""
        runtime = self.system.runtime
        ip = ports.split(runtime.place(bans.listened(self.system, config, there), config.proxy_bind).metrics)[0]
        if ipaddress.ip_address(ip).is_unspecified:  # it listens on all addresses of a network of its own
            return ports.split(runtime.address(there.name))[0]
        return ip

    def _try(self, what: str, step: Callable[[], object]) -> None:
        """A disk that takes no writes is said once."""
        try:
            step()
            self._told = ""
        except OSError as error:
            if self._told != (said := f"{what}: {error}"):
                log.warning("%s could not be written: %s", what, error)
            self._told = said
