"""Limits, periods, clocks and bills, on a machine and with a clock that the test owns."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from datetime import datetime, timedelta

import pytest

from app.control import periods, probing
from app.control.errors import Refused
from app.control.monitor import Monitor
from app.engines.builtin import Builtin
from app.ledger import database
from app.ledger.history import DAY, HOUR
from app.runtimes.base import EXITED
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime

GB = 1024 ** 3
ALICE = "mtg-proxy-2443"


@pytest.fixture
def at(fleet, monkeypatch):
    """Call it to set the clock, by which resets and expiry go, to a local time; it goes on from there."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()

    def set_clock(text: str) -> None:
        moment = datetime.fromisoformat(text).timestamp()
        fleet.reconciler.clock = lambda: moment

    yield set_clock
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def impatient(monkeypatch, fleet) -> None:
    """Nobody waits long for a locked database."""
    monkeypatch.setattr(database, "PATIENCE", 0.001)
    fleet.ledger.database.query("PRAGMA busy_timeout = 1")


def tick(fleet: Fleet) -> None:
    Monitor(fleet, 10).tick()


def moved(fleet: Fleet, machine, down: int, connections: int = 0) -> None:
    """Alice's engine has relayed so much, and the monitor finds out."""
    machine.metrics(ALICE, metrics(down=down, connections=connections))
    tick(fleet)


def audit(fleet: Fleet, action: str) -> list[tuple[str, str, str]]:
    return [(e.actor, e.subject, e.detail) for e in fleet.ledger.events.recent(1000) if e.action == action]


def test_a_user_may_have_no_limit_whatever_is_set_for_all_and_take_that_back(fleet, machine):
    fleet.set_settings({"traffic_limit_gb": "1"})
    fleet.add_user("Alice", limit_gb="none")
    moved(fleet, machine, 2 * GB)
    view = fleet.user("Alice")
    assert (view.limit_gb, view.own_limit_gb, view.throttled_bps, view.warning) == (0, None, None, 0)
    view = fleet.update_user("Alice", {"limit_gb": ""})
    assert (view.limit_gb, view.own_limit_gb, view.throttled_bps, view.warning) == (1, 0, 1_000_000, 100)
    view = fleet.update_user("Alice", {"speed_mbps": "none"})
    assert (view.speed_mbps, view.own_speed_mbps, view.throttled_bps) == (0, None, None)
    fleet.set_settings({"traffic_limit_gb": "none"})
    assert fleet.user("Alice").over_limit == ""


def test_a_block_ends_the_sessions_says_until_when_and_a_higher_limit_lifts_it(fleet, machine):
    fleet.add_user("Alice", limit_gb="1", at_limit="block")
    moved(fleet, machine, GB - 1)
    assert (fleet.user("Alice").state, fleet.user("Alice").warning) == ("running", 95)
    moved(fleet, machine, GB)
    view = fleet.user("Alice")
    assert machine.boxes[ALICE].state == EXITED
    assert view.state == "blocked" and view.reason == view.over_limit
    assert view.reason.codes == ["limit.used", "limit.blocked", "limit.until_reset"]
    status = fleet.status()
    assert (status.problems, status.total) == ([], 0)
    assert len(audit(fleet, "user.blocked")) == 1
    tick(fleet)
    assert len(audit(fleet, "user.blocked")) == 1
    machine.metrics(ALICE, metrics())
    assert fleet.update_user("Alice", {"limit_gb": "2"}).state == "running"


def test_blocking_may_be_set_for_all_and_not_for_one(fleet, machine):
    fleet.set_settings({"traffic_limit_gb": "1", "at_limit": "block"})
    fleet.add_user("Alice", at_limit="throttle")
    fleet.add_user("Bob")
    for port in (2443, 2444):
        machine.metrics(f"mtg-proxy-{port}", metrics(down=GB))
    tick(fleet)
    assert [(v.name, v.state, v.throttled_bps) for v in fleet.users()] == \
        [("Alice", "running", 1_000_000), ("Bob", "blocked", None)]


