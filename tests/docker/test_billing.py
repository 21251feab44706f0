"""A user's bill on the real Docker engine: what a client moved, to 1 %, whatever happens to the panel,
the containers, the ledger, the disk, the clock and the engine. Nothing twice, nothing inherited."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.control.errors import Refused
from app.engines.mtg.engine import MtgImage
from app.runtimes.base import RUNNING
from app.runtimes.docker.runtime import DockerRuntime
from tests.docker.conftest import Lab
from tests.docker.test_faults import Cable
from tests.support.fleet import Fleet
from tests.support.stream import Stream

ROOT = Path(__file__).resolve().parents[2]
DOWN, UP = 2_000_000, 700_000

#: A panel that does nothing but sample: sys.argv is the data folder, the instance and the network.
SAMPLING_PANEL = """
import sys
from pathlib import Path
from app.engines.mtg.engine import MtgImage
from tests.support.fleet import Fleet
from app.runtimes.docker.runtime import DockerRuntime
fleet = Fleet(Path(sys.argv[1]), DockerRuntime(*sys.argv[2:]), MtgImage())
while True:
    fleet.sample()
    print("sampled", flush=True)
"""


class Client:
    """One user's client, which knows what it moved: payload bytes in each direction."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.id = lab.fleet.add_user(name).id
        self.down = self.up = 0

    @property
    def view(self):
        return self.lab.fleet.user(self.id)

    @property
    def container(self) -> str:
        return f"mtg-proxy-{self.view.port}"

    def moves(self, down: int = DOWN, up: int = UP) -> None:
        view = self.view
        assert view.state == RUNNING, view.reason

        async def both() -> None:
            async with asyncio.timeout(60):
                stream = await Stream.open(view.tg_link)
                await stream.download(down)
                await stream.upload(up)
                await stream.close()

        asyncio.run(both())
        self.down += down
        self.up += up

    def is_billed_exactly(self, fleet: Fleet | None = None) -> None:
        """Asked twice: what was counted is not counted again."""
        for _ in range(2):
            views = (fleet or self.lab.fleet).status(max_age=0).users
            view = next(v for v in views if v.id == self.id)
            exact("down", view.bytes_down, self.down)
            exact("up", view.bytes_up, self.up)


def exact(what: str, billed: int, moved: int) -> None:
    assert abs(billed - moved) <= moved * 0.01, f"{what}: billed {billed}, moved {moved}"


@pytest.fixture
def alice(lab: Lab) -> Client:
    return Client(lab, "Alice")


def test_the_bill_is_what_was_moved_and_two_users_have_one_each(lab, alice):
    bob = Client(lab, "Bob")
    alice.moves()
    bob.moves(down=UP, up=DOWN)
    alice.is_billed_exactly()
    bob.is_billed_exactly()


def test_after_a_restart_of_the_panel(lab, alice):
    alice.moves()
    lab.fleet.sample()
    alice.moves()  # while no panel looks
    other = DockerRuntime(lab.runtime.instance, lab.runtime.network)
    fleet = Fleet(lab.fleet.data_dir, other, MtgImage())
    alice.is_billed_exactly(fleet)
    alice.moves()
    alice.is_billed_exactly(fleet)
    other.close()


