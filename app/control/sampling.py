"""Reads the engines' counters into the ledger: one reader at a time, and nothing read is lost."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.control.served import served
from app.engines.base import ADDRESSES, Counters, Engine, serving
from app.ledger.bad_connections import Told
from app.ledger.devices import EDGE_RUN
from app.ledger.ledger import Ledger
from app.ledger.refusals import Count
from app.ledger.traffic import Reading
from app.lib.clock import Clock
from app.lib.filelock import FileLock
from app.messages import Problem
from app.rules.links import UserLink
from app.runtimes.base import Observed, Runtime, RuntimeFailure, Sample

log = logging.getLogger(__name__)

#: Metrics are floats, and from here on no exact counts any more: 9 PB in one start of a proxy.
_LARGEST = 2 ** 53
#: How many of the last lines of a log are looked through for refusals each time: what is beyond is not counted.
_LOG_LINES = 5000


@dataclass
class Sampler:
    """by_name: the links that are declared, by the name of their workload. unwritten: readings that the ledger could
    not take, by link, run and whether they are an estimate. An engine that still runs is simply read again; these
    are for those that have ended since. trouble: why the ledger could not take the last readings; None if
    it could. moved: what was last read, by run: connections that were turned away, and what tells of any others."""

    data_dir: Path
    ledger: Ledger
    runtime: Runtime
    engines: Mapping[str, Engine]
    by_name: Callable[[], Mapping[str, UserLink]]
    clock: Clock
    unwritten: dict[tuple[str, str, bool], Reading] = field(default_factory=dict)
    trouble: Problem | None = None
    moved: dict[str, tuple[int, int]] = field(default_factory=dict)

    def sample(self, observed: Iterable[Observed], read: Iterable[Sample] | None = None,
               whole: bool = False) -> set[str]:
        """Account what these workloads have counted; the ids of users who had a session. read: what was read of them
        before, and they may have ended since; None to read them now. whole: whether these are all that there are."""
        running = {o.run_id: o for o in observed if o.run_id}
        if not running and not self.unwritten:
            return set()
        # Two readers at a time could write the older reading last, which would look like a fresh counter.
        with locked(self.data_dir / "sample.lock"):
            refused: list[Count] = []
            bad: list[Told] = []
            readings = {(r.link, r.run_id, r.estimated): r for r in self._read(running, refused, bad, read)}
            self.moved = {run: moved for run, moved in self.moved.items() if run in running or not whole}
            late = [replace(r, late=True) for key, r in self.unwritten.items() if key not in readings]
            try:
                active = self.ledger.traffic.account([*late, *readings.values()], self.clock())
            except sqlite3.OperationalError as error:
                log.warning("traffic could not be written: %s", error)
                self.trouble = Problem("traffic.unwritten", {"reason": error})
                self.unwritten |= readings
                return set()
            self.unwritten.clear()
            self.trouble = None
            with self.ledger.database.best_effort("refused tries"):
                self.ledger.refusals.account(refused, self.clock())
            with self.ledger.database.best_effort("connections that were turned away"):
                self.ledger.bad_connections.account([*bad, *self._refused_addresses(running)], self.clock(), whole)
            return active

    def _read(self, running: Mapping[str, Observed], refused: list[Count], bad: list[Told],
              read: Iterable[Sample] | None) -> Iterator[Reading]:
        late = read is not None
        links, owners = served(running.values(), self.by_name), self._owners(running.values())
        if read is None:
            read = self.runtime.samples() if running else []
        for sample in read:
            if sample.run_id not in running:
                continue
            there, serves = running[sample.run_id], links[sample.run_id]
            guessed = not (there.links or there.shared)
            if sample.network is not None:
                # Of several links, nobody knows whose bytes the network has counted.
                if len(serves) == 1:
                    refused.append(Count(there.user_id, serves[0], sample.run_id, None, guessed))
                    yield _estimate(there.user_id, serves[0], sample.run_id, sample.network, guessed)
                continue
            if not (engine := serving(there, self.engines)):
                continue
            try:
                told = engine.readings(serves, sample.text)
                counts = {reason: count for reason, count in engine.bad(sample.text).items() if 0 <= count < _LARGEST}
            except (ValueError, OverflowError) as error:  # of one workload, and no reason to count nobody
                _left_out(sample.name, error)
                continue
            self.moved[sample.run_id] = _movement(told.values())
            if counts:
                bad.append(Told(engine.name, sample.run_id, counts, there.user_id))
            if not late:
                bad.extend(self._refused_unheard(engine, there, sample.text, owners))
            for link, c in told.items():
                user_id = owners.get(link) or there.user_id
                if not user_id:
                    continue  # the link of a user who was removed
                told_of = (c.down, c.up, c.fronted, c.connections, c.addresses or 0)
                odd = [count for count in told_of if not 0 <= count < _LARGEST]
                if odd:
                    _left_out(sample.name, odd)
                    continue
                refused.append(Count(user_id, link, sample.run_id, c.refused, guessed))
                yield Reading(user_id, link, sample.run_id, c.down, c.up, c.fronted, c.connections, guessed=guessed,
                              addresses=c.addresses, late=late, estimated=c.estimated)

    def _refused_unheard(self, engine: Engine, there: Observed, metrics: str, owners: Mapping[str, str]
                         ) -> Iterator[Told]:
        """Connections that the engine refused for the limit on addresses, as its log has told since the last time."""
        run, limited = f"{there.run_id}/log", engine.refuses_unheard(metrics)
        read_to = self.ledger.bad_connections.read_to(run)
        if read_to is None and not limited:
            return
        since, found = there.started_at if read_to is None else read_to, []
        if limited:
            with suppress(RuntimeFailure):  # the next tick reads on from there
                found = [(at, link) for at, link in engine.refused(self.runtime.logs(there.name, _LOG_LINES))
                         if at > since]
        users = Counter(owners.get(link, "") for _, link in found)
        read_to = max([since, *(at for at, _ in found)])
        yield from (Told(engine.name, run, {ADDRESSES: count} if count else {}, user, read_to)
                    for user, count in (users or {"": 0}).items())

    def _refused_addresses(self, running: Mapping[str, Observed]) -> Iterator[Told]:
        """Connections that were refused for an engine, for the limit on addresses, as they were last read back."""
        by_name = {there.name: there for there in running.values()}
        for name, kept in self.ledger.device_limits.all().items():
            there = by_name.get(name)
            if (there and kept.refused and kept.run in (there.run_id, f"{EDGE_RUN}{name}")
                    and (engine := serving(there, self.engines))):
                yield Told(engine.name, f"{kept.run}/{ADDRESSES}", {ADDRESSES: kept.refused}, there.user_id)

    def _owners(self, running: Iterable[Observed]) -> dict[str, str]:
        """Users by link, for workloads that serve those of several users; of today's links and of those before."""
        if all(there.user_id for there in running):
            return {}
        before: dict[str, str] = {}
        with suppress(sqlite3.OperationalError):
            before = self.ledger.traffic.owners()
        return {**before, **{link.id: link.user.id for link in self.by_name().values()}}


