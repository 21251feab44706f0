"""Speed limits in force: put on, read back and lifted, whoever keeps to them; the ledger has what was read back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from app.config.model import Config
from app.control.outcome import Outcome
from app.engines.base import ENGINE, Engine, serving
from app.ledger.ledger import Ledger
from app.lib.clock import Clock
from app.messages import Problem, together
from app.rules.links import UserLink, all_links
from app.runtimes.base import RUNNING, Observed, Runtime, RuntimeFailure

#: Seconds after which a throttle that was read back is read again, and how many are in one pass: asking Docker
#: takes a helper container each time, and traffic is not counted meanwhile.
READ_AGAIN_AFTER, READ_AGAIN_AT_ONCE = 300.0, 4


class Throttling:
    """Whoever does it for each workload: its engine, or the runtime around it. clock: Unix seconds."""

    def __init__(self, engines: Mapping[str, Engine], runtime: Runtime, ledger: Ledger, clock: Clock) -> None:
        self._engines = engines
        self._by_engine = ByEngine(engines, runtime, ledger, clock)
        self._by_runtime = ByRuntime(runtime, ledger, clock)

    def enforce(self, wanted: Mapping[str, int], observed: Mapping[str, Observed], config: Config) -> list[Outcome]:
        """Let these limits (bits per second by the link's name) be in force, and no others, as far as what serves the
        links runs; what was done for it, or failed. observed: workloads by name."""
        itself = {name: there for name, there in observed.items() if there.live
                  and (engine := serving(there, self._engines)) and engine.capabilities.speed == ENGINE}
        others = {name: there for name, there in observed.items() if name not in itself}
        return [*self._by_runtime.enforce(wanted, others, config), *self._by_engine.enforce(wanted, itself, config)]


@dataclass
class ByRuntime:
    """The runtime limits the workload of a link from outside, whenever it is told to. read_back: which limit was read
    back when: (run id, bits per second, Unix seconds) by the link's name."""

    runtime: Runtime
    ledger: Ledger
    clock: Clock
    read_back: dict[str, tuple[str, int, float]] = field(default_factory=dict)

    def enforce(self, wanted: Mapping[str, int], observed: Mapping[str, Observed], config: Config) -> list[Outcome]:
        """As in Throttling, for these workloads."""
        outcomes, again, known = [], 0, self.ledger.workloads.throttles()
        names = {user.id: user.name for user in config.users}
        # A ledger begun anew knows nothing of what runs throttled: once, all are looked at.
        unknown = set() if self.ledger.workloads.throttles_are_known() else observed.keys() - known.keys()
        for name in sorted(wanted.keys() | known.keys() | unknown):
            there = observed.get(name)
            if there is None or there.state != RUNNING:
                continue
            speed = wanted.get(name)
            run_id, bits, at = self.read_back.get(name, ("", 0, 0.0))
            if speed and (run_id, bits, known.get(name)) == (there.run_id, speed, speed):
                if 0 <= self.clock() - at < READ_AGAIN_AFTER or again == READ_AGAIN_AT_ONCE:
                    continue
                again += 1
            user, began = names.get(there.user_id, ""), time.monotonic()
            action = _action(speed)
            try:
                in_force = self.runtime.throttled(name)
                if in_force != speed:
                    self.runtime.throttle(name, speed)
                    in_force = self.runtime.throttled(name)
                    outcomes.append(Outcome(action, name, user, True, None, time.monotonic() - began,
                                            there.user_id))
                    self.ledger.events.record("panel", _event(speed), user, Problem(
                        "event.speed_mbps", {"mbps": (speed or 0) / 1e6}), users=[there.user_id])
                self.read_back[name] = (there.run_id, in_force or 0, self.clock())
                self.ledger.workloads.set_throttle(name, in_force, self.clock())
            except RuntimeFailure as failure:
                if speed or name not in unknown:
                    outcomes.append(Outcome(action, name, user, False, together(failure.problems),
                                            time.monotonic() - began, there.user_id))
        if unknown:
            self.ledger.workloads.note_throttles_are_known()
        return outcomes


@dataclass
class ByEngine:
    """The engine limits each link itself, as its live files say, which were updated before; it tells what it does."""

    taken_over_in = 3.0  # seconds

    engines: Mapping[str, Engine]
    runtime: Runtime
    ledger: Ledger
    clock: Clock

    def enforce(self, wanted: Mapping[str, int], observed: Mapping[str, Observed], config: Config) -> list[Outcome]:
        """As in Throttling, for these workloads."""
        known, began = self.ledger.workloads.throttles(), time.monotonic()
        running = {o.run_id: o for o in observed.values() if o.state == RUNNING}
        if not running or not (wanted or known):
            return []
        links = {link.id: link for link in all_links(config)}
        told = self._told(links, running)
        while any(bits != wanted.get(name) for name, (bits, _) in told.items()) \
                and time.monotonic() - began < self.taken_over_in:
            time.sleep(0.05)
            told = self._told(links, running)
        outcomes = []
        for link in links.values():
            if link.name not in told:
                continue
            speed, (bits, engine) = wanted.get(link.name), told[link.name]
            problem = None if bits == speed else Problem("throttle.not_kept", {
                "name": link.user.name, "wanted": speed or 0, "engine": engine, "kept": bits or 0})
            if problem or known.get(link.name) != bits:
                outcomes.append(Outcome(_action(speed), link.name, link.user.name, not problem, problem,
                                        time.monotonic() - began, link.user.id))
            if not problem and known.get(link.name) != bits:
                self.ledger.events.record("panel", _event(speed), link.user.name, Problem(
                    "event.speed_mbps", {"mbps": (speed or 0) / 1e6}), users=[link.user.id])
            self.ledger.workloads.set_throttle(link.name, bits, self.clock())
        for name in known.keys() - {link.name for link in links.values()}:
            self.ledger.workloads.set_throttle(name, None)
        return outcomes

    def _told(self, links: Mapping[str, UserLink],
              running: Mapping[str, Observed]) -> dict[str, tuple[int | None, str]]:
        """The limits that engines say they keep links to, and which engine says so, by the links' names."""
        found: dict[str, tuple[int | None, str]] = {}
        for sample in self.runtime.samples():
            there = running.get(sample.run_id)
            if there and sample.text and (engine := serving(there, self.engines)):
                with suppress(ValueError):
                    found |= {links[link].name: (counters.bits_per_second, engine.name) for link, counters
                              in engine.readings(there.links, sample.text).items() if link in links}
        return found


def _action(speed: int | None) -> str:
    return "throttle" if speed else "unthrottle"


def _event(speed: int | None) -> str:
    return "throttle.set" if speed else "throttle.lifted"
