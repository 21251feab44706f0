"""A made-up engine that serves all links in one workload, as telemt will: what the panel makes of its program."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.config.model import Config
from app.engines.base import ENGINE, Basics, Capabilities, Counters, FrontOf, PlaceOf
from app.messages import Problem
from app.mtproto.secret import KINDS
from app.rules.links import UserLink
from app.runtimes.base import NAME_PREFIX, Workload

PROGRAM = Path(__file__).with_name("many_program.py")
NAME, LINKS = f"{NAME_PREFIX}many", "links.json"


class Many(Basics):
    """image: one that starts the program; "" for a process of this machine."""

    name = "many"
    capabilities = Capabilities(frozenset(KINDS), speed=ENGINE, shared=NAME, restarts=False, ignores=("proxy_tag",))

    def __init__(self, image: str = "") -> None:
        self.image = image

    def workloads(self, links: Sequence[UserLink], config: Config, place: PlaceOf, front: FrontOf) -> list[Workload]:
        if not links:
            return []
        at = place(config.shared_port)
        served = {link.id: {"secret": link.secret.hex, "bits_per_second": link.bits_per_second} for link in links}
        return [Workload(
            name=NAME, user_id="", engine=self.name, image=self.image,
            command=(*(() if self.image else (sys.executable, str(PROGRAM))), "run", "{config}"),
            files={"config.toml": f'listen = "{at.listen}"\nmetrics = "{at.metrics}"\n'},
            port=config.shared_port, place=at, memory_mb=64 if self.image else 0, links=tuple(served),
            live_files={LINKS: json.dumps(served)})]

    def readings(self, links: Sequence[str], metrics: str) -> Mapping[str, Counters]:
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for family in text_string_to_metric_families(metrics):
            for sample in family.samples:
                if link := sample.labels.get("link"):
                    found[link][sample.labels.get("direction") or sample.name] = int(sample.value)
        return {link: Counters(down=told["down"], up=told["up"], connections=told["many_connections"],
                               bits_per_second=told["many_bits_per_second"] or None)
                for link, told in found.items()}

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        return []
