"""A fleet on the real Docker engine, whose mtg is the built-in engine, with the test DC behind it."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker import APIClient

from app.control.monitor import Monitor
from app.engines.mtg.engine import MtgImage
from app.runtimes.base import RUNNING, Observed
from app.runtimes.docker.runtime import DockerRuntime
from tests.docker import images
from tests.support import docker_lab
from tests.support.cover import free_port
from tests.support.dc import DataCenter
from tests.support.fleet import Fleet
from tests.support.stream import passes


@pytest.fixture(scope="session")
def engine_answers() -> None:
    docker_lab.engine_or_skip()


@pytest.fixture(scope="session")
def image(engine_answers: None) -> str:
    return images.build_mtg_custom()


@pytest.fixture(scope="session")
def stand_in_image(engine_answers: None) -> str:
    return docker_lab.stand_in_image()


@pytest.fixture
def hands(engine_answers: None) -> Iterator[APIClient]:
    """What a person with `docker` on the command line can do."""
    api = APIClient(version="auto")
    yield api
    api.close()


@pytest.fixture
def runtime(engine_answers: None) -> Iterator[DockerRuntime]:
    with docker_lab.installation("faults") as runtime:
        yield runtime


@pytest.fixture
def gateway(runtime: DockerRuntime, hands: APIClient) -> str:
    """The address of this machine in the proxies' network."""
    runtime.place(1, "")
    return hands.inspect_network(runtime.network)["IPAM"]["Config"][0]["Gateway"]


@pytest.fixture
def docker_dc(gateway: str) -> Iterator[DataCenter]:
    center = DataCenter(host=gateway).start()
    yield center
    center.stop()


class Lab:
    """A fleet with hands on what is under it."""

    def __init__(self, fleet: Fleet, hands: APIClient) -> None:
        self.fleet = fleet
        self.runtime: DockerRuntime = fleet.runtime
        self.hands = hands
        self.monitor = Monitor(fleet)
        self.sockets: list[socket.socket] = []

    def seen(self, name: str) -> Observed | None:
        return next((o for o in self.runtime.observe() if o.name == name), None)

    def occupy(self, port: int) -> socket.socket:
        self.sockets.append(socket.create_server(("127.0.0.1", port)))
        return self.sockets[-1]

    def heals(self, user: str, ticks: int = 3) -> bool:
        """Whether the user's link leads to Telegram after that many rounds of the monitor, at most."""
        for _ in range(ticks):
            self.monitor.tick()
            view = self.fleet.user(user)
            if view.state == RUNNING and passes(view.tg_link):
                return True
            # Less than a tick's pause, but longer than what has failed once is left alone.
            time.sleep(1.5)
        return False


@pytest.fixture
def open_fleet(tmp_path: Path, image: str, docker_dc: DataCenter) -> Callable[..., Fleet]:
    """Call it with a runtime for a fleet on this test's data folder."""

    def build(runtime: DockerRuntime) -> Fleet:
        fleet = Fleet(tmp_path / "data", runtime, MtgImage())
        fleet.set_settings({
            "proxy_image": image, "upstream_socks5": docker_dc.socks5, "server_ip": "127.0.0.1",
            "proxy_bind": "127.0.0.1", "proxy_port": str(free_port())})
        return fleet

    return build


@pytest.fixture
def lab(open_fleet: Callable[..., Fleet], runtime: DockerRuntime, hands: APIClient) -> Iterator[Lab]:
    lab = Lab(open_fleet(runtime), hands)
    yield lab
    for each in lab.sockets:
        each.close()


@pytest.fixture
def private_image(image: str, hands: APIClient) -> Iterator[str]:
    """A name of the image that only this test uses; nobody runs the registry, so pulling fails at once."""
    name = f"127.0.0.1:1/mtg-{uuid.uuid4().hex[:8]}"
    hands.tag(image, name, "test")
    yield f"{name}:test"
    if any(f"{name}:test" in (i["RepoTags"] or []) for i in hands.images()):
        hands.remove_image(f"{name}:test")
