"""telemt (github.com/telemt/telemt), which serves the links of all users in one workload."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.config.model import Config
from app.engines.base import ENGINE, Capabilities, Counters, EngineRefusal, FrontOf, PlaceOf, Question, Visit, Visitors
from app.engines.telemt import api, live, visitors
from app.engines.telemt.bad import cause
from app.engines.telemt.config_file import LOOPBACK, METRICS_PATH, PRIVATE, render_config
from app.engines.telemt.lines import explain, refused
from app.engines.telemt.log import findings
from app.engines.telemt.metrics import readings, told
from app.messages import Problem
from app.mtproto.secret import FAKETLS
from app.rules.links import UserLink
from app.runtimes.base import NAME_PREFIX, Workload

NAME = f"{NAME_PREFIX}telemt"

#: Its metrics name no more users, and whoever is not named is not billed.
MOST_LINKS = 4000

#: Whoever is added would have their link, which is a secret, in its log. It holds until the level is changed once, so
#: that live.py sees to it as well.
_LOGGED = {"RUST_LOG": "info,telemt::links=off"}

#: The program in its image.
_PROGRAM = "/app/telemt"


def find_telemt() -> str | None:
    """Absolute path of the telemt program: TELEMT_BIN, else `telemt` on PATH; None if there is none."""
    found = shutil.which(os.environ.get("TELEMT_BIN") or "telemt")
    return os.path.abspath(found) if found else None


class Telemt:
    """Serves FakeTLS secrets only. As a program of this machine, where find_telemt() finds it or `binary` says."""

    name = "telemt"
    capabilities = Capabilities(frozenset({FAKETLS}), speed=ENGINE, devices=ENGINE, lists_addresses=True,
                                shared=NAME, restarts=False, most_links=MOST_LINKS,
                                ignores=("proxy_tag", "proxy_dns", "proxy_blocklist"), debug_log=True)

    def __init__(self, binary: str | None = None) -> None:
        self.binary = binary or find_telemt()

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        if links and (missing := self.missing()):
            raise EngineRefusal(missing)
        command = (self.binary or "", "run", "--data-path", "{folder}", "{config}")
        return _workloads(links, config, place, front, LOOPBACK, command)

    def missing(self) -> Problem | None:
        return None if self.binary else Problem("engine.no_telemt")

    def debugging(self, workload: Workload) -> Workload:
        return replace(workload, live_files={name: live.with_level(text, live.VERBOSE)
                                             for name, text in workload.live_files.items()})

    def at_start(self, live_files: Mapping[str, str]) -> Mapping[str, str]:
        """As in Engine: the level of its log is that of its environment until the one in the file changes."""
        return {name: live.with_level(text, live.NORMAL) for name, text in live_files.items()}

    def refuses_unheard(self, metrics: str) -> bool:
        return told(metrics).limited

    def refused(self, log: str) -> Sequence[tuple[float, str]]:
        return refused(log)

    def ask_addresses(self, config: Config) -> Question | None:
        return api.ask_addresses(config.secret_key)

    def addresses(self, answer: str) -> Mapping[str, Sequence[str]]:
        return api.addresses(answer)

    def ask_visitors(self, config: Config) -> Question | None:
        return visitors.QUESTION

    def visitors(self, answer: str) -> Visitors:
        return visitors.read(answer)

    def visits(self, log: str) -> Sequence[Visit]:
        return ()

    def explain(self, line: str) -> tuple[Problem, Problem] | None:
        return explain(line)

    def readings(self, links: Sequence[str], metrics: str) -> Mapping[str, Counters]:
        return readings(metrics)

    def bad(self, metrics: str) -> Mapping[str, int]:
        return told(metrics).bad

    def cause(self, reason: str) -> tuple[Problem, Problem]:
        return cause(reason)

    def steps(self, held: Mapping[str, str], wanted: Mapping[str, str], metrics: str) -> Sequence[Mapping[str, str]]:
        return [{live.FILE: text} for text in live.steps(held.get(live.FILE, ""), wanted[live.FILE], metrics)]

    def holds(self, live_files: Mapping[str, str], metrics: str) -> bool:
        return live.holds(live_files[live.FILE], metrics)

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        return findings(log, started_at)


class TelemtImage(Telemt):
    """The same in the image that config.telemt_image names, whose entry point is the program."""

    def __init__(self) -> None:
        super().__init__(_PROGRAM)

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        return [replace(workload, image=config.telemt_image, memory_mb=config.telemt_memory_mb,
                        healthcheck=(_PROGRAM, "healthcheck", "{config}", "--mode", "liveness"))
                for workload in _workloads(links, config, place, front, PRIVATE, ("run", "{config}"))]


def _workloads(links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf, allowed: list[str],
               command: tuple[str, ...]) -> list[Workload]:
    if not links:
        return []
    at = place(config.shared_port)
    return [Workload(
        name=NAME, user_id="", engine=Telemt.name, image="", command=command,
        files={"config.toml": render_config(config, at, front, allowed)},
        port=config.shared_port, place=at, metrics_path=METRICS_PATH, env=_LOGGED,
        links=tuple(link.id for link in links), live_files={live.FILE: live.of(links).text()})]