def test_a_throttle_is_told_with_its_end_and_when_it_was_verified(fleet, machine, at):
    fleet.add_user("Alice", limit_gb="1", reset_cycle="monthly 1")
    at("2027-01-15T12:00")
    moved(fleet, machine, GB)
    at("2027-01-15T12:10")
    tick(fleet)
    view = fleet.user("Alice")
    assert view.over_limit == \
        "used 1.00 of 1 GB: slowed to 1 Mbit/s until 2027-02-01 00:00, when the traffic is reset"
    assert (view.throttled_bps, view.throttle_verified_at) == (1_000_000, "2027-01-15T12:10:00+01:00")
    assert (view.next_reset_at, view.reason) == ("2027-02-01T00:00:00+01:00", "")


@pytest.mark.parametrize("action", ["throttle", "block"])
@pytest.mark.parametrize("ref", ["Alice", ""])
def test_a_reset_lifts_what_the_limit_has_caused_in_the_same_call(fleet, machine, action, ref):
    fleet.add_user("Alice", limit_gb="1", at_limit=action)
    fleet.add_user("Bob")
    moved(fleet, machine, 3 * GB)
    assert fleet.user("Alice").over_limit
    if action == "block":
        machine.metrics(ALICE, metrics())
    views = {v.name: v for v in fleet.reset_traffic(ref, actor="admin:root")}
    assert set(views) == ({"Alice"} if ref else {"Alice", "Bob"})
    alice = views["Alice"]
    assert (alice.state, alice.throttled_bps, alice.over_limit, alice.warning) == ("running", None, "", 0)
    assert (alice.period_down, alice.bytes_down) == (0, 3 * GB) and alice.period_since
    assert machine.boxes[ALICE].limit is None
    assert [(a, s) for a, s, _ in audit(fleet, "traffic.reset")] == \
        [("admin:root", name) for name in sorted(views, reverse=True)]
    tick(fleet)
    assert fleet.user("Alice").period_down == 0


def test_what_was_moved_before_a_reset_does_not_count_after_it(fleet, machine):
    fleet.add_user("Alice")
    machine.metrics(ALICE, metrics(down=500))
    fleet.reset_traffic("Alice")
    moved(fleet, machine, 507)
    view = fleet.user("Alice")
    assert (view.period_down, view.bytes_down) == (7, 507)


def test_a_reset_that_can_not_be_written_is_refused_and_changes_nothing(fleet, machine, impatient):
    fleet.add_user("Alice", limit_gb="1")
    moved(fleet, machine, GB)
    other = sqlite3.connect(fleet.ledger.database.path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refused, match="locked"):
        fleet.reset_traffic("Alice")
    other.rollback()
    other.close()
    assert fleet.user("Alice").period_down == GB and audit(fleet, "traffic.reset") == []


def test_a_cycle_resets_at_midnight_in_the_servers_zone_once(fleet, machine, at):
    fleet.set_settings({"reset_cycle": "monthly 31", "traffic_limit_gb": "1", "at_limit": "block"})
    fleet.add_user("Alice")
    at("2027-02-10T12:00")
    moved(fleet, machine, GB)
    machine.metrics(ALICE, metrics())
    at("2027-02-27T23:59")
    tick(fleet)
    assert fleet.user("Alice").state == "blocked" and "until 2027-02-28 00:00" in fleet.user("Alice").reason
    at("2027-02-28T00:00")
    tick(fleet)
    view = fleet.user("Alice")
    assert (view.state, view.period_down, view.next_reset_at) == ("running", 0, "2027-03-31T00:00:00+02:00")
    for text in ("2027-02-27T23:00", "2027-02-28T00:00", "2027-02-28T00:05"):
        at(text)
        tick(fleet)
    assert audit(fleet, "traffic.reset") == \
        [("panel", "Alice", "1.00 GB since the beginning; reset cycle: monthly 31")]


def test_resets_that_fell_due_while_the_panel_was_off_are_one(fleet, machine, at):
    fleet.add_user("Alice", reset_cycle="daily")
    at("2027-02-10T12:00")
    tick(fleet)
    at("2027-02-20T12:00")
    machine.metrics(ALICE, metrics(down=100))
    again = Fleet(fleet.data_dir, MemoryRuntime(machine), Builtin())
    again.reconciler.clock = fleet.reconciler.clock
    tick(again)
    tick(again)
    assert len(audit(again, "traffic.reset")) == 1
    assert again.user("Alice").next_reset_at == "2027-02-21T00:00:00+01:00"


