"""Traffic in states that a panel gets into all the same: nonsense, unreadable files, disks, odd forms."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
import time
from datetime import datetime

import pytest
from click.testing import CliRunner

from app.cli.__main__ import cli
from app.control.monitor import Monitor
from app.control.system import System
from app.engines.builtin import Builtin
from app.ledger.history import DAY, HOUR
from tests.fleet.conftest import metrics
from tests.fleet.test_traffic import ALICE, GB, moved, old_file, tick
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime


@pytest.mark.parametrize("count", ["Inf", "1e30", "-5", "NaN"])
def test_an_engine_that_tells_nonsense_is_left_out_and_all_others_are_billed(fleet, machine, count):
    fleet.add_user("Alice")
    fleet.add_user("Bob")
    machine.metrics(ALICE, metrics(down=count))
    machine.metrics("mtg-proxy-2444", metrics(down=7))
    fleet.sample()
    assert [v.bytes_down for v in fleet.users()] == [0, 7]
    moved(fleet, machine, 100)
    assert fleet.user("Alice").bytes_down == 100


@pytest.mark.parametrize("text", ['{"per_user": {"2443": {"rx_bytes": Infinity}}}', "[" * 100_000])
def test_no_old_file_keeps_the_panel_from_starting(fleet, text):
    fleet.add_user("Alice")
    assert old_file(fleet, text).user("Alice").bytes_down == 0
    assert (fleet.data_dir / "traffic.json.unreadable").read_text() == text


def test_an_old_file_that_can_not_be_read_is_left_where_it_is(fleet, caplog):
    """Docker makes a folder where the file of a bind mount is missing."""
    fleet.add_user("Alice")
    (fleet.data_dir / "traffic.json").mkdir()
    assert Fleet(fleet.data_dir, fleet.runtime, fleet.engine).user("Alice").bytes_down == 0
    assert (fleet.data_dir / "traffic.json").is_dir() and "was not imported" in caplog.text


def test_a_new_user_on_a_freed_port_does_not_inherit_the_last_use_of_the_link(fleet, machine):
    fleet.add_user("Alice")
    moved(fleet, machine, 5, connections=1)
    assert fleet.user("Alice").last_seen
    fleet.remove("Alice", for_good=True)
    bob = fleet.add_user("Bob")
    assert (bob.port, bob.last_seen, bob.link_last_used) == (2443, None, None)
    moved(fleet, machine, 5, connections=1)
    bob = fleet.user("Bob")
    assert bob.link_last_used == bob.last_seen is not None


@pytest.mark.parametrize("change", [
    lambda fleet: fleet.rotate("Alice"),
    lambda fleet: fleet.update_user("Alice", {"secret": "ee" + "5" * 32 + b"www.example.com".hex()}),
    lambda fleet: fleet.update_user("Alice", {"port": "2999"}),
    lambda fleet: fleet.update_user("Alice", {"domain": "www.example.org"})],
    ids=["a new secret", "a secret of the operator's", "another port", "another domain"])
def test_a_link_that_is_seconds_old_was_never_used(fleet, machine, change):
    fleet.add_user("Alice")
    moved(fleet, machine, 5, connections=1)
    seen = fleet.user("Alice").last_seen
    assert fleet.user("Alice").link_last_used == seen is not None
    alice = change(fleet)
    assert alice.link_last_used is None and alice.last_seen >= seen
    assert fleet.user("Alice").link_last_used is None
    bob = fleet.add_user("Bob")
    assert bob.link_last_used is None and (bob.port == 2443) == (alice.port == 2999), "a freed port, too"


@pytest.mark.parametrize("change", [{"name": "Alisa"}, {"note": "her phone"}, {"limit_gb": "5"}])
def test_a_link_that_stays_the_same_was_used_when_it_was(fleet, machine, change):
    fleet.add_user("Alice")
    moved(fleet, machine, 5, connections=1)
    seen = fleet.user("Alice").last_seen
    assert fleet.update_user("Alice", change).link_last_used == seen is not None


def test_an_expiry_is_told_in_the_servers_zone_however_it_was_written(fleet, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    fleet.add_user("Alice")
    fleet.reconciler.clock = datetime.fromisoformat("2027-07-01T12:00:00+02:00").timestamp
    with fleet.file.edit() as config:
        config.users[0].expires_at = datetime.fromisoformat("2027-06-30T22:30:00+00:00")
    assert fleet.user("Alice").reason == "expired on 2027-07-01 00:30, until a later date is set"


def test_traffic_that_can_not_be_written_is_a_problem_that_the_panel_tells(fleet, machine):
    fleet.add_user("Alice")
    fleet.ledger.database.query("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(fleet.ledger.database.path)
    other.execute("BEGIN IMMEDIATE")
    machine.metrics(ALICE, metrics(down=100))
    (problem,) = fleet.status(max_age=0).problems
    assert "can't be written to panel.db (database is locked)" in problem
    other.rollback()
    other.close()
    assert fleet.status(max_age=0).problems == [] and fleet.user("Alice").bytes_down == 100


@pytest.mark.parametrize("speed, in_force", [("0.3333", 333_296), ("0.0000001", 1000), ("5", 5_000_000)])
def test_every_speed_that_can_be_set_is_one_that_the_kernel_can_keep(fleet, machine, speed, in_force):
    """tc counts whole bytes: another number would be read back as another one, and set anew in each tick."""
    fleet.add_user("Alice", limit_gb="1", speed_mbps=speed)
    for _ in range(3):
        moved(fleet, machine, GB)
    assert fleet.user("Alice").throttled_bps == in_force
    assert machine.calls.count(("throttle", ALICE)) == 1


def test_a_throttle_counts_as_verified_only_when_it_was_read_back(fleet, machine, monkeypatch):
    asked = []
    ask = fleet.runtime.throttled
    monkeypatch.setattr(fleet.runtime, "throttled", lambda name: asked.append(name) or ask(name))
    fleet.add_user("Alice", limit_gb="1")
    now = time.time()
    fleet.reconciler.clock = lambda: now
    moved(fleet, machine, GB)
    verified = fleet.user("Alice").throttle_verified_at
    asked.clear()
    now += 20
    tick(fleet)
    assert asked == [] and fleet.user("Alice").throttle_verified_at == verified
    machine.boxes[ALICE].limit = None  # as by somebody's hands
    now += 300
    tick(fleet)
    assert machine.boxes[ALICE].limit == 1_000_000 and fleet.user("Alice").throttle_verified_at > verified
    machine.crash(ALICE)
    now += 10
    tick(fleet)
    assert machine.boxes[ALICE].limit == 1_000_000, "another start is looked at at once"


def test_throttles_are_read_back_a_few_at_a_time(fleet, machine, monkeypatch):
    """Each takes Docker a helper: two hundred at once would hold up the counting for half a minute."""
    for name in ("Alice", "Bob", "Carl", "Dora", "Emil", "Fred"):
        fleet.add_user(name, limit_gb="1")
    now = time.time()
    fleet.reconciler.clock = lambda: now
    for box in list(machine.boxes):
        machine.metrics(box, metrics(down=GB))
    tick(fleet)
    asked = []
    ask = fleet.runtime.throttled
    monkeypatch.setattr(fleet.runtime, "throttled", lambda name: asked.append(name) or ask(name))
    now += 301
    tick(fleet)
    first = len(asked)
    now += 10
    tick(fleet)
    assert first == 4 and sorted(asked) == sorted(machine.boxes)


def test_a_throttle_that_a_lost_ledger_knew_of_is_lifted_by_the_next_one(fleet, machine):
    fleet.add_user("Alice", limit_gb="1")
    fleet.add_user("Bob")
    moved(fleet, machine, GB)
    for path in fleet.data_dir.glob("panel.db*"):
        path.unlink()
    machine.metrics(ALICE, metrics(down=5))
    fleet = Fleet(fleet.data_dir, MemoryRuntime(machine), Builtin())
    tick(fleet)
    assert machine.boxes[ALICE].limit is None and fleet.user("Alice").over_limit == ""
    looked = len(machine.calls)
    machine.boxes[ALICE].limit = 7  # it is not looked for in every tick, as with Docker that takes long
    tick(fleet)
    assert machine.boxes[ALICE].limit == 7 and len(machine.calls) == looked


def test_a_shorter_tick_does_not_wait_for_the_end_of_a_long_one(fleet):
    fleet.set_settings({"monitor_seconds": "3600"})
    monitor = Monitor(fleet)
    resting = threading.Thread(target=monitor._rest, daemon=True)
    resting.start()
    fleet.set_settings({"monitor_seconds": "1"})
    resting.join(10)
    assert not resting.is_alive()


def test_a_disk_that_takes_no_writes_leaves_the_panel_its_last_numbers(fleet, machine, tmp_path_factory,
                                                                        caplog):
    if os.geteuid() != 0:
        pytest.skip("only root can mount the read-only disk of this test")
    fleet.add_user("Alice")
    moved(fleet, machine, 100)
    disk = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "--bind", str(fleet.data_dir), str(disk)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
        panel = Fleet(disk, MemoryRuntime(machine), Builtin())
        machine.crash(ALICE)
        panel.reconcile()
        machine.metrics(ALICE, metrics())
        status = panel.status(max_age=0)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert [(v.bytes_down, v.state) for v in status.users] == [(100, "running")]
    assert "traffic could not be written: attempt to write a readonly database" in caplog.text


@pytest.mark.parametrize("since, step", [("60m", 10), ("2h", 10), ("121m", HOUR), ("90d", HOUR), ("91d", DAY)])
def test_the_last_two_hours_are_told_to_ten_seconds_and_90_days_to_the_hour(fleet, monkeypatch, since, step):
    fleet.add_user("Alice")
    monkeypatch.setattr(System, "open", classmethod(lambda cls, folder: fleet))
    for name in ([], ["Alice"]):
        words = ["--data", str(fleet.data_dir), "--json", "traffic", *name, "--since", since]
        told = json.loads(CliRunner().invoke(cli, words).output)
        assert (told if name else told[0])["step"] == step
