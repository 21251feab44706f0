"""The built-in engine: app/builtin/server.py as a process of its own, or in a container of its own."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.bans.offences import REASONS
from app.config.model import Config, User
from app.engines.base import (
    ADDRESSES,
    ENGINE,
    NO_INGRESS,
    Capabilities,
    Counters,
    EngineRefusal,
    FrontOf,
    IngressSpec,
    OneEach,
    PlaceOf,
    Question,
    Visitors,
)
from app.engines.mtg.config_file import METRICS_PATH, REPLAYS, render_config, unhashed
from app.engines.mtg.metrics import read_counters
from app.lib import portmap
from app.messages import Problem
from app.mtproto.secret import KINDS
from app.rules.links import UserLink
from app.runtimes.base import NAME_PREFIX, Place, SpeedFile, Workload

#: By which it limits its speed (app/builtin/ratelimit.py), without a restart.
SPEED_FILE = SpeedFile("limits.toml", "connection-bits-per-second = 0\ntotal-bits-per-second = {bits}\n",
                       "builtin_rate_limit_bits_per_second", "scope", "total")

#: Its live limits (app/builtin/ratelimit.py), where they are the panel's to write.
LIMITS = "limits.toml"

#: The metric of sessions with the right key that were refused for max_unique_ips.
_REFUSED = re.compile(r"^builtin_unique_ips_refused (\d{1,18})$", re.MULTILINE)

#: Without Python, which takes a small server a tenth of a second of its processor each time.
_HEALTHCHECK = ("bash", "-c", f"""exec 3<>/dev/tcp/127.0.0.1/{portmap.METRICS} &&
    printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -t 8 status <&3 && [[ $status == *' 200 '* ]]""")


class Builtin(OneEach):
    """Serves every kind of secret; needs nothing that is not already installed."""

    name = "builtin"
    capabilities = Capabilities(frozenset(KINDS), devices=ENGINE, ignores=("proxy_tag", "proxy_dns", "proxy_blocklist"))

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        """As in Engine. As a process its limits.toml is the runtime's, so a limit on addresses is in its configuration:
        a change of it restarts this one process."""
        return [_with_address_limit(made, link) for made, link in zip(
            super().workloads(links, config, place, front), links, strict=True)]

    def workload(self, user: User, config: Config, place: Place, front: IngressSpec = NO_INGRESS) -> Workload:
        return _workload(user, config, place, front, (_python(), "-m", "app.builtin.server", "run", "{config}"))

    def counters(self, metrics: str) -> Counters:
        return read_counters(metrics)

    def bad(self, metrics: str) -> dict[str, int]:
        refused = _REFUSED.search(metrics)
        return {ADDRESSES: int(refused[1])} if refused and int(refused[1]) else {}

    def ask_visitors(self, config: Config) -> Question | None:
        return Question(portmap.METRICS, "/visitors", {"Authorization": f"Bearer {_visitors_key(config)}"})

    def visitors(self, answer: str) -> Visitors:
        try:
            told = json.loads(answer)
            return Visitors({(str(address), str(reason)): int(count) for address, reason, count in told["turned_away"]
                             if reason in REASONS}, [str(address) for address in told["good"]])
        except (KeyError, TypeError) as error:
            raise ValueError(answer[:100]) from error

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        return []


class BuiltinImage(Builtin):
    """The same as a container a user, of the panel's own image. image: its name here; "" if it is not known."""

    capabilities = replace(Builtin.capabilities, speed=ENGINE)

    def __init__(self, image: str) -> None:
        self.image = image

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        """As in Engine. All that is limited is in a live file, so nothing is restarted for it."""
        if links and not self.image:
            raise EngineRefusal("engine.no_panel_image")
        return [replace(made, live_files={LIMITS: f"total-bits-per-second = {link.bits_per_second or 0}\n"
                                                  f"max-unique-ips = {link.max_unique_ips}\n"})
                for made, link in zip(OneEach.workloads(self, links, config, place, front), links, strict=True)]

    def workload(self, user: User, config: Config, place: Place, front: IngressSpec = NO_INGRESS) -> Workload:
        made = _workload(user, config, place, front, ("python3", "-m", "app.builtin.server", "run", "{config}"))
        return replace(made, image=self.image, healthcheck=_HEALTHCHECK)


def _workload(user: User, config: Config, place: Place, front: IngressSpec, command: tuple[str, ...]) -> Workload:
    # It sends at once: there is no timing to learn.
    front = replace(front, timing=(), trusted="")
    rendered = render_config(user, config, place, front, {"visitors-key": _visitors_key(config)} if config.bans else {})
    return Workload(
        name=f"{NAME_PREFIX}{user.port}",
        user_id=user.id,
        engine=Builtin.name,
        image="",
        command=command,
        files={"config.toml": rendered},
        port=user.port,
        place=place,
        metrics_path=METRICS_PATH,
        memory_mb=config.proxy_memory_mb,
        keeps=REPLAYS,
        unhashed=unhashed(rendered),
    )


def _visitors_key(config: Config) -> str:
    """Who has it is told the addresses of visitors, which are kept if there is one."""
    return hmac.new(config.secret_key.encode(), b"visitors", hashlib.sha256).hexdigest()


def _with_address_limit(workload: Workload, link: UserLink) -> Workload:
    if not link.max_unique_ips:
        return workload
    text = f"max-unique-ips = {link.max_unique_ips}\n{workload.files['config.toml']}"
    return replace(workload, files={**workload.files, "config.toml": text})


def _python() -> str:
    """This interpreter under one name.

    A virtual environment calls it python, python3 and python3.11; were the panel started
    as one and the CLI as another, each would see the other's proxies as changed ones.
    """
    usual = Path(sys.executable).with_name("python3")
    return str(usual) if usual.exists() else sys.executable
