"""Where a container's engine serves its metrics, and which engines do: at the start, and from then on."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from app.messages import Problem
from app.runtimes import ports
from app.runtimes.base import RuntimeFailure
from app.runtimes.docker import state as docker_state
from app.runtimes.docker.containers import Containers
from app.runtimes.docker.spec import LISTEN, METRICS
from app.runtimes.docker.state import ContainerInfo, container_info
from app.runtimes.scrape import ScrapeFailure, Unreachable, scrape

log = logging.getLogger(__name__)


def address(container: Mapping[str, Any], network: str) -> tuple[str, str] | None:
    """(address, path) of a container's metrics, from either of Docker's forms; None without an address."""
    port, slash, path = _labels(container)[METRICS].partition("/")
    ip = _ip(container, network)
    return (ports.join(ip, int(port)), slash + path) if ip else None


@dataclass(frozen=True)
class Patience:
    """Seconds of a started container. ready: until it must serve metrics or, at least, clients. metrics:
    in which the metrics must be there, if there are any. unreachable: until an address that does not
    answer at all is one that can't be reached from here."""

    ready: float
    metrics: float
    unreachable: float


def await_ready(containers: Containers, name: str, identity: str, patience: Patience) -> None:
    """Return once the engine serves its metrics: mtg opens the clients' port in the same moment.

    That port itself is tried only when there seem to be no metrics, as a connection there
    counts as a probe. Raises RuntimeFailure when the container ends, or serves nobody.
    """
    began, looked = time.monotonic(), -1.0
    failure: ScrapeFailure | None = None
    while True:
        age = time.monotonic() - began
        if looked < 0 or age - looked > 0.2:
            looked = age
            inspected = containers.inspect(identity)
            container = container_info(inspected) if inspected else None
            if not inspected or not container or container.status != "running" or container.restarts:
                line = containers.last_line(container) if container else ""
                why = docker_state.reason(container, line) if container else Problem("docker.removed")
                raise RuntimeFailure("runtime.start_failed", name=name, reason=why) if why else \
                    RuntimeFailure("docker.ended", name=name, line=line)
            target, clients = address(inspected, containers.network), _clients(inspected, containers.network)
        try:
            if target:
                scrape(*target, patience.unreachable)
                return
        except ScrapeFailure as error:
            failure = error
        if target and isinstance(failure, Unreachable) and age > patience.unreachable:
            log.warning("%s runs, but its metrics at %s can't be reached from here: its traffic is estimated",
                        name, target[0])
            return
        if age > patience.metrics and clients and _accepts(clients):
            log.warning("%s accepts clients, but serves no metrics (%s): its traffic is estimated",
                        name, failure)
            return
        if age > patience.ready:
            line = containers.last_line(container) if container else ""
            raise RuntimeFailure("docker.serves_nothing", name=name, seconds=patience.ready, line=line or '(none)')
        time.sleep(0.01)


class MetricsAvailability:
    """Which starts of containers have served metrics, and which have never.

    One that has may be silent at times: its metrics stay the only source. One that has never
    is asked again only after a pause (seconds), as asking may take as long as the patience for an answer.
    """

    def __init__(self) -> None:
        self._heard: dict[str, str] = {}
        self._silent: dict[str, tuple[str, float]] = {}

    def keep(self, identities: Collection[str]) -> None:
        """Forget all but these containers (ids)."""
        for known in (self._heard, self._silent):
            for gone in known.keys() - identities:
                del known[gone]

    def to_be_asked(self, identity: str) -> bool:
        return time.monotonic() >= self._silent.get(identity, ("", 0.0))[1]

    def heard(self, container: ContainerInfo) -> None:
        self._heard[container.id] = container.run_id
        self._silent.pop(container.id, None)

    def silent(self, container: ContainerInfo, age: float, pause: float) -> bool:
        """Note that it was not heard; whether it never was since its start, which is older than `age`."""
        run_id, until = self._silent.get(container.id, ("", 0.0))
        if run_id and run_id != container.run_id:
            del self._silent[container.id]  # this run was not asked yet
            return False
        if self._heard.get(container.id) == container.run_id or time.time() - container.started_at < age:
            return False
        if time.monotonic() >= until:
            # The first time may be a hiccup of one that an earlier panel has heard.
            self._silent[container.id] = (container.run_id, time.monotonic() + (pause if run_id else 0.0))
        return True


def _labels(container: Mapping[str, Any]) -> Mapping[str, str]:
    return container["Config"]["Labels"] if "Config" in container else container["Labels"]


def _ip(container: Mapping[str, Any], network: str) -> str:
    there = container["NetworkSettings"]["Networks"].get(network)
    return there["IPAddress"] if there else ""


def _clients(container: Mapping[str, Any], network: str) -> str:
    """The address for clients, inside the network; "" without one."""
    ip = _ip(container, network)
    return ports.join(ip, int(_labels(container)[LISTEN])) if ip else ""


def _accepts(at: str) -> bool:
    try:
        socket.create_connection(ports.split(at), timeout=1.0).close()
    except OSError:
        return False
    return True
