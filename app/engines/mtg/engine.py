"""mtg (github.com/9seconds/mtg): as a program of this machine, and as a container."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

from app.config.model import Config, User
from app.engines.base import (
    NO_INGRESS,
    NOBODY,
    RUNTIME,
    Capabilities,
    Counters,
    EngineRefusal,
    IngressSpec,
    OneEach,
    Visit,
)
from app.engines.mtg import timing as mtgtiming
from app.engines.mtg.config_file import METRICS_PATH, REPLAYS, render_config, unhashed
from app.engines.mtg.metrics import read_counters
from app.engines.mtg.visits import visits
from app.messages import Problem
from app.mtproto.secret import FAKETLS
from app.runtimes.base import IMAGE_FOLDER, NAME_PREFIX, Place, Workload

#: The file of certificates that mtg is to trust beside the system's, in the folder with its config.toml.
TRUSTED = "ca.pem"

#: mtg 2 can't advertise; and its list of attackers holds private ranges.
CAPABILITIES = Capabilities(frozenset({FAKETLS}), devices=RUNTIME, ignores=("proxy_tag",),
                            cautions=("proxy_blocklist",), logs_visitors=True)


def find_mtg() -> str | None:
    """Absolute path of the mtg program: MTG_BIN, else `mtg` on PATH; None if there is none."""
    found = shutil.which(os.environ.get("MTG_BIN") or "mtg")
    return os.path.abspath(found) if found else None


class Mtg(OneEach):
    """Serves FakeTLS secrets only. binary: path of the program, by default what find_mtg() finds."""

    name = "mtg"
    capabilities = replace(CAPABILITIES, speed=NOBODY, devices=NOBODY)

    def __init__(self, binary: str | None = None) -> None:
        self.binary = binary or find_mtg()

    def missing(self) -> Problem | None:
        return None if self.binary else Problem("engine.no_mtg")

    def workload(self, user: User, config: Config, place: Place, front: IngressSpec = NO_INGRESS) -> Workload:
        if missing := self.missing():
            raise EngineRefusal(missing)
        if front.trusted:
            # Where its files are is known to the runtime only, so no environment can name them - and
            # beside local processes there is no nginx whose certificate would have to be trusted.
            front = replace(front, timing=(), trusted="")
        return _workload(user, config, place, front, command=(self.binary or "", "run", "{config}"))

    def counters(self, metrics: str) -> Counters:
        return read_counters(metrics)

    def visits(self, log: str) -> Sequence[Visit]:
        return visits(log)

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        return mtgtiming.findings(log, started_at, now)


class MtgImage(OneEach):
    """mtg in the image that config.proxy_image names, whose entry point is the program."""

    name = "mtg"
    capabilities = CAPABILITIES

    def workload(self, user: User, config: Config, place: Place, front: IngressSpec = NO_INGRESS) -> Workload:
        return _workload(user, config, place, front, command=("run", "{config}"), image=config.proxy_image,
                         memory_mb=config.proxy_memory_mb)

    def counters(self, metrics: str) -> Counters:
        return read_counters(metrics)

    def visits(self, log: str) -> Sequence[Visit]:
        return visits(log)

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        return mtgtiming.findings(log, started_at, now)


def _workload(user: User, config: Config, place: Place, front: IngressSpec, command: tuple[str, ...],
              image: str = "", memory_mb: int = 0) -> Workload:
    # Only that log has the addresses of those who are passed on to the cover.
    rendered = render_config(user, config, place, front, {"debug": True} if config.bans else {})
    files, env = {"config.toml": rendered}, {}
    if front.timing and front.trusted:
        files[TRUSTED] = front.trusted
        # Go reads this file in place of the one with the system's certificates, but still every
        # certificate in /etc/ssl/certs: other addresses are trusted as before.
        env["SSL_CERT_FILE"] = f"{IMAGE_FOLDER}/{TRUSTED}"
    return Workload(
        name=f"{NAME_PREFIX}{user.port}",
        user_id=user.id,
        engine=Mtg.name,
        image=image,
        command=command,
        files=files,
        port=user.port,
        place=place,
        metrics_path=METRICS_PATH,
        env=env,
        memory_mb=memory_mb,
        keeps=REPLAYS,
        unhashed=unhashed(rendered),
    )
