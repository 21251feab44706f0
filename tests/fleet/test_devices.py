"""A limit on the addresses of a link, by whoever can keep it: the engine, the runtime around it, or nginx before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.control.monitor import Monitor
from app.engines.builtin import BuiltinImage
from app.engines.mtg.engine import Mtg, MtgImage
from app.runtimes.base import Place
from tests.support.fleet import Fleet
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import Machine, MemoryRuntime


class Containers(MemoryRuntime):
    """Whose workloads each have an address of their own."""

    def place(self, port: int, bind: str) -> Place:
        return Place("0.0.0.0:3128", "0.0.0.0:3129", f"{bind}:{port}")


class World:
    """mtg and the built-in engine in containers of memory, behind an nginx of memory where that is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.edge, self.machine = folder, MemoryEdge(), Machine()
        self.fleet = self.open()
        self.fleet.set_settings({"server_ip": "203.0.113.7"})

    def open(self) -> Fleet:
        """The panel, or the same one started again."""
        engines = {"mtg": MtgImage(), "builtin": BuiltinImage("panel")}
        fleet = Fleet(self.folder, Containers(self.machine), engines, edge=self.edge)
        fleet.reconciler.clock = self.machine.now
        return fleet

    def tick(self, seconds: float = 10.0) -> None:
        self.machine.pass_time(seconds)
        Monitor(self.fleet).tick()

    def limit(self, name: str) -> int:
        """What the kernel keeps the user's link to, 0 for any number."""
        return self.machine.boxes[f"mtg-proxy-{self.fleet.user(name).port}"].most

    def helpers(self, verb: str = "devices") -> list[str]:
        return [name for called, name in self.machine.calls if called == verb]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_on_port_443_nginx_is_told_of_the_limits_that_the_engine_does_not_keep(world: World):
    alice, bob = world.fleet.add_user("Alice", max_unique_ips="2"), world.fleet.add_user("Bob")
    carol = world.fleet.add_user("Carol", max_unique_ips="3", engine="builtin")
    assert not world.edge.site.device_limits, "users are not reached by it yet"
    world.fleet.set_settings({"port_443_mode": "true"})
    assert world.edge.site.device_limits == {alice.domain: 2}
    world.fleet.set_settings({"max_unique_ips": "5"})
    assert world.edge.site.device_limits == {alice.domain: 2, bob.domain: 5}
    assert carol.domain not in world.edge.site.device_limits, "the engine sees her address, and counts itself"
    world.edge.clients[alice.domain] = ("192.0.2.1", "2001:db8:1:2::/64")
    assert world.edge.devices()[alice.domain].now == 2


def test_a_limit_is_put_on_read_back_changed_and_lifted_and_restarts_nothing(world: World):
    alice, bob = world.fleet.add_user("Alice", max_unique_ips="2"), world.fleet.add_user("Bob")
    box = world.machine.boxes[f"mtg-proxy-{alice.port}"]
    start = box.run_id
    assert (world.limit("Alice"), world.limit("Bob")) == (2, 0)
    view = world.fleet.user("Alice")
    assert (view.addresses, view.most_addresses) == (0, 2) and view.addresses_verified_at and not view.hints
    assert world.fleet.user("Bob").addresses_verified_at is None
    world.fleet.update_user(alice.id, {"max_unique_ips": "1"})
    world.fleet.set_settings({"max_unique_ips": "3"})
    assert (world.limit("Alice"), world.limit("Bob")) == (1, 3)
    world.fleet.update_user(bob.id, {"max_unique_ips": "none"})
    world.fleet.update_user(alice.id, {"max_unique_ips": "none"})
    assert (world.limit("Alice"), world.limit("Bob")) == (0, 0)
    assert world.fleet.user("Alice").addresses_verified_at is None
    assert box.run_id == start and not world.fleet.ledger.device_limits.all()
    told = [event.action for event in world.fleet.events(subject="Alice")]
    assert [code for code in told if code.startswith("addresses.")] == [
        "addresses.unlimited", "addresses.limited", "addresses.limited"]


def test_it_is_read_again_after_a_while_and_what_was_refused_is_counted_with_the_rest(world: World):
    alice = world.fleet.add_user("Alice", max_unique_ips="2")
    name = f"mtg-proxy-{alice.port}"
    world.machine.connect(name, "192.0.2.1", "2001:db8:1:2::/64", refused=5)
    world.tick()
    assert world.fleet.user("Alice").addresses == 0, "it was read a moment ago"
    world.tick(60)
    assert world.fleet.user("Alice").addresses == 2
    world.tick()
    world.machine.connect(name, "192.0.2.1", refused=2)
    world.tick(60)
    world.tick()
    (bad,) = world.fleet.status().bad
    assert (bad.engine, bad.day, world.fleet.user("Alice").addresses) == ("mtg", 7, 1)


