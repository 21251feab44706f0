"""MTProxy's containers: the scripts of Dockerfile.mtproxy around a program that stands in for it, and around the real
one where MTPROXY_BIN names it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient

from app.config.model import Config
from app.control import telegram_files
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.engines.mtproxy.engine import NAME, MtproxyImage
from app.engines.mtproxy.telegram_files import Store
from app.mtproto.links import parse_link, tg_link
from app.mtproto.probe import ProbeError, probe
from app.mtproto.secret import Secret
from app.runtimes.docker.runtime import DockerRuntime
from tests.engines.test_mtproxy import CONF, SECRET
from tests.support import stream
from tests.support.cover import free_port
from tests.support.dc import DataCenter
from tests.support.docker_lab import eventually, mtproxy_image
from tests.support.fleet import Fleet
from tests.support.middle import MiddleProxy
from tests.support.mtproxy_lab import PROGRAMS

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def fleet(tmp_path: Path, runtime: DockerRuntime) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path / "data", runtime, by_name(MtproxyImage(Store(tmp_path / "data/mtproxy")), Builtin()))
    kept = telegram_files.store(fleet)
    assert kept
    kept.keep(SECRET, CONF)
    fleet.set_settings({"engine": "mtproxy", "mtproxy_docker_image": mtproxy_image(), "proxy_bind": "127.0.0.1",
                        "server_ip": "203.0.113.7", "mtproxy_first_port": two_ports(), "mtproxy_limit_mb": 256})
    yield fleet


def two_ports() -> int:
    """A port that is free, and the next, too."""
    while True:
        port = free_port()
        if port < 65000 and _is_free(port + 1):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


def trouble(fleet: Fleet, name: str, secret: str = "") -> str:
    """Why this user's link does not work; "" if it does."""
    link = parse_link(fleet.user(name).tg_link.replace("203.0.113.7", "127.0.0.1"))
    if secret:
        link = parse_link(f"tg://proxy?server=127.0.0.1&port={link.port}&secret={secret}")
    try:
        probe(link)
    except ProbeError as error:
        return str(error)
    return ""


def test_links_of_every_kind_work_each_on_the_port_of_its_container(fleet: Fleet) -> None:
    config: Config = fleet.config()
    alice = fleet.add_user("Alice")
    fleet.add_user("Bob")
    fleet.update_user("Bob", {"secret": "0123456789abcdef" * 2})
    carol = fleet.add_user("Carol", domain="www.example.com")
    assert (alice.link_port, carol.link_port) == (config.mtproxy_first_port, config.mtproxy_first_port + 1)
    assert [trouble(fleet, name) for name in ("Alice", "Bob", "Carol")] == ["", "", ""]
    old = fleet.user("Alice").secret
    fleet.rotate("Alice")
    assert not trouble(fleet, "Alice") and trouble(fleet, "Alice", old) and not trouble(fleet, "Bob")
    fleet.disable("Bob")
    assert trouble(fleet, "Bob", "0123456789abcdef" * 2) and not trouble(fleet, "Alice")


def test_its_figures_are_read_and_nothing_else_of_it_can_be_asked_from_outside(fleet: Fleet, hands: APIClient) -> None:
    fleet.add_user("Alice")
    assert not trouble(fleet, "Alice")
    fleet.sample()
    eventually(lambda: fleet.sample() or fleet.user("Alice").bytes_down > 0, "the probe moved something")
    alice = fleet.user("Alice")
    assert alice.estimated and alice.state == "running"
    told = hands.inspect_container(NAME)
    asked = hands.exec_create(NAME, ["bash", "-c", "exec 3<>/dev/tcp/$(hostname -i)/3130"])["Id"]
    hands.exec_start(asked)
    assert hands.exec_inspect(asked)["ExitCode"], "its own page is for its own machine only"
    published = {port: at for port, at in told["NetworkSettings"]["Ports"].items() if at}
    assert list(published) == ["3128/tcp"]
    assert "--nat-info" not in str(told["Config"]["Cmd"]) and "nat: " in hands.logs(NAME).decode()
    ip = told["NetworkSettings"]["Networks"][fleet.runtime.network]["IPAddress"]
    assert f"nat: {ip}:203.0.113.7" in hands.logs(NAME).decode()


