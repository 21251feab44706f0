"""What should be running: pure functions from the declaration and the totals. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.config.model import Config, User
from app.engines.base import Engine, EngineRefusal
from app.ledger.traffic import Total
from app.runtimes.base import NAME_PREFIX, Runtime, Workload

GB = 1024 ** 3


@dataclass(frozen=True)
class Desired:
    """workloads: by name. parked: workload name -> user id of those that are declared but should not
    run now. throttles: workload name -> bits per second, only those that should have one.
    refused: workload name -> why the engine can't serve that user."""

    workloads: Mapping[str, Workload]
    parked: Mapping[str, str]
    throttles: Mapping[str, int]
    refused: Mapping[str, str]


def workload_name(user: User) -> str:
    return f"{NAME_PREFIX}{user.port}"


def expired(user: User, now: datetime) -> bool:
    return user.expires_at is not None and user.expires_at <= now


def limit_gb(user: User, config: Config) -> float:
    """The traffic limit that applies, in GB of 1024^3 bytes; 0 = none."""
    return user.traffic_limit_gb or config.traffic_limit_gb


def speed_mbps(user: User, config: Config) -> float:
    """The speed after the limit, in Mbit/s of 10^6 bits per second."""
    return user.throttle_speed_mbps or config.throttle_speed_mbps


def over_limit(user: User, config: Config, total: Total) -> bool:
    limit = limit_gb(user, config)
    return limit > 0 and total.down + total.up >= limit * GB


def desired(config: Config, totals: Mapping[str, Total], now: datetime, engine: Engine,
            runtime: Runtime) -> Desired:
    """Every enabled user who has not expired gets one workload, unless all proxies are stopped."""
    workloads: dict[str, Workload] = {}
    parked: dict[str, str] = {}
    throttles: dict[str, int] = {}
    refused: dict[str, str] = {}
    for user in config.users:
        name = workload_name(user)
        if config.proxies_stopped or not user.enabled or expired(user, now):
            parked[name] = user.id
            continue
        try:
            workloads[name] = engine.workload(user, config, runtime.place(user.port, config.proxy_bind))
        except EngineRefusal as refusal:
            refused[name] = str(refusal)
            continue
        if over_limit(user, config, totals.get(user.id, Total())):
            throttles[name] = round(speed_mbps(user, config) * 1e6)
    return Desired(workloads, parked, throttles, refused)
