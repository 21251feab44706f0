"""Limits on the addresses of a link that its engine does not keep: the runtime does, or nginx on port 443. They are put
on, read back and lifted; the ledger has what was read back."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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

#: Seconds after which a limit that was read back is read again, and how many are in one pass.
READ_AGAIN_AFTER, READ_AGAIN_AT_ONCE = 60.0, 20
#: How many limits are put on or lifted in one pass: after a start of the whole server, all are to be put on, and the
#: next sample of the traffic waits for this.
PUT_ON_AT_ONCE = 200
#: The same for those that need a helper container each, which is a third of a second of the processor, and how many
#: of them at a time.
ALONE_READ, ALONE_PUT_ON, WORKERS = 2, 32, 8
#: Seconds at most until one that could not be put on is tried again.
LONGEST_PAUSE = 300.0


#: What was read back, None for no limit; seconds; why it could not be done.
Done = tuple[Devices | None, float, Problem | None]


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
    #: The addresses that had a place when it was last looked, by link id, each with when it was first seen since it was
    #: last away (Unix seconds). In memory alone, as in control/connected.
    seen: dict[str, dict[str, float]] = field(default_factory=dict)
    backoff: BackOff = field(init=False)

    def __post_init__(self) -> None:
        self.backoff = BackOff(lambda: self.clock(), LONGEST_PAUSE)

    def enforce(self, wanted: Desired, observed: Mapping[str, Observed], config: Config,
                respect_backoff: bool) -> list[Outcome]:
        """Let these limits be in force, and no others, as far as what serves the links runs; what was done for it, or
        failed. observed: workloads by name. respect_backoff: as in Reconciler.reconcile."""
        known = self._known()
        if not (known or wanted.devices or wanted.edge_devices):
            self.seen = {}
            return []
        links = {link.name: link for link in all_links(config)}
        running = {name: there for name, there in observed.items() if there.state == RUNNING}
        on_443 = self._read_edge(wanted.edge_devices, links.values())
        due = {name: there for name, there in running.items() if name in wanted.devices}
        fresh = {name for name, there in due.items()
                 if (known.get(name, Kept("", 0)).run, known.get(name, Kept("", 0)).limit, _verified(known, name))
                 != (there.run_id, wanted.devices[name], True)}
        self.resting = frozenset(
            name for name in fresh
            if respect_backoff and self.backoff.resting(name, _spec(due[name], wanted.devices[name])))
        old = sorted((known[name].at, name) for name in due.keys() - fresh
                     if not 0 <= self.clock() - known[name].at < READ_AGAIN_AFTER)
        unwanted = known.keys() - wanted.devices.keys() - on_443
        ended = {name for name in unwanted if name not in running or running[name].run_id != known[name].run}
        put_on = sorted(fresh - self.resting)[:PUT_ON_AT_ONCE]
        again = [name for _, name in old[:READ_AGAIN_AT_ONCE]]
        lift = sorted(unwanted - ended)[:PUT_ON_AT_ONCE]
        # Noted before it is done: whoever takes a limit away later finds what there may be to lift.
        self.ledger.device_limits.note({name: Kept(due[name].run_id, wanted.devices[name]) for name in put_on})
        done = self._do([*put_on, *again, *lift], wanted.devices, fresh)
        outcomes = self._note_lifted([name for name in lift if name in done], done, running, links)
        outcomes += self._note_kept([name for name in (*put_on, *again) if name in done], done, due, wanted.devices,
                                    known, fresh, links)
        self._forget(ended)
        kept = {links[name].id for name in (*due, *on_443) if name in links}
        self.seen = {link: addresses for link, addresses in self.seen.items() if link in kept}
        return outcomes

    def _do(self, names: Sequence[str], wanted: Mapping[str, int], fresh: Collection[str]) -> dict[str, Done]:
        """Put on, lift or read back these, together if the runtime can; of those that need a helper each, some wait
        for the next pass."""
        began = time.monotonic()
        at_once: Mapping[str, Devices | None] = {}
        if len(names) > 1:
            with suppress(RuntimeFailure):  # each for itself then, which says why it can't be
                at_once = self.runtime.keep_devices({name: wanted.get(name, 0) for name in names})
        seconds = (time.monotonic() - began) / max(1, len(at_once))
        done: dict[str, Done] = {name: (limit, seconds, None) for name, limit in at_once.items()}
        left = [name for name in names if name not in done]
        alone = [*[name for name in left if name in fresh or name not in wanted][:ALONE_PUT_ON],
                 *[name for name in left if name in wanted and name not in fresh][:ALONE_READ]]
        with ThreadPoolExecutor(WORKERS) as pool:
            one_by_one = pool.map(lambda name: self._keep(name, wanted.get(name, 0), name in fresh), alone)
        return done | dict(zip(alone, one_by_one, strict=True))

    def _note_kept(self, names: Iterable[str], done: Mapping[str, Done], due: Mapping[str, Observed],
                   wanted: Mapping[str, int], known: Mapping[str, Kept], fresh: Collection[str],
                   links: Mapping[str, UserLink]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        read: dict[str, Kept] = {}
        for name in names:
            there, most, link = due[name], wanted[name], links[name]
            kept, seconds, failure = done[name]
            if failure or kept is None:
                self.backoff.failed(name, _spec(there, most))
                outcomes.append(Outcome("limit", name, link.user.name, False, failure, seconds, there.user_id))
                continue
            self.backoff.succeeded(name)
            read[name] = Kept(there.run_id, kept.limit, kept.now, kept.refused, self.clock())
            self._see(link.id, kept.addresses)
            if name in fresh:
                outcomes.append(Outcome("limit", name, link.user.name, True, None, seconds, there.user_id))
            if most != known.get(name, Kept("", 0)).limit:
                self.ledger.events.record("panel", "addresses.limited", link.user.name,
                                          Problem("event.addresses", {"limit": most}), users=[link.user.id])
        self._note(read)
        return outcomes

    def _note_lifted(self, names: Collection[str], done: Mapping[str, Done], running: Mapping[str, Observed],
                     links: Mapping[str, UserLink]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for name in names:
            user, (_, seconds, failure) = links[name].user.name if name in links else "", done[name]
            outcomes.append(Outcome("unlimit", name, user, not failure, failure, seconds, running[name].user_id))
            if not failure:
                self.ledger.events.record("panel", "addresses.unlimited", user, users=[running[name].user_id])
        self._forget({one.name for one in outcomes if one.ok})
        return outcomes

    def _see(self, link: str, addresses: Iterable[str]) -> None:
        before, now = self.seen.get(link, {}), self.clock()
        self.seen[link] = {address: before.get(address, now) for address in addresses}

    def _forget(self, names: set[str]) -> None:
        """These are in force no more; what has ended took its limit with it."""
        for name in names:
            self.read_back.pop(name, None)
        self.ledger.device_limits.forget(names)

    def _known(self) -> dict[str, Kept]:
        known = self.ledger.device_limits.all()
        return known | {name: kept for name, kept in self.read_back.items()
                        if name not in known or kept.at > known[name].at}

    def _note(self, kept: dict[str, Kept]) -> None:
        self.read_back |= kept
        self.ledger.device_limits.note(kept)

    def _keep(self, name: str, most: int, fresh: bool) -> Done:
        """Have the runtime keep it, where it does not; 0 lifts it."""
        began = time.monotonic()
        try:
            kept = None if fresh else self.runtime.devices(name) if most else None
            if kept is None or kept.limit != most:
                self.runtime.limit_devices(name, most)
                kept = self.runtime.devices(name) if most else None
        except RuntimeFailure as failure:
            return None, time.monotonic() - began, together(failure.problems)
        why = Problem("runtime.addresses_not_running", {"name": name}) if most and kept is None else None
        return kept, time.monotonic() - began, why

    def _read_edge(self, wanted: Mapping[str, int], links: Iterable[UserLink]) -> set[str]:
        """Note which of these limits, by SNI domain, nginx keeps; the names of the links that have one there."""
        there = [link for link in links if link.domain in wanted]
        names, ids = {link.domain: link.name for link in there}, {link.domain: link.id for link in there}
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
        for domain, one in kept.items():
            self._see(ids[domain], one.addresses)
        return {names[domain] for domain in kept}


def _verified(known: Mapping[str, Kept], name: str) -> bool:
    return name in known and known[name].at > 0


def _spec(there: Observed, most: int) -> str:
    """What is tried: with another one, at once."""
    return f"{there.run_id}/{most}"
