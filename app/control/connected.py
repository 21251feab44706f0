"""From which addresses links are used now, and since when. It is kept in memory alone: where people are is written
nowhere."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from app.config.model import Config
from app.engines.base import Engine, Question, serving
from app.lib.clock import Clock
from app.runtimes import ports
from app.runtimes.base import RUNNING, Observed, Runtime, RuntimeFailure
from app.runtimes.scrape import ScrapeFailure, scrape

log = logging.getLogger(__name__)

#: Seconds that an engine has for its answer.
_PATIENCE = 3.0


@dataclass
class Connected:
    """seen: when each address was first seen since it was last away (Unix seconds), by link id. A look every few
    seconds misses who came and went between two. silent: runs that did not answer the last one."""

    runtime: Runtime
    engines: Mapping[str, Engine]
    clock: Clock
    seen: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    silent: Collection[str] = ()

    def look(self, config: Config, observed: Iterable[Observed]) -> None:
        """Ask those workloads whose engine tells it; of who does not answer, nothing is known."""
        found: dict[str, Mapping[str, float]] = {}
        silent: set[str] = set()
        for there in observed:
            engine = serving(there, self.engines) if there.state == RUNNING else None
            question = engine.ask_addresses(config) if engine else None
            if not engine or not question:
                continue
            with suppress(RuntimeFailure):
                try:
                    told = engine.addresses(self._ask(there, question, config))
                except (ScrapeFailure, ValueError) as error:
                    if there.run_id not in self.silent:
                        log.warning("%s does not tell which addresses are connected: %s", there.name, error)
                    silent.add(there.run_id)
                    continue
                now = self.clock()
                for link, addresses in told.items():
                    before = self.seen.get(link, {})
                    found[link] = {address: before.get(address, now) for address in addresses}
        self.seen, self.silent = found, silent

    def _ask(self, there: Observed, question: Question, config: Config) -> str:
        ip = ports.split(self.runtime.place(config.shared_port, config.proxy_bind).metrics)[0]
        if ipaddress.ip_address(ip).is_unspecified:  # it listens on all addresses of a network of its own
            ip = ports.split(self.runtime.address(there.name))[0]
        return scrape(ports.join(ip, question.port), question.path, _PATIENCE, question.headers)
