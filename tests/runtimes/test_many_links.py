"""A made-up engine that serves the links of all users in one workload: in memory, as a process and as a container."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from app.control.views import UserView
from app.mtproto.links import parse_link
from app.rules.links import all_links
from app.runtimes.base import RUNNING, Observed
from tests.runtimes.conftest import Lab
from tests.support import docker_lab
from tests.support.cover import free_port
from tests.support.docker_lab import eventually
from tests.support.fleet import Fleet
from tests.support.many import LINKS, NAME, Many
from tests.support.many_program import Many as Program


class Stream:
    """A client's connection, which gets back what it sends."""

    def __init__(self, port: int, secret: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall(f"{secret}\n".encode())

    def move(self, size: int) -> None:
        self.socket.sendall(b"x" * size)
        back = 0
        while back < size:
            part = self.socket.recv(size - back)
            assert part, "it was cut off"
            back += len(part)

    def is_cut_off(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


class PretendedStream:
    """The same where nothing runs: the engine's program counts in this process."""

    def __init__(self, stage: Stage, secret: str) -> None:
        self.stage, self.secret = stage, secret
        assert self._link(), "nobody has this secret"

    def move(self, size: int) -> None:
        link = self._link()
        assert link, "it was cut off"
        self.stage.program.down[link] += size
        self.stage.program.up[link] += size
        self.stage.tell()

    def is_cut_off(self) -> bool:
        return not self._link()

    def _link(self) -> str:
        self.stage.tell()
        links = self.stage.program.links
        return next((link for link in links if links[link]["secret"] == self.secret), "")


class Stage:
    """A fleet whose engine is the made-up one."""

    def __init__(self, folder: Path, lab: Lab, engine: Many) -> None:
        self.lab, self.in_memory = lab, lab.runtime.name == "memory"
        self.program = Program(folder / LINKS)
        folder.mkdir()
        self.fleet = Fleet(folder / "data", lab.runtime, engine)
        self.fleet.set_settings({"shared_port": free_port(), "proxy_bind": "127.0.0.1", "server_ip": "203.0.113.7"})
        self.port = self.fleet.config().shared_port

    def tell(self) -> None:
        """Where nothing runs: what the program would do and tell by now."""
        if self.in_memory:
            self.program.file.write_text(self.lab.runtime.machine.boxes[NAME].live[LINKS])
            self.program.look()
            self.lab.runtime.machine.metrics(NAME, self.program.metrics())

    def stream(self, user: UserView) -> Stream | PretendedStream:
        """A connection by the user's link, once the engine has taken over that it is one of its."""
        link = next(link.id for link in all_links(self.fleet.config()) if link.user.id == user.id)
        eventually(lambda: self.tell() or any(link in sample.text for sample in self.lab.runtime.samples()),
                   "the engine looks at its file again")
        secret = parse_link(user.tg_link).secret.hex
        return PretendedStream(self, secret) if self.in_memory else Stream(self.port, secret)

    def seen(self) -> Observed:
        self.tell()
        (observed,) = self.lab.runtime.observe()
        return observed

    def billed(self, name: str) -> tuple[int, int]:
        self.tell()
        self.fleet.sample()
        return self.fleet.user(name).bytes_down, self.fleet.user(name).bytes_up


@pytest.fixture
def stage(lab: Lab, tmp_path: Path) -> Stage:
    return Stage(tmp_path / "stage", lab, Many(docker_lab.many_image() if lab.runtime.name == "docker" else ""))


def test_users_are_added_changed_and_removed_without_a_restart_and_each_is_billed_exactly(stage: Stage) -> None:
    fleet = stage.fleet
    alice, bob = fleet.add_user("Alice"), fleet.add_user("Bob")
    run = stage.seen().run_id
    hers, his = stage.stream(alice), stage.stream(bob)
    hers.move(900)
    his.move(1900)
    assert (stage.billed("Alice"), stage.billed("Bob")) == ((900, 900), (1900, 1900))
    hers.move(100)
    his.move(100)
    assert (stage.billed("Alice"), stage.billed("Bob")) == ((1000, 1000), (2000, 2000))

    carols = stage.stream(fleet.add_user("Carol"))
    carols.move(50)
    hers.move(10)
    rotated = fleet.rotate("Bob")
    eventually(his.is_cut_off, "the link of before does not work any more")
    again = stage.stream(rotated)
    again.move(7)
    assert (stage.billed("Bob"), stage.billed("Carol")) == ((2007, 2007), (50, 50))

    fleet.disable("Carol")
    eventually(carols.is_cut_off, "Carol is disabled")
    fleet.remove("Carol")
    hers.move(20)
    again.move(3)
    assert (stage.billed("Alice"), stage.billed("Bob")) == ((1030, 1030), (2010, 2010))
    assert [user.state for user in fleet.users()] == ["running", "running"]
    assert stage.seen().state == RUNNING and stage.seen().run_id == run, "nothing was restarted"
    assert [o for o in fleet.reconcile() if o.action != "serve"] == [], "and nothing is left to do"


def test_what_a_link_moved_in_the_moment_before_it_was_taken_out_is_billed(stage: Stage) -> None:
    alice = stage.fleet.add_user("Alice")
    stage.stream(alice).move(1)
    before, stream = {link.id for link in all_links(stage.fleet.config())}, stage.stream(alice)
    stage.lab.runtime.samples, samples = list, stage.lab.runtime.samples  # no counters can be read while she is rotated
    stage.fleet.rotate("Alice")
    stage.lab.runtime.samples = samples
    eventually(stream.is_cut_off, "the link of before does not work any more")
    assert stage.billed("Alice") == (1, 1), "the ledger knows whose link it was"
    assert before < stage.fleet.ledger.traffic.owners().keys()


def test_a_speed_limit_is_kept_by_the_engine_read_back_and_lifted_without_a_restart(stage: Stage) -> None:
    fleet = stage.fleet
    alice, bob = fleet.add_user("Alice", limit_gb="0.000001", speed_mbps="2"), fleet.add_user("Bob")
    run, hers = stage.seen().run_id, stage.stream(alice)
    hers.move(1000)
    assert stage.billed("Alice") == (1000, 1000)
    settled(stage, lambda: fleet.reconcile())
    assert (fleet.user("Alice").throttled_bps, fleet.user("Bob").throttled_bps) == (2_000_000, None)
    limits = {told["bits_per_second"] for told in json.loads(_live(stage)[LINKS]).values()}
    assert limits == {2_000_000, None}
    hers.move(10)
    stage.stream(bob).move(5)
    settled(stage, lambda: fleet.reset_traffic("Alice"))
    assert fleet.user("Alice").throttled_bps is None
    assert [event.action for event in fleet.events("Alice")][:3] == ["throttle.lifted", "traffic.reset", "throttle.set"]
    assert stage.seen().run_id == run


def test_a_restart_of_the_workload_finds_the_links_of_today(stage: Stage) -> None:
    alice = stage.fleet.add_user("Alice")
    stage.stream(alice).move(10)
    assert stage.billed("Alice") == (10, 10)
    run = stage.seen().run_id
    stage.lab.runtime.stop(NAME)
    with stage.fleet.file.edit() as config:
        config.users[0].secret = rotated = "ee" + "5" * 32 + b"www.example.com".hex()
    stage.fleet.reconcile()
    assert stage.seen().run_id not in ("", run)
    stage.program.down.clear()
    stage.program.up.clear()
    assert parse_link(stage.fleet.user("Alice").tg_link).secret.hex == rotated
    stage.stream(stage.fleet.user("Alice")).move(4)
    assert stage.billed("Alice") == (14, 14)


def settled(stage: Stage, act: Callable[[], object]) -> None:
    """Do it; where nothing runs, its engine takes over what was written while it is looked at."""
    if stage.in_memory:
        samples = stage.lab.runtime.samples
        stage.lab.runtime.samples = lambda: stage.tell() or samples()
        act()
        stage.lab.runtime.samples = samples
    else:
        act()


def _live(stage: Stage) -> dict[str, str]:
    """The live files as they should be."""
    reconciler = stage.fleet.reconciler
    return dict(reconciler._desired(stage.fleet.config()).workloads[NAME].live_files)
