"""Limits on the addresses of a link that its engine does not keep: the runtime does, or nginx on port 443. They are put
on, read back and lifted; the ledger has what was read back."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from app.config.model import Config
from app.control.backoff import BackOff
from app.control.desired import Desired
from app.control.outcome import Outcome
from app.edge.base import Edge, EdgeFailure
from app.ledger.devices import EDGE_RUN, Kept
from app.ledger.ledger import Ledger
from app.lib.clock import Clock
from app.messages import Problem, together
from app.rules.links import UserLink, all_links
from app.runtimes.base import RUNNING, Devices, Observed, Runtime, RuntimeFailure

#: Seconds after which a limit that was read back is read again, and how many are in one pass: asking Docker takes a
#: helper container each time, and a third of a second of the processor.
READ_AGAIN_AFTER, READ_AGAIN_AT_ONCE = 60.0, 2
#: How many limits are put on in one pass, and how many of them at a time: after a start of the whole server, all are to
#: be, and the next sample of the traffic waits for this (some six seconds).
PUT_ON_AT_ONCE, WORKERS = 32, 8
#: Seconds at most until one that could not be put on is tried again.
LONGEST_PAUSE = 300.0


@dataclass
class DeviceLimits:
    """clock: Unix seconds. resting: names of links whose limit was left alone in the last pass, as putting it on has
    failed."""

    runtime: Runtime
    edge: Edge | None
    ledger: Ledger
    clock: Clock
    resting: frozenset[str] = frozenset()
    #: What this process has read back: the ledger may be on a full disk.
    read_back: dict[str, Kept] = field(default_factory=dict)
    backoff: BackOff = field(init=False)

    def __post_init__(self) -> None:
        self.backoff = BackOff(lambda: self.clock(), LONGEST_PAUSE)

    def enforce(self, wanted: Desired, observed: Mapping[str, Observed], config: Config,
                respect_backoff: bool) -> list[Outcome]:
        """Let these limits be in force, and no others, as far as what serves the links runs; what was done for it, or
        failed. observed: workloads by name. respect_backoff: as in Reconciler.reconcile."""
        known = self._known()
        if not (known or wanted.devices or wanted.edge_devices):
            return []
        links = {link.name: link for link in all_links(config)}
        running = {name: there for name, there in observed.items() if there.state == RUNNING}
        on_443 = self._read_edge(wanted.edge_devices, links.values())
        outcomes = self._lift(known.keys() - wanted.devices.keys() - on_443, known, running, links)
        due = {name: there for name, there in running.items() if name in wanted.devices}
        fresh = {name for name, there in due.items()
                 if (known.get(name, Kept("", 0)).run, known.get(name, Kept("", 0)).limit, _verified(known, name))
                 != (there.run_id, wanted.devices[name], True)}
        self.resting = frozenset(
            name for name in fresh
            if respect_backoff and self.backoff.resting(name, _spec(due[name], wanted.devices[name])))
        old = sorted((known[name].at, name) for name in due.keys() - fresh
                     if not 0 <= self.clock() - known[name].at < READ_AGAIN_AFTER)
        now = [*sorted(fresh - self.resting)[:PUT_ON_AT_ONCE], *(name for _, name in old[:READ_AGAIN_AT_ONCE])]
        # Noted before it is done: whoever takes a limit away later finds what there may be to lift.
        self.ledger.device_limits.note({name: Kept(due[name].run_id, wanted.devices[name])
                                        for name in now if name in fresh})
        with ThreadPoolExecutor(WORKERS) as pool:
            done = pool.map(lambda name: self._keep(name, wanted.devices[name], name in fresh), now)
        read: dict[str, Kept] = {}
        for name, (kept, seconds, failure) in zip(now, done, strict=True):
            there, most, link = due[name], wanted.devices[name], links[name]
            if failure or kept is None:
                self.backoff.failed(name, _spec(there, most))
                outcomes.append(Outcome("limit", name, link.user.name, False, failure, seconds, there.user_id))
                continue
            self.backoff.succeeded(name)
            read[name] = Kept(there.run_id, kept.limit, kept.now, kept.refused, self.clock())
            if name in fresh:
                outcomes.append(Outcome("limit", name, link.user.name, True, None, seconds, there.user_id))
            if most != known.get(name, Kept("", 0)).limit:
                self.ledger.events.record("panel", "addresses.limited", link.user.name,
                                          Problem("event.addresses", {"limit": most}))
        self._note(read)
        return outcomes

    def _known(self) -> dict[str, Kept]:
        known = self.ledger.device_limits.all()
        return known | {name: kept for name, kept in self.read_back.items()
                        if name not in known or kept.at > known[name].at}

    def _note(self, kept: dict[str, Kept]) -> None:
        self.read_back |= kept
        self.ledger.device_limits.note(kept)

    def _keep(self, name: str, most: int, fresh: bool) -> tuple[Devices | None, float, Problem | None]:
        """Have the runtime keep it, where it does not: what is in force then, seconds, and why it could not."""
        began = time.monotonic()
        try:
            kept = None if fresh else self.runtime.devices(name)
            if kept is None or kept.limit != most:
                self.runtime.limit_devices(name, most)
                kept = self.runtime.devices(name)
        except RuntimeFailure as failure:
            return None, time.monotonic() - began, together(failure.problems)
        why = None if kept else Problem("runtime.addresses_not_running", {"name": name})
        return kept, time.monotonic() - began, why

    def _lift(self, names: Collection[str], known: Mapping[str, Kept], running: Mapping[str, Observed],
              links: Mapping[str, UserLink]) -> list[Outcome]:
        """These are to be in force no more; what has ended since took its limit with it."""
        outcomes, gone = [], set()
        for name in sorted(names):
            there, began, failure = running.get(name), time.monotonic(), None
            if there and there.run_id == known[name].run:
                user = links[name].user.name if name in links else ""
                try:
                    self.runtime.limit_devices(name, 0)
                except RuntimeFailure as refused:
                    failure = together(refused.problems)
                outcomes.append(Outcome("unlimit", name, user, not failure, failure, time.monotonic() - began,
                                        there.user_id))
                if not failure:
                    self.ledger.events.record("panel", "addresses.unlimited", user)
            if not failure:
                gone.add(name)
        for name in gone:
            self.read_back.pop(name, None)
        self.ledger.device_limits.forget(gone)
        return outcomes

    def _read_edge(self, wanted: Mapping[str, int], links: Iterable[UserLink]) -> set[str]:
        """Note which of these limits, by SNI domain, nginx keeps; the names of the links that have one there."""
        names = {link.domain: link.name for link in links if link.domain in wanted}
        if not names or not self.edge:
            return set()
        try:
            told = self.edge.devices()
        except EdgeFailure:
            # What was read back before stands, as old as it says; that nginx does not answer is told elsewhere.
            return set(names.values())
        kept = {domain: one for domain, one in told.items() if wanted.get(domain) == one.limit and domain in names}
        self._note({
            names[domain]: Kept(f"{EDGE_RUN}{names[domain]}", one.limit, one.now, one.refused, self.clock())
            for domain, one in kept.items()})
        return {names[domain] for domain in kept}


def _verified(known: Mapping[str, Kept], name: str) -> bool:
    return name in known and known[name].at > 0


def _spec(there: Observed, most: int) -> str:
    """What is tried: with another one, at once."""
    return f"{there.run_id}/{most}"
