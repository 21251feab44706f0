"""Reads the engines' counters into the ledger: one reader at a time, and nothing read is lost."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.engines.base import Engine
from app.ledger.ledger import Ledger
from app.ledger.traffic import Reading
from app.runtimes.base import Observed, Runtime, Sample

log = logging.getLogger(__name__)


@dataclass
class Sampler:
    """unwritten: readings that the ledger could not take, by workload, start and whether they are an
    estimate. An engine that still runs is simply read again; these are for those that have ended since."""

    data_dir: Path
    ledger: Ledger
    runtime: Runtime
    engine: Engine
    clock: Callable[[], float]
    unwritten: dict[tuple[str, str, bool], Reading] = field(default_factory=dict)

    def sample(self, observed: Iterable[Observed]) -> set[str]:
        """Account what these workloads have counted; the ids of users who had a session."""
        users = {(o.name, o.start): o.user_id for o in observed if o.start}
        if not users and not self.unwritten:
            return set()
        # Two readers at a time could write the older reading last, which would look like a fresh counter.
        with self._lock():
            readings = {(r.name, r.start, r.estimated): r for r in self._read(users)}
            late = [replace(r, late=True) for key, r in self.unwritten.items() if key not in readings]
            with self.ledger.database.best_effort("traffic"):
                active = self.ledger.traffic.account([*late, *readings.values()], self.clock())
                self.unwritten.clear()
                return active
            self.unwritten |= readings
        return set()

    def _read(self, users: dict[tuple[str, str], str]) -> Iterator[Reading]:
        for sample in self.runtime.samples() if users else []:
            user_id = users.get((sample.name, sample.start))
            if user_id is None:
                continue
            if sample.network is not None:
                yield _estimate(user_id, sample)
                continue
            try:
                c = self.engine.counters(sample.text)
            except ValueError as error:
                log.warning("the metrics of %s can't be read, and are left for the next tick: %s",
                            sample.name, error)
                continue
            yield Reading(user_id, sample.name, sample.start, c.down, c.up, c.fronted, c.connections)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with open(self.data_dir / "sample.lock", "a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _estimate(user_id: str, sample: Sample) -> Reading:
    """What a user moved, from the network's counters of a relay that tells nothing itself.

    A relay receives each byte once and sends it once, to whichever side: half of all is what was
    moved. The directions can't be told apart, as what comes in from Telegram goes out to the user
    and the other way round: each is given half, as nothing is known that speaks for another share. It
    is too much by the packets' headers (up to 5 % of full packets, more of small ones) and by the
    probes, which can't be told apart either.
    """
    moved = sum(sample.network) // 2
    return Reading(user_id, sample.name, sample.start, moved - moved // 2, moved // 2, fronted=0,
                   connections=0, estimated=True)
