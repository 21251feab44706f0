"""What should be running: pure functions from the declaration and the totals. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.config.model import Config, User
from app.engines.base import Engine, EngineRefusal
from app.fleet.limits import blocked, expired, over_limit, speed_mbps
from app.ledger.traffic import Total
from app.runtimes.base import NAME_PREFIX, Runtime, Workload


@dataclass(frozen=True)
class Desired:
    """workloads: by name. parked: workload name -> user id of those that are declared but should not
    run now; blocked: the names of those among them whose user is at the limit. throttles: workload
    name -> bits per second, only those that should have one. refused: workload name -> why the
    engine can't serve that user."""

    workloads: Mapping[str, Workload]
    parked: Mapping[str, str]
    blocked: frozenset[str]
    throttles: Mapping[str, int]
    refused: Mapping[str, str]


def workload_name(user: User) -> str:
    return f"{NAME_PREFIX}{user.port}"


def desired(config: Config, totals: Mapping[str, Total], now: datetime, engine: Engine,
            runtime: Runtime) -> Desired:
    """Every enabled user who has not expired and is not blocked gets one workload, unless all are stopped."""
    workloads: dict[str, Workload] = {}
    parked: dict[str, str] = {}
    at_limit: set[str] = set()
    throttles: dict[str, int] = {}
    refused: dict[str, str] = {}
    for user in config.users:
        name, total = workload_name(user), totals.get(user.id, Total())
        if config.proxies_stopped or not user.enabled or expired(user, now):
            parked[name] = user.id
            continue
        if blocked(user, config, total):
            parked[name] = user.id
            at_limit.add(name)
            continue
        try:
            workloads[name] = engine.workload(user, config, runtime.place(user.port, config.proxy_bind))
        except EngineRefusal as refusal:
            refused[name] = str(refusal)
            continue
        if over_limit(user, config, total) and (speed := speed_mbps(user, config)):
            throttles[name] = round(speed * 1e6)
    return Desired(workloads, parked, frozenset(at_limit), throttles, refused)