def _left_out(name: str, why: Exception | list[int]) -> None:
    log.warning("the metrics of %s can't be read, and are left for the next tick: %s", name, why)


def _movement(told: Iterable[Counters]) -> tuple[int, int]:
    """As in Sampler.moved."""
    told = list(told)
    return (sum(each.fronted + each.replays for each in told),
            sum(each.down + each.up + each.connections for each in told))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold this lock file, alone. If it is there, it can be had on a disk that takes no writes, too."""
    try:
        lock = FileLock(path)
    except OSError:
        lock = FileLock(path, make=False)
    with lock:
        lock.take()
        yield


def _estimate(user_id: str, link: str, run_id: str, network: tuple[int, int], guessed: bool) -> Reading:
    """What a user moved, from the network's counters of a relay that tells nothing itself.

    A relay receives each byte once and sends it once, to whichever side: half of all is what was
    moved. The directions can't be told apart, as what comes in from Telegram goes out to the user
    and the other way round: each is given half, as nothing is known that speaks for another share. It
    is too much by the packets' headers (up to 5 % of full packets, more of small ones) and by the
    probes, which can't be told apart either.
    """
    moved = sum(network) // 2
    return Reading(user_id, link, run_id, moved - moved // 2, moved // 2, fronted=0, connections=0, estimated=True,
                   guessed=guessed)