def test_its_container_can_do_nothing_but_serve_and_knows_whether_it_is_well(fleet: Fleet, hands: APIClient) -> None:
    alice = fleet.add_user("Alice")
    told = hands.inspect_container(NAME)
    host = told["HostConfig"]
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["Memory"], host["PidsLimit"], host["PidMode"]) == (
        ["ALL"], True, 256 << 20, 256, "")
    assert host["RestartPolicy"]["Name"] == "unless-stopped" and told["Config"]["User"] == "65534:65534"
    key = parse_link(alice.tg_link).secret.key.hex()
    assert key not in str(told["Config"]) and key not in hands.logs(NAME).decode()
    asked = hands.exec_create(NAME, ["mtproxy-health"])["Id"]
    hands.exec_start(asked)
    assert hands.exec_inspect(asked)["ExitCode"] == 0


def test_it_is_back_after_it_was_killed(fleet: Fleet, hands: APIClient) -> None:
    fleet.add_user("Alice")
    hands.kill(NAME)
    began = time.monotonic()
    eventually(lambda: fleet.reconcile() is not None and not trouble(fleet, "Alice"), "it runs again")
    assert time.monotonic() - began < 60


@pytest.fixture(params=PROGRAMS)
def whole(request: pytest.FixtureRequest, tmp_path: Path, runtime: DockerRuntime, docker_dc: DataCenter,
          gateway: str) -> Iterator[tuple[Fleet, MiddleProxy]]:
    """An installation whose MTProxy reaches a middle proxy of this machine, and the middle proxy."""
    middle = MiddleProxy(os.urandom(128), docker_dc.direct, gateway).start()
    fleet = Fleet(tmp_path / "data", runtime, by_name(MtproxyImage(Store(tmp_path / "data/mtproxy")), Builtin()))
    kept = telegram_files.store(fleet)
    assert kept
    kept.keep(middle.secret, middle.conf())
    fleet.set_settings({"engine": "mtproxy", "mtproxy_docker_image": mtproxy_image(request.param),
                        "proxy_bind": "127.0.0.1", "mtproxy_first_port": two_ports(), "mtproxy_connections": 500})
    yield fleet, middle
    middle.stop()


def answered(fleet: Fleet, name: str, secret: str = "", seconds: float = 5) -> bool:
    """Whether Telegram answers this user through the container."""
    link = parse_link(fleet.user(name).tg_link)
    return not stream.trouble(tg_link("127.0.0.1", link.port, Secret.parse(secret) if secret else link.secret), seconds)


def test_a_container_leads_to_telegram_until_its_secret_is_another_and_comes_back_by_itself_when_it_dies(
        whole: tuple[Fleet, MiddleProxy], hands: APIClient) -> None:
    fleet, middle = whole
    fleet.add_user("Alice")
    eventually(lambda: answered(fleet, "Alice"), "Alice has an answer")
    old = fleet.user("Alice").secret
    fleet.rotate("Alice")
    eventually(lambda: answered(fleet, "Alice"), "Alice has an answer by her new secret")
    assert not answered(fleet, "Alice", old)
    # Nobody of the panel is there: Docker does it.
    os.kill(hands.inspect_container(NAME)["State"]["Pid"], signal.SIGKILL)
    eventually(lambda: hands.inspect_container(NAME)["RestartCount"] == 1, "Docker has started it again")
    eventually(lambda: answered(fleet, "Alice"), "Alice has an answer again")
    assert not middle.refused


def test_the_servers_address_is_told_to_telegram_so_a_wrong_one_leads_nowhere(
        whole: tuple[Fleet, MiddleProxy]) -> None:
    fleet, middle = whole
    fleet.set_settings({"server_ip": "203.0.113.7"})
    fleet.add_user("Alice")
    assert not answered(fleet, "Alice")
    eventually(lambda: middle.refused, "the middle proxy has seen another address")
    assert not middle.handshakes
    fleet.set_settings({"server_ip": ""})
    eventually(lambda: answered(fleet, "Alice"), "the address that is seen is the container's own")
