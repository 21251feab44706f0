"""nginx, a test DC and engines in containers, for the measurements of tests/bench/edge.py."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from docker import APIClient

from app.config.model import Config, User
from app.edge.nginx import timing
from app.engines.base import IngressSpec
from app.engines.mtg.engine import MtgImage
from app.mtproto.links import tg_link
from app.mtproto.secret import Secret
from app.runtimes.docker.runtime import DockerRuntime
from tests.docker import images
from tests.support import edge_lab
from tests.support.dc import DataCenterProcess
from tests.support.docker_lab import installation, real_mtg_image
from tests.support.edge_lab import Lab


@dataclass
class Bench:
    """What all parts use. image: of the built-in engine; mtg: of the real one, "" without MTG_BIN."""

    api: APIClient
    runtime: DockerRuntime
    lab: Lab
    center: DataCenterProcess
    image: str
    mtg: str
    quick: bool
    folder: Path

    def link(self, secret: Secret) -> str:
        """Through nginx."""
        return tg_link(self.lab.ip, 443, secret)

    def pid(self, container: str) -> int:
        """Its first process, as this machine counts them."""
        return self.api.inspect_container(container)["State"]["Pid"]

    def learning(self) -> IngressSpec:
        """What an mtg that learns from this nginx is told."""
        material = timing.material(self.lab.folder / "timing", self.lab.ip)
        return IngressSpec(timing=(material.url,), trusted=material.ca)


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def row(title: str, value: float, unit: str, target: str = "", met: bool | None = None) -> None:
    verdict = "" if met is None else f"   target {target}: {'met' if met else 'NOT met'}"
    print(f"  {title:58}{value:10.2f} {unit}{verdict}", flush=True)


def check(title: str, holds: bool) -> None:
    print(f"  {title:58}{'yes' if holds else 'NO':>10}", flush=True)


def start_engine(bench: Bench, port: int, image: str, front: IngressSpec, domain: str = "") -> tuple[str, Secret]:
    """A proxy's (address, secret). Its SNI domain is nginx's way to it."""
    secret = Secret.generate(domain or f"user{port}.example.com")
    user = User(id=f"bench{port}"[-8:], name=f"bench {port}", port=port, secret=secret.hex)
    # mtg queues whatever a client that is slower than the DC has asked for: 8 times 16 MB, and its doubling.
    config = Config(proxy_image=image, upstream_socks5=bench.center.socks5, proxy_memory_mb=2000)
    place = replace(bench.runtime.place(port, ""), publish="")
    workload = MtgImage().workload(user, config, place, front)
    bench.runtime.create(workload)
    bench.runtime.start(workload.name)
    networks = bench.api.inspect_container(workload.name)["NetworkSettings"]["Networks"]
    return networks[bench.runtime.network]["IPAddress"], secret


@contextmanager
def started(quick: bool) -> Iterator[Bench]:
    """Everything but the engines; gone at the end."""
    images.ensure_engine()
    image, mtg = images.build_mtg_custom(), ""
    if path := os.environ.get("MTG_BIN"):
        mtg = real_mtg_image(path)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.chmod(0o755)  # nginx's account looks into it
        api = APIClient(version="auto")
        stack.callback(api.close)
        runtime = stack.enter_context(installation("bench"))
        lab = stack.enter_context(edge_lab.lab(folder / "nginx", runtime.network, newer=True))
        center = DataCenterProcess("--host", lab.gateway)
        stack.callback(center.stop)
        yield Bench(api, runtime, lab, center, image, mtg, quick, folder)
