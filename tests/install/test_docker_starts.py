"""Docker answers late after a start of the server, or never; and a power cut leaves ports behind that nobody has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import ROOT, Answer
from tests.install.move_lab import MoveLab, installed
from tests.install.server_lab import ServerLab
from tests.install.update_lab import Server

pytestmark = pytest.mark.timeout(300)

NEVER, LATE = -1, 2
BEING_STARTED = "waiting for Docker, which is starting"
LOOK_AT = "journalctl -u docker"


@pytest.fixture
def server(tmp_path: Path) -> ServerLab:
    """An installation that serves, in front of it ss and the rest of the system as they are then."""
    server = ServerLab(tmp_path)
    server.has_docker()
    installed(server)
    with (server.home / ".env").open("a") as env:
        env.write("PROXY_SUBNET=172.28.0.0/16\nPANEL_SUBNET=172.30.255.0/28\nPANEL_PORT=8080\n")
    server.change(listening={"8080": "docker-proxy"}, published=["8080"], proxies=["mtg-proxy"],
                  services={"app": "Up 3 days (healthy)", "nginx": "Up 3 days (healthy)"})
    return server


def type_in(server: ServerLab, *words: str, wait: int = 100) -> Answer:
    """A command of the installed release. wait: for Docker (s)."""
    done = subprocess.run(["bash", server.home / "current" / words[0], *words[1:]], cwd=server.folder, text=True,
                          env=server.environment(MTPROTO_DOCKER_WAIT=str(wait)), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


COMMANDS = [
    ("install.sh", "--yes"), ("install.sh", "--uninstall", "--yes"), ("host/mtproto", "user", "list"),
    ("host/mtproto", "backup", "-"), ("host/mtproto", "compose", "up"), ("host/mtproto", "doctor")]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_docker_that_is_starting_is_waited_for(server: ServerLab, words: tuple[str, ...]) -> None:
    server.change(docker_silent=LATE)
    answer = type_in(server, *words)
    assert answer.stderr.count(BEING_STARTED) == 1, answer.told
    assert "does not answer" not in answer.told and "is taken by" not in answer.told
    if "doctor" not in words:  # images and the firewall are not in the state that it wants
        assert answer.code == 0, answer.told


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_docker_that_never_answers_is_told_with_the_command_that_says_why(
        server: ServerLab, words: tuple[str, ...]) -> None:
    server.change(docker_silent=NEVER)
    before = server.files()
    answer = type_in(server, *words, wait=0)
    assert answer.code == 1 and "does not answer" in answer.told and LOOK_AT in answer.told, answer.told
    if "--uninstall" not in words:
        assert server.files() == before


def test_one_that_is_off_is_not_waited_for(server: ServerLab) -> None:
    server.change(docker_runs=False)
    answer = type_in(server, "host/mtproto", "user", "list")
    assert answer.code == 1 and "systemctl start docker" in answer.stderr and BEING_STARTED not in answer.stderr
    # The installer starts it.
    server.change(listening={}, up=False)
    answer = type_in(server, "install.sh", "--yes")
    assert answer.code == 0 and server.state["docker_runs"], answer.told


@pytest.mark.parametrize(("silent", "code"), [(LATE, 0), (NEVER, 1)])
def test_an_update_waits_too(tmp_path: Path, silent: int, code: int) -> None:
    server = Server(tmp_path)
    (tmp_path / "root/run/systemd/system").mkdir(parents=True)
    server.publish("v2")
    server.say("docker-silent", str(silent))
    answer = server.update(MTPROTO_DOCKER_WAIT="100" if code == 0 else "0")
    assert answer.code == code and answer.stderr.count(BEING_STARTED) == (code == 0), answer.told
    (server.stubs / "docker-silent").unlink()
    assert server.version == ("v2" if code == 0 else "v1")
    if code:
        assert LOOK_AT in answer.stderr and "Nothing was changed" in answer.stderr


def test_a_move_waits_on_both_sides(tmp_path: Path) -> None:
    move = MoveLab(tmp_path)
    try:
        move.install_here()
        for server in (move.here, move.there):
            server.change(docker_silent=LATE)
        answer = move.move()
        assert answer.code == 0 and answer.stderr.count(BEING_STARTED) == 2, answer.told
    finally:
        move.close()


DOCKER_BY_HAND = """\
#!/bin/bash
if [ "$1" = version ] && [ "$(cat "$0.silent")" -ne 0 ]; then
    echo $(($(cat "$0.silent") - 1)) >"$0.silent"
    echo "Cannot connect to the Docker daemon" >&2
    exit 1