def test_expiry_from_the_first_use_starts_with_the_first_session_and_not_with_a_probe(fleet, machine, at):
    at("2027-01-01T12:00")
    view = fleet.add_user("Alice", expires_after_days="30")
    assert (view.expires_after_days, view.expires_at) == (30, None)
    machine.metrics(ALICE, "mtg_domain_fronting 5\n")
    tick(fleet)
    assert (fleet.user("Alice").expires_at, fleet.user("Alice").probes) == (None, 5)
    at("2027-01-10T12:00")
    moved(fleet, machine, 0, connections=1)
    view = fleet.user("Alice")
    assert (view.expires_at, view.expires_after_days) == ("2027-02-09T12:00:00+01:00", 0)
    at("2027-02-09T11:59")
    moved(fleet, machine, 1000, connections=1)
    assert fleet.user("Alice").state == "running"
    at("2027-02-09T12:00")
    tick(fleet)
    view = fleet.user("Alice")
    assert view.state == "expired" and view.reason == "expired on 2027-02-09 12:00, until a later date is set"
    assert machine.boxes[ALICE].state == EXITED
    assert audit(fleet, "user.first_use") == [("panel", "Alice", "expires on 2027-02-09 12:00")]


def test_a_try_of_the_link_from_here_is_no_first_use(fleet, machine, monkeypatch):
    monkeypatch.setattr(probing, "probe_link", lambda link, clock, config: 5.0)
    view = fleet.add_user("Alice", expires_after_days="30")
    probing.try_link(fleet, view)
    moved(fleet, machine, 55)
    assert fleet.user("Alice").expires_at is None
    fleet.ledger.buckets.clear(f"try/{view.id}")  # some minutes later
    moved(fleet, machine, 5000)
    assert fleet.user("Alice").expires_at


def test_a_date_and_a_number_of_days_from_the_first_use_replace_each_other(fleet):
    fleet.add_user("Alice", expires="2999-01-01")
    view = fleet.update_user("Alice", {"expires_after_days": "7"})
    assert (view.expires_at, view.expires_after_days) == (None, 7)
    assert fleet.update_user("Alice", {"expires": ""}).expires_after_days == 7
    view = fleet.update_user("Alice", {"expires": "2999-01-01"})
    assert (view.expires_at is None, view.expires_after_days) == (False, 0)
    fleet.update_user("Alice", {"expires": "", "expires_after_days": "7"})
    assert fleet.update_user("Alice", {"expires": "never"}).expires_after_days == 0
    with pytest.raises(Refused, match="can't both be set"):
        fleet.update_user("Alice", {"expires": "2999-01-01", "expires_after_days": "7"})


def test_a_view_tells_speed_last_seen_and_probes_and_the_whole_their_sums(fleet, machine, at):
    fleet.add_user("Alice")
    at("2027-01-01T12:00:00")
    moved(fleet, machine, 1000)
    at("2027-01-01T12:00:10")
    machine.metrics(ALICE, metrics(down=6000, up=100, connections=2) + "mtg_domain_fronting 3\n")
    status = fleet.status(max_age=0)
    view = status.users[0]
    assert (view.now_down, view.now_up, view.probes) == (500, 10, 3)
    assert view.last_seen == "2027-01-01T12:00:10+01:00"
    assert (status.now_down, status.now_up, status.probes, status.period_down) == (500, 10, 3, 6000)
    at("2027-01-01T12:01:00")
    assert fleet.user("Alice").now_down == 0
    assert [(p.down, p.up) for p in fleet.history("Alice", 0, HOUR)] == [(6000, 100)]
    assert [(p.down, p.up) for p in fleet.history("", 0, DAY)] == [(6000, 100)]


def test_the_monitor_keeps_to_the_setting(fleet):
    monitor = Monitor(fleet)
    assert monitor.tick_seconds == 10
    fleet.set_settings({"monitor_seconds": "3"})
    assert monitor.tick_seconds == 3