@pytest.mark.parametrize("end", ["crash", "stop and start", "image"])
def test_a_start_that_nobody_here_made_has_its_limit_again_at_the_next_tick(world: World, end: str):
    alice = world.fleet.add_user("Alice", max_unique_ips="2")
    name = f"mtg-proxy-{alice.port}"
    if end == "crash":
        world.machine.crash(name)
    elif end == "stop and start":
        world.fleet.runtime.stop(name)
        world.fleet.runtime.start(name)
    else:
        world.fleet.set_settings({"proxy_image": "another"})
    world.tick()
    assert world.limit("Alice") == 2
    assert [e.action for e in world.fleet.events(subject="Alice")].count("addresses.limited") == 1, "nothing new"


def test_a_panel_that_is_started_again_asks_for_none_that_was_read_a_moment_ago(world: World):
    for name in ("Alice", "Bob", "Carl"):
        world.fleet.add_user(name, max_unique_ips="2")
    world.machine.calls.clear()
    world.fleet = world.open()
    world.tick(10)
    assert not world.helpers() and not world.helpers("limit_devices")
    world.fleet.update_user("Bob", {"max_unique_ips": "none"})
    assert (world.limit("Alice"), world.limit("Bob")) == (2, 0)


def test_of_many_a_few_are_read_again_in_a_pass_and_the_one_longest_ago_first(world: World):
    """Where each takes Docker a helper, two hundred at once would hold up the counting for half a minute."""
    world.machine.many_at_once = False
    for name in ("Alice", "Bob", "Carl", "Dora"):
        world.fleet.add_user(name, max_unique_ips="2")
    world.machine.calls.clear()
    world.tick(61)
    assert len(world.helpers()) == 2
    world.tick(1)
    assert sorted(world.helpers()) == sorted(world.machine.boxes)


def test_after_a_start_of_the_server_the_limits_of_many_are_put_on_some_at_a_time(world: World, monkeypatch):
    monkeypatch.setattr("app.control.device_limits.PUT_ON_AT_ONCE", 2)
    for name in ("Alice", "Bob", "Carl"):
        world.fleet.add_user(name, max_unique_ips="2")
    for name in world.machine.boxes:
        world.fleet.runtime.stop(name)
        world.fleet.runtime.start(name)
    world.tick(1)
    assert sorted(world.limit(name) for name in ("Alice", "Bob", "Carl")) == [0, 2, 2]
    world.tick(1)
    assert [world.limit(name) for name in ("Alice", "Bob", "Carl")] == [2, 2, 2]


def test_many_are_read_put_on_and_lifted_by_one_helper(world: World):
    names = [f"User {number}" for number in range(40)]
    for name in names:
        world.fleet.add_user(name)
    for change, limit in (({"max_unique_ips": "2"}, 2), ({"max_unique_ips": "3"}, 3), ({"max_unique_ips": "0"}, 0)):
        world.machine.calls.clear()
        world.fleet.set_settings(change)
        assert {world.limit(name) for name in names} == {limit}
        assert not world.helpers() and not world.helpers("limit_devices") and len(world.helpers("keep_devices")) == 1
        world.tick(61)
        assert len(world.helpers("keep_devices")) == (2 if limit else 1) and not world.helpers()


def test_one_that_is_not_done_with_the_others_is_done_by_a_helper_of_its_own_which_says_why(world: World):
    users = [world.fleet.add_user(name) for name in ("Alice", "Bob", "Carl")]
    world.machine.fail("limit_devices", f"mtg-proxy-{users[1].port}", "no room")
    world.fleet.set_settings({"max_unique_ips": "2"})
    assert [world.limit(name) for name in ("Alice", "Bob", "Carl")] == [2, 0, 2]
    assert "no room" in world.fleet.user("Bob").reason and not world.fleet.user("Carl").reason


