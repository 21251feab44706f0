"""mtproto doctor: what only the server can see, and what the panel sees, as one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import Answer
from tests.install.move_lab import installed
from tests.install.server_lab import ServerLab

UP = "Up 3 days (healthy)"


@pytest.fixture
def server(tmp_path: Path) -> ServerLab:
    """An installation with two users, behind ufw, as it should be."""
    server = ServerLab(tmp_path, firewall="ufw", ufw=["allow 22/tcp"])
    server.has_docker()
    server.has("ufw")
    installed(server)
    server.change(published=["2443", "2444"], listening={"2443": "docker-proxy"}, services={"app": UP, "nginx": UP},
                  images={"panel": {}, "nginx": {}},
                  panel_finds=[{"about": "links", "state": "ok", "text": "all", "command": ""}])
    with (server.home / ".env").open("a") as env:
        env.write("PANEL_IMAGE=panel\nNGINX_IMAGE=nginx\n")
    firewall(server, "apply")
    return server


def firewall(server: ServerLab, *words: str) -> Answer:
    done = subprocess.run(["bash", server.home / "current/host/mtproto", "--home", server.home, "firewall", *words],
                          env=server.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def doctor(server: ServerLab, *words: str, **variables: str) -> Answer:
    done = subprocess.run(["bash", server.home / "current/host/mtproto", "--home", server.home, "doctor", *words],
                          env={**server.environment(), **variables}, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def findings(server: ServerLab) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for one in json.loads(doctor(server, "--json").stdout):
        found.setdefault(one["about"], []).append((one["state"], one["text"], one["command"]))
    return found


def test_of_what_is_right_everything_is_ok_and_the_panels_part_is_there_too(server: ServerLab) -> None:
    answer = doctor(server, "--json")
    found = json.loads(answer.stdout)
    assert answer.code == 0 and {one["state"] for one in found} == {"ok"}, answer.told
    assert found[-1]["about"] == "links" and {"docker", "containers", "ports", "firewall", "disk"} <= {
        one["about"] for one in found}
    assert "+ firewall: ufw lets through what people need: 2443-2444 (TCP)" in doctor(server).stdout
    told = json.loads((server.home / "data/host.json").read_text())
    assert [one["about"] for one in told["findings"]] == [one["about"] for one in found[:-1]]


def test_a_firewall_that_is_not_as_wanted_is_found_with_the_command_that_mends_it(server: ServerLab) -> None:
    profile, = server.state["ufw_profiles"]
    server.change(ufw_profiles={profile: "2443,9999"})
    missing, extra = findings(server)["firewall"][:2]
    assert missing[:2] == ("problem", "ufw does not let through what people need: 2444 (TCP)")
    assert extra[:2] == ("note", "ufw still lets through what nobody needs any more: 9999 (TCP)")
    assert missing[2] == "sudo mtproto firewall apply" and firewall(server, "status", "--json").code == 1
    assert firewall(server, "apply").code == 0
    assert findings(server)["firewall"][0][0] == "ok"


def test_a_limit_that_nothing_here_can_keep_is_a_problem_with_the_package_that_helps(server: ServerLab) -> None:
    server.lacks("nft")
    (server.home / "data/firewall.wanted").write_text("port 2443 limit 10\nport 2444\n")
    _, limit = findings(server)["firewall"]
    assert limit[:2] == ("problem", "new connections are not limited, as the program nft is missing")
    assert "install -y nftables" in limit[2]


def test_a_port_that_somebody_else_holds_or_nobody_is_told(server: ServerLab) -> None:
    server.change(published=[], listening={"2443": "apache2"})
    other, nobody = findings(server)["ports"]
    assert other[0] == "problem" and "apache2 (pid 71)" in other[1] and nobody[0] == "note"


@pytest.mark.parametrize(("services", "said"), [
    ({"app": UP}, "the container nginx is not there"),
    ({"app": UP, "nginx": "Exited (1) 5 minutes ago"}, "does not run: Exited"),
    ({"app": UP, "nginx": "Restarting (1) 3 seconds ago"}, "Restarting"),
    ({"app": "Up 3 hours (unhealthy)", "nginx": UP}, "unhealthy")])
def test_a_container_that_does_not_serve_is_found(server: ServerLab, services: dict[str, str], said: str) -> None:
    server.change(services=services)
    answer = doctor(server)
    assert answer.code == 1 and said in answer.stdout and "1 thing is wrong" in answer.stderr


def test_a_panel_that_does_not_run_leaves_the_rest_to_be_seen(server: ServerLab) -> None:
    server.change(containers=[], services={"nginx": UP})
    found = findings(server)
    assert found["panel"][0][0] == "problem" and found["firewall"][0][0] == "ok"


def test_a_docker_that_is_down_is_one_finding(server: ServerLab) -> None:
    server.change(docker_runs=False)
    found = findings(server)
    assert found["docker"][0][0] == "problem" and "systemctl start docker" in found["docker"][0][2]
    assert "ports" not in found


def test_what_the_panel_finds_counts_too(server: ServerLab) -> None:
    server.change(panel_finds=[{"about": "links", "state": "problem", "text": "Алиса \"q\" \\ \u2028", "command": "x"}])
    assert findings(server)["links"] == [("problem", "Алиса \"q\" \\ \u2028", "x")]
    answer = doctor(server)
    assert answer.code == 1 and "1 thing is wrong" in answer.stderr


def test_images_that_are_gone_are_missed_before_the_next_start(server: ServerLab) -> None:
    server.change(images={"nginx": {}})
    assert findings(server)["images"][0][0] == "problem"


def test_who_is_not_root_is_told_what_is_not_seen(server: ServerLab) -> None:
    server.change(uid=1000)
    found = json.loads(doctor(server, "--json", MTPROTO_ROOT="").stdout)
    assert [one["about"] for one in found] == ["host", "links"] and found[0]["state"] == "note"