class Moves:
    """What is done to Alice's engine and its panel, and beside it what her bill has to be."""

    def __init__(self, fleet: Fleet, machine, luck: random.Random):
        self.fleet, self.machine, self.luck = fleet, machine, luck
        self.now = datetime(2027, 3, 27, 12).timestamp()
        self.counter = self.sampled = self.bill = self.period = 0
        self.locks: list[sqlite3.Connection] = []
        self.port = 2443
        self.hold()

    @property
    def name(self) -> str:
        return f"mtg-proxy-{self.port}"

    def hold(self) -> None:
        """The panel of the moment goes by this clock."""
        self.fleet.reconciler.clock = lambda: self.now

    def traffic(self) -> None:
        amount = self.luck.randrange(1, 10 ** 9)
        self.counter, self.bill, self.period = self.counter + amount, self.bill + amount, self.period + amount
        self.machine.metrics(self.name, metrics(down=self.counter))

    def tick(self) -> None:
        self.now += 10
        self.fleet.sample()
        self.sampled = self.counter if not self.locks else self.sampled

    def engine_begins_anew(self) -> None:
        self.counter = self.sampled = 0
        self.machine.metrics(self.name, metrics())

    def crash(self) -> None:
        """What the engine alone knew is lost, and nothing else."""
        if self.locks:
            self.unlock()
        self.tick()
        self.traffic()
        self.bill, self.period = self.bill - (self.counter - self.sampled), \
            self.period - (self.counter - self.sampled)
        self.machine.crash(self.name)
        self.engine_begins_anew()
        self.fleet.reconcile()

    def recreate(self) -> None:
        self.fleet.rotate("Alice")
        self.engine_begins_anew()

    def restart(self) -> None:
        self.fleet.restart("Alice")
        self.engine_begins_anew()

    def move_to_another_port(self) -> None:
        """Bob gets the port that Alice leaves, and an engine that has counted something."""
        self.fleet.update_user("Alice", {"port": str(self.port + 1)})
        self.machine.metrics(self.name, "")
        self.port += 1
        self.engine_begins_anew()

    def rename(self) -> None:
        self.fleet.update_user("Alice", {"name": "Al"})
        self.fleet.update_user("Al", {"name": "Alice"})

    def panel_restart(self) -> None:
        if self.locks:
            self.unlock()
            self.tick()
        self.fleet = Fleet(self.fleet.data_dir, MemoryRuntime(self.machine), Builtin())
        self.hold()

    def two_panels(self) -> None:
        other = self.fleet
        if not self.locks:
            other = Fleet(self.fleet.data_dir, MemoryRuntime(self.machine), Builtin())
        other.reconciler.clock = lambda: self.now
        other.sample()
        self.tick()

    def clock_back(self) -> None:
        self.now -= 3600

    def lock(self) -> None:
        if not self.locks:
            self.locks.append(sqlite3.connect(self.fleet.ledger.database.path, isolation_level=None))
            self.locks[0].execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        while self.locks:
            self.locks.pop().close()

    def reset(self) -> None:
        if not self.locks:
            self.fleet.reset_traffic("Alice")
            self.sampled, self.period = self.counter, 0

    def disk_full(self) -> None:
        """Not a page more for this panel, for one tick with much to write."""
        if self.locks:
            return
        query = self.fleet.ledger.database.query
        query(f"PRAGMA max_page_count = {query('PRAGMA page_count')[0][0]}")
        self.traffic()
        self.now += 10
        self.fleet.sample()
        query("PRAGMA max_page_count = 1000000")


VERBS = ["traffic", "tick", "crash", "recreate", "restart", "move_to_another_port", "rename", "panel_restart",
         "two_panels", "clock_back", "lock", "unlock", "reset", "disk_full"]


@pytest.mark.parametrize("seed", range(8))
def test_the_bill_is_exact_whatever_happens_in_whichever_order(fleet, machine, impatient, seed):
    luck = random.Random(seed)
    fleet.add_user("Alice")
    moves = Moves(fleet, machine, luck)
    for _ in range(120):
        getattr(moves, luck.choice([*VERBS, "traffic", "traffic", "tick"]))()
    moves.unlock()
    moves.tick()
    view = moves.fleet.user("Alice")
    assert (view.bytes_down, view.period_down) == (moves.bill, moves.period)
    assert sum(p.down for p in moves.fleet.history("Alice", 0, DAY)) == moves.bill


