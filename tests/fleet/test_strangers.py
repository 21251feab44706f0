"""Where strangers are passed on to, looked at again: the DNS of a user's domain is somebody else's to change."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from app.checks.addresses import Addresses
from app.control.monitor import Monitor
from app.control.port443 import NOBODY
from app.control.strangers import COUNT_AGAIN, NAMES_AGAIN, Watch
from app.engines.mtg.engine import Mtg
from tests.fleet.test_port443 import DNS, ELSEWHERE, HERE, Containers, resolver
from tests.support.fleet import Fleet
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import Machine


class World:
    """A fleet of mtg behind nginx, and a DNS that changes. asked: the names that were looked up."""

    def __init__(self, folder: Path) -> None:
        self.machine, self.edge, self.dns, self.asked = Machine(), MemoryEdge(), dict(DNS), []
        answer = resolver(self.dns)

        def resolve(host: str, *more: object) -> list[tuple]:
            self.asked.append(host)
            if self.dns.get(host) == "silence":
                raise socket.gaierror(socket.EAI_AGAIN, "no answer")
            return answer(host, *more)

        self.fleet = Fleet(folder, Containers(self.machine), Mtg("/usr/bin/mtg"), edge=self.edge,
                           addresses=Addresses(resolve))
        self.fleet.reconciler.clock = self.machine.now
        self.fleet.set_settings({"server_ip": HERE, "port_443_mode": True})
        self.watch = Watch(self.fleet)

    def later(self, seconds: float = NAMES_AGAIN) -> None:
        self.machine.pass_time(seconds)
        self.watch.look()

    def pinned(self, user: str) -> bool:
        """Whether strangers of this user are passed on to nobody."""
        workload = self.machine.boxes[f"mtg-proxy-{self.fleet.user(user).port}"].workload
        ip, _, port = NOBODY.partition(":")
        return f'ip = "{ip}"\nport = {port}\n' in workload.files["config.toml"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for name, domain in (("Anna", "a.example"), ("Boris", "far.example")):
        world.fleet.add_user(name, domain=domain)
    return world


@pytest.mark.parametrize("address, words", [
    (HERE, "leads to this server itself"), ("192.168.1.10", "not a public address"),
    ("172.28.255.254", "not a public address"), ("::ffff:127.0.0.1", "not a public address")])
def test_a_cover_that_comes_to_lead_back_or_inside_is_closed_and_opened_again(world: World, address: str, words: str):
    world.later()
    boris = world.machine.boxes["mtg-proxy-2444"].run_id
    assert not world.pinned("Anna") and not world.fleet.status().edge.problems
    world.dns["a.example"] = address
    world.later()
    assert world.pinned("Anna") and not world.pinned("Boris")
    assert any("Anna" in problem and words in problem for problem in world.fleet.status().problems)
    world.dns["a.example"] = ELSEWHERE
    world.later()
    assert not world.pinned("Anna") and not world.fleet.status().edge.problems
    assert world.machine.boxes["mtg-proxy-2444"].run_id == boris, "nobody else was touched"
    actions = [event.action for event in world.fleet.events("Anna")]
    assert actions.count("strangers.refused") == actions.count("strangers.passed_on") == 1


def test_a_dns_that_falls_silent_opens_nothing_and_closes_nothing(world: World):
    world.dns["a.example"] = "10.0.0.5"
    world.later()
    world.dns |= {"a.example": "silence", "far.example": "silence"}
    world.later()
    assert world.pinned("Anna") and not world.pinned("Boris")


def test_what_was_found_holds_for_every_process_and_after_a_restart(world: World, tmp_path: Path):
    world.dns["a.example"] = "10.0.0.5"
    world.later()
    again = Fleet(tmp_path, Containers(world.machine), Mtg("/usr/bin/mtg"), edge=world.edge)
    again.reconcile()
    assert world.pinned("Anna")


def test_names_are_looked_up_now_and_then_and_not_at_each_tick(world: World):
    world.later()
    world.asked.clear()
    for _ in range(30):
        world.later(10.0)
    assert world.asked == []
    world.later()
    assert set(world.asked) == {"a.example", "far.example"}


def test_a_user_who_gets_another_domain_or_goes_leaves_no_problem_behind(world: World):
    world.dns |= {"a.example": "10.0.0.5", "far.example": "10.0.0.6"}
    world.later()
    world.fleet.set_settings({"domain_grace_days": "0"})
    world.fleet.update_user("Anna", {"domain": "new.example"})
    world.fleet.remove("Boris")
    assert not world.pinned("Anna") and not world.fleet.status().edge.problems
    world.later()
    assert world.fleet.ledger.strangers.closed_covers() == {}


def test_an_address_that_the_operator_names_for_all_strangers_is_kept(world: World):
    world.fleet.set_settings({"domain_fronting_ip": "192.168.1.10"})
    world.dns["a.example"] = "10.0.0.5"
    world.later()
    assert not world.pinned("Anna")
    assert 'ip = "192.168.1.10"' in world.machine.boxes["mtg-proxy-2443"].workload.files["config.toml"]


def test_how_many_were_turned_away_on_443_is_counted_and_told_for_a_day(world: World):
    for _ in range(3):
        world.edge.refused_connections = 2000
        world.later(COUNT_AGAIN)
    told = [problem for problem in world.fleet.status().problems if "turned away" in problem]
    assert len(told) == 1 and "6,000 connections" in told[0]
    world.edge.gone = True
    world.later(COUNT_AGAIN)
    world.edge.gone = False
    world.later(25 * 3600)
    assert not [problem for problem in world.fleet.status().problems if "turned away" in problem]


def test_the_monitor_looks_beside_its_ticks(world: World):
    world.dns["a.example"] = "10.0.0.5"
    monitor = Monitor(world.fleet)
    monitor.tick()
    monitor._beside["strangers"].join(60)
    assert world.pinned("Anna")
