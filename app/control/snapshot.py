"""Everything that people are shown of the proxies, read once for all users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

from app.checks.server import server_address
from app.config.model import Config
from app.control.served import standing
from app.control.system import System
from app.engines.base import Engine
from app.ledger.devices import Kept
from app.ledger.refusals import Refused
from app.ledger.traffic import Total
from app.lib.zone import server_zone
from app.messages import Problem, together
from app.runtimes.base import RUNNING, Observed, RuntimeFailure


@dataclass(frozen=True)
class Snapshot:
    """Everything a view is made of, read once for all users. observed: None, and `unavailable` says why, while the
    runtime does not answer. verified: Unix seconds by workload. last_uses: Unix seconds by link id.
    refused_addresses: (in a day, in 30 days) by user id. connected: as Connected.seen. slow: reasons by link id.
    public_port: the one that nginx is published on. engines: by name. placed, not_moved: the engine that serves a
    user, and why not the declared one does, by user id. zone: the server's."""

    config: Config
    observed: Mapping[str, Observed] | None
    unavailable: Problem | None
    totals: Mapping[str, Total]
    problems: Mapping[str, Problem]
    refusals: Mapping[str, Refused]
    throttles: Mapping[str, int]
    verified: Mapping[str, float]
    device_limits: Mapping[str, Kept]
    refused_addresses: Mapping[str, tuple[int, int]]
    connected: Mapping[str, Mapping[str, float]]
    last_uses: Mapping[str, float]
    slow: Mapping[str, Problem]
    public_port: int
    engines: Mapping[str, Engine]
    placed: Mapping[str, str]
    not_moved: Mapping[str, Problem]
    now: datetime
    zone: tzinfo
    server: str

    @property
    def outdated(self) -> int:
        return sum(o.outdated and o.state == RUNNING for o in (self.observed or {}).values())


def take(system: System) -> Snapshot:
    """How it is now. Raises Refused if there is no declaration that was ever good."""
    observed, unavailable = None, None
    try:
        observed = {o.name: o for o in standing(system.runtime.observe())}
    except RuntimeFailure as failure:
        unavailable = together(failure.problems)
    config, ledger = system.declaration.last_good(), system.ledger
    runs = {o.run_id for o in observed.values()} if observed else set()
    return Snapshot(
        config=config, observed=observed, unavailable=unavailable, totals=ledger.traffic.totals(),
        problems=ledger.workloads.problems(), refusals=ledger.refusals.totals(),
        throttles=ledger.workloads.throttles(), verified=ledger.workloads.verified(),
        device_limits=ledger.device_limits.all(),
        connected=system.connected.seen,
        refused_addresses=ledger.bad_connections.refused_addresses(system.reconciler.now().timestamp()),
        last_uses=ledger.traffic.last_uses(), public_port=system.port443.public_port, engines=system.engines,
        placed=ledger.placements.engines(), not_moved=ledger.placements.troubles(),
        slow={link: why for (link, run_id), why in ledger.workloads.slow().items() if run_id in runs},
        now=system.reconciler.now(), zone=server_zone(), server=server_address(config)[0])