def test_the_user_s_page_has_the_addresses_and_since_when_until_they_leave(world: World):
    alice = world.fleet.add_user("Alice", max_unique_ips="2")
    name = f"mtg-proxy-{alice.port}"
    world.machine.connect(name, "192.0.2.1")
    world.tick(60)
    first = world.fleet.user("Alice").connected
    assert [one.address for one in first] == ["192.0.2.1"]
    world.machine.connect(name, "192.0.2.1", "2001:db8:1:2::/64")
    world.tick(60)
    both = world.fleet.user("Alice").connected
    assert both[0] == first[0] and both[1].address == "2001:db8:1:2::/64" and both[1].since > first[0].since
    world.machine.connect(name, "2001:db8:1:2::/64")
    world.tick(60)
    assert world.fleet.user("Alice").connected == both[1:]
    world.fleet.update_user("Alice", {"max_unique_ips": "none"})
    assert world.fleet.user("Alice").connected == []


def test_on_port_443_the_addresses_are_those_of_nginx(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    alice = world.fleet.add_user("Alice", max_unique_ips="2")
    world.edge.clients[alice.domain] = ("192.0.2.7",)
    world.tick(10)
    assert [one.address for one in world.fleet.user("Alice").connected] == ["192.0.2.7"]
    world.edge.clients.clear()
    world.tick(10)
    assert world.fleet.user("Alice").connected == []


def test_a_limit_that_somebody_changed_by_hand_is_put_on_again(world: World):
    alice = world.fleet.add_user("Alice", max_unique_ips="2")
    world.machine.boxes[f"mtg-proxy-{alice.port}"].most = 0
    world.tick(61)
    assert world.limit("Alice") == 2


def test_where_the_kernel_can_not_the_user_runs_on_and_it_is_said_that_the_limit_is_not_kept(world: World):
    alice = world.fleet.add_user("Alice")
    name = f"mtg-proxy-{alice.port}"
    world.machine.fail("limit_devices", name, "the kernel knows no nftables")
    world.fleet.update_user(alice.id, {"max_unique_ips": "2"})
    for _ in range(3):
        view = world.fleet.user("Alice")
        assert view.state == "running" and "no nftables" in view.reason and view.addresses_verified_at is None
        assert any("no nftables" in problem for problem in world.fleet.status().problems)
        world.tick(1)
    asked = len(world.helpers("limit_devices"))
    assert asked < 5, "what has failed is left alone for a while"
    world.machine.fail("limit_devices", name, "")
    world.tick(301)
    view = world.fleet.user("Alice")
    assert world.limit("Alice") == 2 and view.reason == "" and view.addresses_verified_at


def test_a_disk_that_takes_no_writes_is_no_reason_to_ask_for_all_of_them_in_each_pass(world: World, monkeypatch):
    world.fleet.add_user("Alice", max_unique_ips="2")
    world.fleet.ledger.device_limits.forget({f"mtg-proxy-{world.fleet.user('Alice').port}"})
    monkeypatch.setattr(world.fleet.ledger.device_limits, "note", lambda kept: None)
    world.machine.calls.clear()
    world.tick()
    assert not world.helpers() and not world.helpers("limit_devices")


def test_on_port_443_it_is_verified_by_what_nginx_tells_and_said_where_nginx_can_not(world: World):
    alice = world.fleet.add_user("Alice", max_unique_ips="2")
    world.fleet.set_settings({"port_443_mode": "true"})
    assert world.limit("Alice") == 0, "the kernel sees nginx only"
    world.edge.clients[alice.domain], world.edge.refused[alice.domain] = ("192.0.2.1",), 3
    world.tick()
    world.tick()
    view = world.fleet.user("Alice")
    assert view.addresses == 1 and view.addresses_verified_at and not view.hints
    assert [(bad.engine, bad.day) for bad in world.fleet.status().bad] == [("mtg", 3)]
    world.edge.keeps_limits = False
    world.tick()
    view = world.fleet.user("Alice")
    assert view.addresses_verified_at is None and [h.code for h in view.hints] == ["engine.no_address_limit_443"]
    world.edge.keeps_limits = True
    world.fleet.set_settings({"port_443_mode": "false"})
    assert world.limit("Alice") == 2 and world.fleet.user("Alice").addresses_verified_at


def test_mtg_as_a_local_process_has_the_limit_in_vain_and_it_is_said(tmp_path: Path):
    fleet = Fleet(tmp_path, MemoryRuntime(Machine()), Mtg("/bin/true"))
    fleet.set_settings({"server_ip": "203.0.113.7"})
    fleet.add_user("Alice", max_unique_ips="2")
    assert [hint.code for hint in fleet.user("Alice").hints] == ["engine.no_address_limit"]
    assert not [name for name in fleet.runtime.machine.calls if name[0] == "limit_devices"]
