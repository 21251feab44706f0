"""Everything that people are shown of the proxies, read once for all users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from app.checks.server import server_address
from app.config.model import Config
from app.control.served import standing
from app.control.system import System
from app.engines.base import Engine
from app.ledger.devices import Kept
from app.ledger.history import DAY
from app.ledger.ledger import Ledger
from app.ledger.refusals import Refused
from app.ledger.traffic import Total
from app.lib.kept import Kept as Made
from app.lib.zone import server_zone
from app.messages import Problem, together
from app.runtimes.base import RUNNING, Observed, RuntimeFailure


@dataclass(frozen=True)
class Snapshot:
    """Everything a view is made of, read once for all users. observed: None, and `unavailable` says why, while
    the runtime does not answer. verified: Unix seconds by workload. last_uses: Unix seconds by link id.
    refused_addresses: (in a day, in 30 days) by user id. connected: as Connected.seen, whoever told. slow:
    reasons by link id. public_port: the one that nginx is published on. engines: by name. placed, not_moved: the
    engine that serves a user, and why not the declared one does, by user id. closed_covers: why nobody is passed
    on to a domain, by domain. today: (down, up) bytes since midnight by user id. zone: the server's. made: what
    was worked out of all this, such as the rows of a list."""

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
    closed_covers: Mapping[str, Problem]
    today: Mapping[str, tuple[int, int]]
    made: Made = field(default_factory=Made, compare=False, repr=False)

    @property
    def seconds(self) -> float:
        """now, in Unix seconds."""
        return self.now.timestamp()

    @property
    def outdated(self) -> int:
        return sum(o.outdated and o.state == RUNNING for o in (self.observed or {}).values())


def take(system: System) -> Snapshot:
    """How it is now. Raises Refused if there is no declaration that was ever good.

    Who asks again within the second is given the same, with all that was made of it, if nothing has changed.
    """
    config, (observed, unavailable) = system.declaration.last_good(), look(system)
    version, now, zone = system.ledger.database.version(), system.reconciler.now(), server_zone()
    connected = {**system.reconciler.device_limits.seen, **system.connected.seen}
    server = server_address(config)[0]
    minute, second = now.replace(second=0, microsecond=0), now.replace(microsecond=0)
    told = system.kept.get("ledger", lambda: _told(system.ledger, now), (version, minute))

    def make() -> Snapshot:
        runs = {o.run_id for o in observed.values()} if observed else set()
        closed = told["closed_covers"] if system.port443.edge else {}
        slow = {link: why for (link, run_id), why in told["slow"].items() if run_id in runs}
        return Snapshot(config=config, observed=observed, unavailable=unavailable, connected=connected,
                        public_port=system.port443.public_port, engines=system.engines, now=now, zone=zone,
                        server=server, **{**told, "slow": slow, "closed_covers": closed})

    return system.kept.get("look", make, (config, version, second, observed, unavailable, connected, zone, server))


def look(system: System) -> tuple[dict[str, Observed] | None, Problem | None]:
    """What runs, by name; or None, and why that can't be seen."""
    try:
        return {o.name: o for o in standing(system.runtime.observe())}, None
    except RuntimeFailure as failure:
        return None, together(failure.problems)


def _told(ledger: Ledger, now: datetime) -> dict[str, Any]:
    """What the ledger tells of everybody, under the names of a snapshot's fields; slow: by link and run."""
    return {"totals": ledger.traffic.totals(), "problems": ledger.workloads.problems(),
            "refusals": ledger.refusals.totals(), "throttles": ledger.workloads.throttles(),
            "verified": ledger.workloads.verified(), "device_limits": ledger.device_limits.all(),
            "refused_addresses": ledger.bad_connections.refused_addresses(now.timestamp()),
            "last_uses": ledger.traffic.last_uses(), "placed": ledger.placements.engines(),
            "not_moved": ledger.placements.troubles(), "slow": ledger.workloads.slow(),
            "closed_covers": ledger.strangers.closed_covers(),
            "today": ledger.traffic.sums(now.timestamp(), DAY)}