def test_after_panels_that_were_killed_while_they_sampled(lab, alice):
    for _ in range(3):
        panel = subprocess.Popen(
            [sys.executable, "-c", SAMPLING_PANEL, str(lab.fleet.data_dir), lab.runtime.instance,
             lab.runtime.network], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert panel.stdout.readline() == "sampled\n"
        alice.moves()
        time.sleep(random.uniform(0, 0.1))
        panel.kill()
        panel.wait()
        panel.stdout.close()
    alice.is_billed_exactly()


def test_with_two_panels_that_sample_the_same_folder_at_once(lab, alice):
    panels = [subprocess.Popen(
        [sys.executable, "-c", SAMPLING_PANEL, str(lab.fleet.data_dir), lab.runtime.instance,
         lab.runtime.network], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for panel in panels:
        assert panel.stdout.readline() == "sampled\n"
    for _ in range(3):
        alice.moves()
    for panel in panels:
        panel.kill()
        panel.wait()
        panel.stdout.close()
    alice.is_billed_exactly()


def docker_kill(lab: Lab, alice: Client) -> None:
    lab.hands.kill(alice.container)


def engine_dies(lab: Lab, alice: Client) -> None:
    """Docker starts it again by itself."""
    os.kill(lab.hands.inspect_container(alice.container)["State"]["Pid"], signal.SIGKILL)


def docker_rm(lab: Lab, alice: Client) -> None:
    lab.hands.remove_container(alice.container, force=True, v=True)


def docker_restart(lab: Lab, alice: Client) -> None:
    lab.hands.restart(alice.container, timeout=0)


@pytest.mark.parametrize("fault", [docker_kill, engine_dies, docker_rm, docker_restart])
def test_after_the_container_was_ended_by_others_only_a_tick_may_be_lost(lab, alice, fault):
    alice.moves()
    lab.fleet.sample()
    before = lab.seen(alice.container).run_id
    fault(lab, alice)
    deadline = time.monotonic() + 60
    while (seen := lab.seen(alice.container)) is None or seen.run_id in ("", before):
        assert time.monotonic() < deadline
        lab.monitor.tick()
        time.sleep(0.1)
    assert lab.heals(alice.id)
    alice.moves()
    alice.is_billed_exactly()


@pytest.mark.parametrize("change", [
    lambda fleet, ref: fleet.rotate(ref),
    lambda fleet, ref: fleet.set_settings({"proxy_prefer_ip": "only-ipv4"}),
    lambda fleet, ref: fleet.restart(ref),
    lambda fleet, ref: (fleet.disable(ref), fleet.enable(ref)),
    lambda fleet, ref: (fleet.stop_all(), fleet.start_all()),
], ids=["rotated", "setting", "restarted", "disabled and enabled", "all stopped and started"])
def test_after_a_container_was_ended_by_the_panel_nothing_is_lost(lab, alice, change):
    before = lab.seen(alice.container).run_id
    alice.moves()
    change(lab.fleet, alice.id)  # samples before it ends anything
    assert alice.view.state == RUNNING and lab.seen(alice.container).run_id != before
    alice.moves()
    alice.is_billed_exactly()


def test_after_a_reset_only_what_is_new(lab, alice):
    bob = Client(lab, "Bob")
    bob.moves(UP, UP)
    alice.moves()
    lab.fleet.reset_traffic(alice.id, actor="test")
    assert (alice.view.period_down, alice.view.period_up) == (0, 0)
    alice.moves()
    lab.fleet.rotate(alice.id)  # another container; what the old one counted must not come back
    alice.moves(UP, DOWN)
    lab.fleet.sample()
    exact("down", alice.view.period_down, DOWN + UP)
    exact("up", alice.view.period_up, UP + DOWN)
    alice.is_billed_exactly()
    bob.is_billed_exactly()
    assert bob.view.period_down == bob.view.bytes_down


def test_after_a_rename(lab, alice):
    alice.moves()
    lab.fleet.update_user(alice.id, {"name": "Alicia", "note": "married"})
    alice.moves()
    alice.is_billed_exactly()


def test_a_freed_port_bequeaths_nothing_to_the_next_user(lab, alice):
    alice.moves()
    lab.fleet.sample()
    port = alice.view.port
    lab.fleet.remove(alice.id)
    bob = Client(lab, "Bob")
    if bob.view.port != port:
        lab.fleet.update_user(bob.id, {"port": str(port)})
    assert bob.view.port == port
    assert (bob.view.bytes_down, bob.view.bytes_up) == (0, 0)
    bob.moves(UP, UP)
    bob.is_billed_exactly()


def test_two_users_who_swap_a_port_keep_each_their_own(lab, alice):
    bob, old = Client(lab, "Bob"), alice.view.port
    alice.moves()
    bob.moves(UP, UP)
    lab.fleet.update_user(alice.id, {"port": str(bob.view.port + 1)})
    lab.fleet.update_user(bob.id, {"port": str(old)})
    alice.moves()
    bob.moves(UP, UP)
    alice.is_billed_exactly()
    bob.is_billed_exactly()


@contextmanager
def clock_set_back(fleet: Fleet, seconds: float) -> Iterator[None]:
    """All that the panel takes for the time, while only the panel is asked."""
    real = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: real() - seconds)
        patch.setattr(fleet.reconciler, "clock", lambda: real() - seconds)
        yield


def test_after_the_clock_was_set_back_an_hour(lab, alice):
    alice.moves()
    lab.fleet.sample()
    for _ in range(2):
        alice.moves()
        with clock_set_back(lab.fleet, 3600):
            lab.monitor.tick()
            alice.is_billed_exactly()
    alice.moves()
    alice.is_billed_exactly()


def test_after_the_database_was_locked_for_20_seconds(lab, alice, caplog):
    """Twice as long as a writer waits."""
    alice.moves()
    lab.fleet.sample()
    other = sqlite3.connect(lab.fleet.data_dir / "panel.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    locked = time.monotonic()
    while time.monotonic() - locked < 20 or caplog.text.count("could not be written: database is locked") < 2:
        alice.moves()
        lab.fleet.sample()
    alice.moves()
    other.execute("ROLLBACK")
    other.close()
    alice.is_billed_exactly()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The data folder on a disk of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount the small disk of this test")
    disk = tmp_path / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


def test_after_the_disk_was_full_for_a_minute_in_which_a_container_ended(small_disk, lab, alice, caplog):
    alice.moves()
    lab.fleet.sample()
    filler, full = fill(small_disk), time.monotonic()
    for _ in range(20):  # the write-ahead log has room left in its last page
        alice.moves(UP, UP)
        lab.fleet.sample()
        if "could not be written: database or disk is full" in caplog.text:
            break
    else:
        pytest.fail("the disk was never full for the ledger")
    lab.hands.restart(alice.container, timeout=0)  # its counters are gone with this
    assert lab.heals(alice.id)
    while time.monotonic() - full < 60:
        alice.moves(UP, UP)
        lab.monitor.tick()
        time.sleep(2)
    filler.unlink()
    assert lab.heals(alice.id)
    alice.moves()
    alice.is_billed_exactly()


def test_after_the_engine_was_away(lab, alice, tmp_path):
    cable = Cable(tmp_path / "docker.sock")
    far = DockerRuntime(lab.runtime.instance, lab.runtime.network, f"unix://{cable.path}")
    fleet = Fleet(lab.fleet.data_dir, far, MtgImage())
    alice.moves()
    fleet.sample()
    cable.cut()
    with pytest.raises(Refused, match="Docker engine"):
        fleet.sample()
    alice.moves()
    cable.plug()
    alice.is_billed_exactly(fleet)
    far.close()
    cable.cut()
