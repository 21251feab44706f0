"""An installation whose port 443 Traefik has: installed, switched, diagnosed, updated, moved and removed as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import ROOT, Answer
from tests.install.server_lab import ServerLab
from tests.install.update_lab import Server


def command(server: ServerLab, *words: str, **variables: str) -> Answer:
    done = subprocess.run(["bash", server.home / "current/host/mtproto", "--home", server.home, *words],
                          env=server.environment(SWITCH_SECONDS="0", **variables), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def composed(server: ServerLab, since: int = 0) -> list[str]:
    """Which file each `up` went by, the oldest first."""
    return [call.partition(" -f ")[2].split("/current/")[1].split()[0] for call in server.calls()[since:]
            if " up -d" in call]


@pytest.fixture
def server(tmp_path: Path) -> ServerLab:
    server = ServerLab(tmp_path)
    assert server.install().code == 0
    return server


def test_it_can_be_chosen_at_once_and_another_run_leaves_it(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    assert server.install("--router", "Traefik").code == 0
    settings = server.settings()
    assert settings["MTPROTO_ROUTER"] == "traefik" and "traefik:v3.7" in server.state["images"]
    assert Path(settings["ROUTER_DIR"]).is_dir() and settings["ROUTER_DIR"].startswith(settings["DATA_DIR"])
    assert (settings["TRAEFIK_IP"], settings["TRAEFIK_EDGE_IP"]) == ("172.30.255.12", "172.28.255.253")
    assert server.install().code == 0 and server.settings() == settings
    assert composed(server) == ["docker-compose.traefik.yml"] * 2


def test_what_is_no_router_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    answer = ServerLab(tmp_path).install("--router", "apache")
    assert answer.code == 2 and "nginx or traefik is allowed" in answer.stderr


def test_its_addresses_are_in_networks_that_were_chosen_elsewhere(tmp_path: Path) -> None:
    taken = ["default via 203.0.113.1 dev eth0", "172.28.0.0/16 dev x", "172.30.255.0/24 dev x"]
    server = ServerLab(tmp_path, routes=taken)
    assert server.install("--router", "traefik").code == 0
    settings = server.settings()
    assert (settings["TRAEFIK_IP"], settings["TRAEFIK_EDGE_IP"]) == ("10.223.255.12", "10.213.255.253")


def test_a_switch_is_kept_by_whatever_starts_containers_afterwards(server: ServerLab) -> None:
    assert composed(server) == ["docker-compose.yml"]
    before = len(server.calls())
    answer = command(server, "router", "traefik")
    assert (answer.code, answer.stdout) == (0, "      pulling traefik:v3.7\nPort 443 is served by traefik now.\n")
    assert server.settings()["MTPROTO_ROUTER"] == "traefik" and "traefik:v3.7" in server.state["images"]
    assert "traefik:v3.7" in (server.home / ".images").read_text(), "a removal takes it away"
    command(server, "compose", "up", "-d")
    assert server.install().code == 0
    assert composed(server, before) == ["docker-compose.traefik.yml"] * 3
    before = len(server.calls())
    assert command(server, "router", "nginx").stdout == "Port 443 is served by nginx now.\n"
    assert server.settings()["MTPROTO_ROUTER"] == "nginx" and composed(server, before) == ["docker-compose.yml"]


def test_a_switch_to_one_that_does_not_serve_is_undone(server: ServerLab) -> None:
    server.change(serving=["nginx"])
    before = len(server.calls())
    answer = command(server, "router", "traefik")
    assert answer.code == 1 and "Port 443 is served by nginx again." in answer.stderr
    assert server.settings()["MTPROTO_ROUTER"] == "nginx"
    assert composed(server, before) == ["docker-compose.traefik.yml", "docker-compose.yml"]


def test_a_switch_whose_image_is_not_to_be_had_changes_nothing(server: ServerLab) -> None:
    server.change(no_pull=["traefik"])
    before = len(server.calls())
    answer = command(server, "router", "traefik")
    assert answer.code == 1 and "traefik:v3.7 could not be pulled" in answer.stderr
    assert server.settings()["MTPROTO_ROUTER"] == "nginx" and composed(server, before) == []


def test_what_is_no_router_is_told_how_it_is_used(server: ServerLab) -> None:
    answer = command(server, "router", "apache")
    assert answer.code == 2 and "traefik|nginx" in answer.stderr


def test_a_container_and_an_image_of_traefik_that_are_gone_are_found(server: ServerLab) -> None:
    assert command(server, "router", "traefik").code == 0
    up = "Up 3 days (healthy)"
    server.change(services={"app": up, "nginx": up}, published=["80", "443", "2443", "9443"])
    answer = command(server, "doctor")
    assert "! containers: the container traefik is not there" in answer.stdout
    server.change(services={"app": up, "nginx": up, "traefik": up}, images={
        name: label for name, label in server.state["images"].items() if "traefik" not in name})
    told = command(server, "doctor").stdout
    assert "+ containers: traefik: Up" in told and "not here any more: traefik:v3.7" in told


def test_an_update_gets_its_image_ready_and_stays_with_it(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with (server.home / ".env").open("a") as env:
        env.write("MTPROTO_ROUTER=traefik\n")
    newer = server.publish("v2")
    for folder in (server.home / "releases/v1", newer):
        (folder / "docker-compose.traefik.yml").write_text("services: {}\n")
    answer = server.update("--from", str(newer))
    assert answer.code == 0, answer.told
    assert server.setting("MTPROTO_ROUTER") == "traefik" and (server.stubs / "images/traefik:v3.7").exists()
    started = [line for line in (server.stubs / "log").read_text().splitlines() if " up -d" in line]
    assert started and all("current/docker-compose.traefik.yml" in line for line in started)


def test_a_release_of_before_traefik_is_gone_back_to_with_nginx(tmp_path: Path) -> None:
    server = Server(tmp_path)
    asked = subprocess.run(["bash", "-c", '. "$1"; ROUTER=traefik router', "-", ROOT / "host/lib/stack.sh"],
                           env={**os.environ, "MTPROTO_HOME": str(server.home)}, capture_output=True, text=True)
    assert asked.stdout == "nginx", "there is no file of Traefik in it"
