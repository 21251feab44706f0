"""telemt as a container: the stand-in always, and the real one where TELEMT_BIN names its program."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient

from app.accounts.actor import CLI
from app.actions import debug_logs
from app.engines.telemt import live
from app.engines.telemt.engine import NAME, TelemtImage
from app.mtproto.links import parse_link
from app.runtimes.base import IMAGE_FOLDER, RUNNING
from app.runtimes.docker import spec
from app.runtimes.docker.runtime import DockerRuntime
from tests.support.dc import DataCenter
from tests.support.docker_lab import eventually, telemt_image
from tests.support.fleet import Fleet
from tests.support.stream import trouble
from tests.support.telemt_lab import PROGRAMS, Stage

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=PROGRAMS)
def stage(request: pytest.FixtureRequest, tmp_path: Path, runtime: DockerRuntime,
          docker_dc: DataCenter) -> Iterator[Stage]:
    stage = Stage(Fleet(tmp_path / "data", runtime, TelemtImage()), docker_dc, telemt_image=telemt_image(request.param))
    yield stage
    stage.clients.close()


def test_users_come_and_go_in_one_container_and_nobody_else_notices(stage: Stage, hands: APIClient) -> None:
    fleet = stage.fleet
    alice, bob, carol = (fleet.add_user(name) for name in ("Alice", "Bob", "Carol"))
    run, hers, his, carols = stage.run, stage.connect(alice), stage.connect(bob), stage.connect(carol)
    old = stage.link(bob)
    fleet.disable("Carol")
    assert stage.is_cut_off(carols)
    rotated = fleet.rotate("Bob")
    assert stage.is_cut_off(his)
    assert trouble(old) and not trouble(stage.link(rotated))
    for number in range(10):
        fleet.add_user(f"User {number}")
    fleet.remove("User 3")
    stage.clients.do(hers.download(300_000))
    assert stage.run == run
    fleet.sample()
    assert fleet.user("Alice").bytes_down >= 300_000
    assert [outcome for outcome in fleet.reconcile() if outcome.action != "serve"] == []
    assert fleet.user("Alice").throttled_bps is None


def test_a_debug_log_in_docker_has_no_secret_and_the_panel_sees_who_is_connected(
        stage: Stage, hands: APIClient) -> None:
    fleet = stage.fleet
    run, hers = fleet.add_user("Alice") and stage.run, stage.connect(fleet.user("Alice"))
    for switch in (debug_logs.begin, debug_logs.end):
        switch(fleet, CLI, "telemt")
        added = fleet.add_user(f"After {switch.__name__}")
        assert not trouble(stage.link(added))
    raw = hands.logs(NAME).decode()
    assert "telemt::links" in raw, "RUST_LOG holds no more"
    assert not any(parse_link(user.tg_link).secret.key.hex() in raw for user in fleet.users())
    fleet.sample()
    assert len(fleet.user("Alice").connected) == 1
    assert stage.run == run
    stage.clients.do(hers.download(100_000))


def test_its_container_can_do_nothing_but_serve_and_opens_one_port(stage: Stage, hands: APIClient) -> None:
    stage.fleet.add_user("Alice")
    told = hands.inspect_container(NAME)
    host = told["HostConfig"]
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["Memory"], host["PidsLimit"]) == (
        ["ALL"], True, stage.fleet.config().telemt_memory_mb << 20, 256)
    assert host["RestartPolicy"]["Name"] == "unless-stopped" and told["Config"]["User"] == "65534:65534"
    published = {port: at for port, at in told["NetworkSettings"]["Ports"].items() if at}
    assert published == {"3128/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stage.port)}]}
    asked = hands.exec_create(NAME, told["Config"]["Healthcheck"]["Test"][1:])["Id"]
    hands.exec_start(asked)
    assert hands.exec_inspect(asked)["ExitCode"] == 0, "its own command finds it well"


def test_it_heals_when_it_is_killed_removed_or_its_file_is_broken_by_hand(stage: Stage, hands: APIClient) -> None:
    fleet = stage.fleet
    alice = fleet.add_user("Alice")
    right = stage.runtime.held(NAME)
    stage.clients.do(stage.connect(alice).download(100_000))
    fleet.sample()
    before = fleet.user("Alice").bytes_down

    hers = stage.connect(alice)
    hands.put_archive(NAME, IMAGE_FOLDER, spec.archive({live.FILE: "this is [no TOML"}))
    time.sleep(0.5)
    assert stage.lives(hers)
    bob = fleet.add_user("Bob")
    assert not trouble(stage.link(bob)) and stage.lives(hers)
    assert stage.runtime.held(NAME).keys() == right.keys()

    hands.kill(NAME)
    eventually(lambda: fleet.reconcile() and not trouble(stage.link(alice)), "it runs again")
    hands.remove_container(NAME, force=True, v=True)
    fleet.reconcile()
    stage.clients.do(stage.connect(alice).download(100_000))
    fleet.sample()
    assert 100_000 <= fleet.user("Alice").bytes_down - before < 110_000
    assert [o.state for o in stage.runtime.observe()] == [RUNNING]


def test_a_file_that_telemt_refuses_is_said_and_those_who_were_there_are_served_on(
        stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = stage.fleet
    alice = fleet.add_user("Alice")
    hers, made = stage.connect(alice), live.of
    fleet.reconciler.updating.taken_over_in = 4.0

    def refused(links: list) -> live.Live:
        told = made(links)
        return live.Live({**told.users, "f" * 12: "too short"})

    monkeypatch.setattr(live, "of", refused)
    (failed,) = [outcome for outcome in fleet.reconcile() if not outcome.ok]
    assert {"engine.refuses", "telemt.file_refused"} <= set(failed.reason.codes) and "f" * 12 in failed.reason
    assert "too short" not in failed.reason
    assert stage.lives(hers) and not trouble(stage.link(alice))
    monkeypatch.setattr(live, "of", made)
    assert all(outcome.ok for outcome in fleet.reconcile())
    assert stage.lives(hers)