fi
"""


@pytest.mark.parametrize(("silent", "code"), [(1, 0), (NEVER, 1)])
def test_the_routers_are_switched_when_docker_answers(server: ServerLab, silent: int, code: int) -> None:
    tree = server.folder / "a checkout"
    for name in ("scripts/switch-router.sh", "host/lib/engine.sh"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    docker = server.folder / "bin/docker"
    docker.unlink()
    docker.write_text(DOCKER_BY_HAND)
    docker.chmod(0o755)
    Path(f"{docker}.silent").write_text(str(silent))
    done = subprocess.run(["bash", tree / "scripts/switch-router.sh", "traefik"], text=True, capture_output=True,
                          env=server.environment(MTPROTO_DOCKER_WAIT="1"), stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == code, done
    assert (LOOK_AT in done.stderr) == bool(code)


def keeps(folder: Path, address: str, port: int = 8080, network: str = "net") -> None:
    """Docker's own program holds the port for a container at this address. network: as what it is in /proc/…/ns."""
    process = folder / "proc/71"
    (process / "ns").mkdir(parents=True)
    (process / "ns/net").symlink_to(f"/proc/{os.getpid()}/ns/{network}")
    words = ["/usr/bin/docker-proxy", "-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", str(port),
             "-container-ip", address, "-container-port", "8080"]
    (process / "cmdline").write_text("".join(f"{word}\0" for word in words))


@pytest.mark.parametrize(("address", "network"), [
    ("172.17.0.2", "net"), ("172.30.255.16", "net"), ("fd00::2", "net"), ("172.30.255.14", "uts")])
def test_a_port_that_docker_has_for_another_network_is_somebody_elses(
        server: ServerLab, address: str, network: str) -> None:
    """Or that the engine of a container on this server has, whose networks may have the same addresses."""
    server.change(published=[])
    keeps(server.folder, address, network=network)
    answer = type_in(server, "install.sh", "--yes", "--port", "8080")
    assert answer.code == 1 and "port 8080, for the panel, is taken by docker-proxy (pid 71)" in answer.told
    assert "systemctl restart docker" not in server.calls()


def test_a_port_that_docker_keeps_for_a_container_it_has_forgotten_is_freed_by_its_restart(server: ServerLab) -> None:
    server.change(published=[])
    keeps(server.folder, "172.28.3.9")
    answer = type_in(server, "install.sh", "--yes", "--port", "8080")
    assert answer.code == 0 and "as after a power cut: 8080. It is restarted" in answer.stdout, answer.told
    assert server.calls("systemctl").count("systemctl restart docker") == 1


def test_docker_is_not_restarted_under_containers_of_others(server: ServerLab) -> None:
    server.change(published=[], older={"abc": {"name": "shop", "runs": True, "ports": [], "mounts": [], "project": ""}})
    keeps(server.folder, "172.30.255.14")
    answer = type_in(server, "install.sh", "--yes")
    assert answer.code == 1 and "some are not of this installation" in answer.stderr, answer.told
    assert "systemctl restart docker" in answer.stderr and "systemctl restart docker" not in server.calls("systemctl")


def test_the_port_of_a_container_that_runs_is_left_alone(server: ServerLab) -> None:
    keeps(server.folder, "172.30.255.14")
    answer = type_in(server, "install.sh", "--yes")
    assert answer.code == 0 and "systemctl restart docker" not in server.calls("systemctl"), answer.told


def test_doctor_names_a_port_that_docker_keeps(server: ServerLab) -> None:
    server.change(published=[])
    keeps(server.folder, "172.28.3.9", port=8080)
    answer = type_in(server, "host/mtproto", "doctor")
    assert "a container that is not there any more, as after a power cut: 8080" in answer.stdout, answer.told
    assert "sudo systemctl restart docker" in answer.stdout


def test_an_update_frees_it_before_it_goes_on(tmp_path: Path) -> None:
    server = Server(tmp_path)
    keeps(tmp_path, "172.30.255.14", port=443)
    with (server.home / ".env").open("a") as env:
        env.write("PROXY_SUBNET=172.28.0.0/16\nPANEL_SUBNET=172.30.255.0/28\n")
    (tmp_path / "root/run/systemd/system").mkdir(parents=True)
    server.publish("v2")
    answer = server.update(MTPROTO_PROC=str(tmp_path / "proc"))
    assert answer.code == 0 and "as after a power cut: 443. It is restarted" in answer.stdout, answer.told
    assert "systemctl restart docker" in server.calls and server.version == "v2"


def test_what_an_interrupted_start_has_left_is_no_obstacle_to_the_next_one(server: ServerLab) -> None:
    server.change(listening={}, half_made=["0123456789ab_mtproto-app-1", "mtproto-nginx-1"])
    answer = type_in(server, "install.sh", "--yes")
    assert answer.code == 0, answer.told
    assert server.state["half_made"] == ["mtproto-nginx-1"], "what has its own name already is only to be started"


def test_nor_to_an_update(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.say("half-made", "c0ffee 0123456789ab_mtproto-app-1")
    server.publish("v2")
    answer = server.update()
    assert answer.code == 0 and server.version == "v2", answer.told
