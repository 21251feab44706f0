"""The built-in engine: app/builtin/server.py as a process of its own."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from app.config.model import Config, User
from app.engines.base import NO_INGRESS, Capabilities, Counters, IngressSpec, OneEach
from app.engines.mtg.config_file import METRICS_PATH, REPLAYS, render_config
from app.engines.mtg.metrics import read_counters
from app.messages import Problem
from app.mtproto.secret import KINDS
from app.runtimes.base import NAME_PREFIX, Place, SpeedFile, Workload

#: By which it limits its speed (app/builtin/ratelimit.py), without a restart.
SPEED_FILE = SpeedFile("limits.toml", "connection-bits-per-second = 0\ntotal-bits-per-second = {bits}\n",
                       "builtin_rate_limit_bits_per_second", "scope", "total")


class Builtin(OneEach):
    """Serves every kind of secret; needs nothing that is not already installed."""

    name = "builtin"
    capabilities = Capabilities(frozenset(KINDS), ignores=("proxy_tag", "proxy_dns", "proxy_blocklist"))

    def workload(self, user: User, config: Config, place: Place, front: IngressSpec = NO_INGRESS) -> Workload:
        # It sends at once: there is no timing to learn.
        front = replace(front, timing=(), trusted="")
        return Workload(
            name=f"{NAME_PREFIX}{user.port}",
            user_id=user.id,
            engine=self.name,
            image="",
            command=(_python(), "-m", "app.builtin.server", "run", "{config}"),
            files={"config.toml": render_config(user, config, place, front)},
            port=user.port,
            place=place,
            metrics_path=METRICS_PATH,
            memory_mb=config.proxy_memory_mb,
            keeps=REPLAYS,
        )

    def counters(self, metrics: str) -> Counters:
        return read_counters(metrics)

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        return []


def _python() -> str:
    """This interpreter under one name.

    A virtual environment calls it python, python3 and python3.11; were the panel started
    as one and the CLI as another, each would see the other's proxies as changed ones.
    """
    usual = Path(sys.executable).with_name("python3")
    return str(usual) if usual.exists() else sys.executable
