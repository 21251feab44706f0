"""An nginx that lives in memory; it passes the same contract tests as the real one (tests/edge/test_contract.py)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.config.model import Config
from app.edge.base import EdgeConfig, EdgeFailure, EdgeUnavailable
from app.edge.nginx.devices import limits
from app.edge.nginx.edge import front
from app.edge.nginx.render import RenderContext, render
from app.edge.nginx.timing import Material
from app.engines.base import IngressSpec
from app.runtimes.base import Devices


class MemoryEdge:
    """Implements Edge. site: what it serves, None at first. reloads: how often that changed.

    refused_connections, flooding: set them to what turned_away() and flooders() are to tell. gone: set it and nginx
    does not answer. refusal: set it and `nginx -t` says no, for this reason. keeps_limits: set it to False and it
    can't keep limits on addresses; clients, refused: from which addresses a domain is used, and how many connections
    were turned away for the limit on them, by domain.
    """

    name = "nginx"

    def __init__(self, ip: str = "172.28.255.254") -> None:
        self.ip = ip
        self.site: EdgeConfig | None = None
        self.reloads = 0
        self.gone = False
        self.refusal = ""
        self.refused_connections = 0
        self.flooding: dict[str, int] = {}
        self.keeps_limits = True
        self.clients: dict[str, tuple[str, ...]] = {}
        self.refused: dict[str, int] = {}
        self._told: tuple[bytes, dict[str, int]] = (b"", {})

    def apply(self, site: EdgeConfig) -> bool:
        files = render(site, RenderContext())
        told = (files["version"], limits(site))
        if told == self._told and not self.gone:
            return False
        if self.gone:
            raise EdgeUnavailable("nginx is not there: it was taken away. Start it: docker compose up -d nginx")
        if self.refusal:
            raise EdgeFailure(f"nginx refuses the new configuration: {self.refusal}. "
                              "It still serves what it served before.")
        self.site, self._told = site, told
        self.reloads += 1
        return True

    def flooders(self) -> dict[str, int]:
        self.turned_away()
        told, self.flooding = self.flooding, {}
        return told if self.site and self.site.names_refused else {}

    def turned_away(self) -> int:
        if self.gone:
            raise EdgeUnavailable("nginx is not there: it was taken away. Start it: docker compose up -d nginx")
        count, self.refused_connections = self.refused_connections, 0
        return count

    def devices(self) -> Mapping[str, Devices]:
        if self.gone:
            raise EdgeUnavailable("nginx is not there: it was taken away. Start it: docker compose up -d nginx")
        if self.site is None or not self.keeps_limits:
            return {}
        return {domain: Devices(limit, len(self.clients.get(domain, ())), self.refused.get(domain, 0),
                                self.clients.get(domain, ()))
                for domain, limit in limits(self.site).items()}

    def front(self, config: Config, domain: str) -> IngressSpec:
        return front(config, domain, self.ip, self._material)

    def _material(self) -> Material:
        none = Path("/nonexistent")
        return Material(f"https://{self.ip}:8445/timing.bin", "the CA of this installation", none, none, none)