def test_a_proxy_that_ends_while_the_database_is_locked_costs_no_byte(fleet, machine, impatient):
    fleet.add_user("Alice")
    moved(fleet, machine, 100)
    other = sqlite3.connect(fleet.ledger.database.path)
    other.execute("BEGIN IMMEDIATE")
    machine.metrics(ALICE, metrics(down=150))
    fleet.rotate("Alice")
    machine.metrics(ALICE, metrics(down=7))
    fleet.sample()
    assert fleet.user("Alice").bytes_down == 100
    other.rollback()
    other.close()
    fleet.sample()
    fleet.sample()
    assert fleet.user("Alice").bytes_down == 157


def old_file(fleet: Fleet, text: str) -> Fleet:
    (fleet.data_dir / "traffic.json").write_text(text)
    return Fleet(fleet.data_dir, fleet.runtime, fleet.engine)


def test_an_older_panels_traffic_is_imported_halved_once_and_the_file_kept(fleet, machine):
    alice, bob = fleet.add_user("Alice"), fleet.add_user("Bob")
    moved(fleet, machine, 7)
    text = json.dumps({"rx_bytes": 1, "tx_bytes": 1, "last_per_container": {ALICE: {"rx": 1, "tx": 2}},
                       "per_user": {"2443": {"rx_bytes": 2 * GB, "tx_bytes": 4 * GB},
                                    "9999": {"rx_bytes": 5, "tx_bytes": 5}}})
    for _ in range(2):
        views = {v.id: v for v in old_file(fleet, text).users()}
        assert (views[alice.id].bytes_down, views[alice.id].bytes_up) == (2 * GB + 7, GB)
        assert views[bob.id].bytes_down == 0
        assert (fleet.data_dir / "traffic.json.imported").read_text() == text
        assert not (fleet.data_dir / "traffic.json").exists()
    (event,) = audit(fleet, "traffic.imported")
    assert "3.00 GB for 1 user:" in event[2] and "halved" in event[2] and "9999" in event[2]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"per_user": 5}', '{"per_user": {"x": {}}}',
                                  '{"per_user": {"2443": 5}}', '{"per_user": {"2443": {"rx_bytes": -1}}}',
                                  '{"per_user": {"2443": {"rx_bytes": "many"}}}'])
def test_an_older_panels_file_that_makes_no_sense_is_kept_and_told(fleet, text):
    fleet.add_user("Alice")
    assert old_file(fleet, text).user("Alice").bytes_down == 0
    assert (fleet.data_dir / "traffic.json.unreadable").read_text() == text
    assert len(audit(fleet, "traffic.not_imported")) == 1


def test_an_import_that_the_ledger_could_not_take_is_made_at_the_next_start(fleet, impatient):
    fleet.add_user("Alice")
    (fleet.data_dir / "traffic.json").write_text('{"per_user": {"2443": {"rx_bytes": 10, "tx_bytes": 10}}}')
    other = sqlite3.connect(fleet.ledger.database.path)
    other.execute("BEGIN IMMEDIATE")
    with fleet.ledger.database.best_effort("the test"):
        periods.import_old_file(fleet.data_dir, fleet.config(), fleet.ledger)
    assert (fleet.data_dir / "traffic.json").exists()
    other.rollback()
    other.close()
    assert Fleet(fleet.data_dir, fleet.runtime, fleet.engine).user("Alice").bytes_down == 5


def test_expiry_by_a_clock_of_days_counts_from_the_moment_it_is_noticed(fleet, machine):
    fleet.add_user("Alice", expires_after_days="2")
    before = datetime.now().astimezone().replace(microsecond=0)
    moved(fleet, machine, 10)
    expires = datetime.fromisoformat(fleet.user("Alice").expires_at)
    assert timedelta(0) <= expires - before - timedelta(days=2) < timedelta(minutes=1)
