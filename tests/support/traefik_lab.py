"""The real Traefik before the real nginx, both in containers, as docker-compose.traefik.yml runs them.

    with traefik_lab.lab(tmp_path) as lab:
        lab.edge.apply(EdgeConfig(...))
        lab.nginx.address(443)        # ("127.0.0.1", port) that leads to Traefik
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.edge.base import EdgeFailure
from app.edge.traefik.edge import Traefik
from app.lib import portmap
from app.runtimes.docker.service import ROLE
from tests.docker import images
from tests.support import edge_lab
from tests.support.edge_lab import LABEL


@dataclass
class Lab:
    """nginx: the lab of what stands behind Traefik; its address(443) leads to Traefik. dynamic: the folder that is
    watched, where an operator's own files may be, too."""

    nginx: edge_lab.Lab
    edge: Traefik
    container: str = ""

    @property
    def dynamic(self) -> Path:
        return self.edge.file.parent

    def start(self) -> None:
        """Start it, the first time or after stop(); returns once it says what it serves."""
        api, lab = self.nginx.api, self.nginx
        if not self.container:
            self.container = self._create()
        api.start(self.container)
        bound = api.inspect_container(self.container)["NetworkSettings"]["Ports"]
        lab.ports[443] = int(bound[f"{portmap.ROUTER}/tcp"][0]["HostPort"])
        end = time.monotonic() + 60
        while True:
            try:
                self.edge.served()
                return
            except EdgeFailure as failure:
                assert time.monotonic() < end, f"Traefik does not come up: {failure}; it said: {self.log()}"
            time.sleep(0.05)

    def stop(self) -> None:
        self.nginx.api.stop(self.container, timeout=1)

    def log(self) -> str:
        return self.nginx.api.logs(self.container).decode(errors="replace")

    def _create(self) -> str:
        api, lab = self.nginx.api, self.nginx
        port = f"{portmap.ROUTER}/tcp"
        host = api.create_host_config(
            read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges:true"],
            binds=[f"{self.dynamic}:/etc/traefik/dynamic:ro"], port_bindings={port: ("127.0.0.1", None)})
        endpoint = api.create_endpoint_config(ipv4_address=f"{lab.front}.253")
        made = api.create_container(
            images.ensure_traefik(), name=f"{lab.name}-traefik", labels={ROLE: "traefik", LABEL: lab.name},
            ports=[portmap.ROUTER], host_config=host, user=f"{os.getuid()}:{os.getgid()}",
            environment=environment(f"{lab.front}.253"),
            networking_config=api.create_networking_config({f"0-{lab.network}": endpoint}))["Id"]
        api.connect_container_to_network(made, lab.network, ipv4_address=f"{lab.prefix}.253")
        return made


def environment(panel_side: str) -> dict[str, str]:
    """What docker-compose.traefik.yml tells Traefik, for this address in the panel's network."""
    text = (images.ROOT / "docker-compose.traefik.yml").read_text()
    told = (line.strip().partition(": ") for line in text.splitlines() if line.strip().startswith("TRAEFIK_"))
    chosen = {"${TRAEFIK_IP:-172.30.255.12}": panel_side, "${TRAEFIK_LOG:-FATAL}": "FATAL"}

    def filled(value: str) -> str:
        for variable, meant in chosen.items():
            value = value.replace(variable, meant)
        return value.strip('"')

    return {name: filled(value) for name, _, value in told}


@contextlib.contextmanager
def lab(folder: Path, panel_port: int = 8080, network: str = "") -> Iterator[Lab]:
    """Traefik and nginx that run, in networks of their own. folder: in which data/nginx and data/traefik are made."""
    with edge_lab.lab(folder / "nginx", network, panel_port, start=False, apart=True, newer=True) as behind:
        behind.nginx.router = f"{behind.front}.253"
        behind.start()
        edge = Traefik(behind.nginx, folder / "traefik", f"{behind.prefix}.253", f"{behind.front}.253")
        edge.file.parent.mkdir(parents=True, exist_ok=True)
        made = Lab(behind, edge)
        made.start()
        yield made
