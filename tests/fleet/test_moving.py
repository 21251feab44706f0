"""Users are moved to another engine: proven first, fifty at a time, and who can't be stays and is told why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.config.model import Config
from app.control.moving import AT_ONCE, Moving
from app.control.records import UserView
from app.control.served import TRIAL
from app.control.views import changed_links
from app.edge.base import EdgeConfig
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg
from app.messages import Problem
from app.mtproto.links import Link
from app.mtproto.probe import HANDSHAKE, ProbeError
from app.runtimes.base import RUNNING, Workload
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.support.many import NAME, Many
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import Machine, MemoryRuntime


class Telemt(Many):
    """The made-up engine for everybody, under a name that may be chosen."""

    name = "telemt"


class World:
    """A fleet in memory whose users begin with mtg. deaf: secrets that no new engine serves. tried: those that were."""

    def __init__(self, folder: Path, machine: Machine, edge: MemoryEdge | None = None) -> None:
        self.machine, self.deaf, self.tried = machine, set[str](), list[str]()
        self.fleet = Fleet(folder, MemoryRuntime(machine), by_name(Mtg("/usr/bin/mtg"), Builtin(), Telemt()), edge)
        self.moving = Moving(self.fleet, self.prove)

    def prove(self, link: Link, config: Config) -> None:
        assert any(name.endswith(TRIAL) for name in self.machine.boxes), "what is tried runs beside what serves"
        self.tried.append(link.secret.hex)
        if link.secret.hex in self.deaf:
            raise ProbeError(HANDSHAKE, "no answer")

    def engines(self) -> dict[str, str]:
        return {each.name: each.engine for each in self.fleet.runtime.observe() if each.state == RUNNING}


def told(user: UserView) -> str:
    return " ".join(map(str, user.hints))


@pytest.fixture
def world(tmp_path: Path, machine: Machine) -> World:
    return World(tmp_path, machine)


def test_users_are_moved_once_their_new_way_is_proven_and_their_links_stay(world: World) -> None:
    fleet = world.fleet
    anna, boris = fleet.add_user("Anna"), fleet.add_user("Boris", engine="mtg")
    fleet.set_settings({"engine": "builtin"})
    assert set(world.engines().values()) == {"mtg"}, "nothing happens before it is proven"
    waiting = fleet.user("Anna")
    assert waiting.served_by == "mtg" and "moves to builtin" in told(waiting)
    assert all(outcome.ok for outcome in world.moving.step())
    assert world.engines() == {f"mtg-proxy-{anna.port}": "builtin", f"mtg-proxy-{boris.port}": "mtg"}
    moved = fleet.user("Anna")
    assert (moved.served_by, moved.tg_link, moved.hints) == ("builtin", anna.tg_link, [])
    assert world.moving.step() == [] and len(world.tried) == 1
    assert not any(name.endswith(TRIAL) for name in world.machine.boxes)
    assert next(event.action for event in fleet.events("Anna")) == "user.moved"


def test_who_can_not_be_served_by_the_other_engine_stays_and_is_told_why(world: World) -> None:
    fleet = world.fleet
    anna, boris = fleet.add_user("Anna"), fleet.add_user("Boris")
    world.deaf.add(anna.secret)
    runs = {each.name: each.run_id for each in fleet.runtime.observe()}
    fleet.set_settings({"engine": "builtin"})
    world.moving.step()
    assert world.engines() == {f"mtg-proxy-{anna.port}": "mtg", f"mtg-proxy-{boris.port}": "builtin"}
    assert {each.name: each.run_id for each in fleet.runtime.observe()}[f"mtg-proxy-{anna.port}"] == \
        runs[f"mtg-proxy-{anna.port}"], "nobody touched her proxy"
    assert "stays with mtg, as the link does not work with builtin" in told(fleet.user("Anna"))
    assert fleet.user("Anna").state == "running"
    world.moving.step()
    assert world.tried.count(anna.secret) == 1, "not again at once"
    world.deaf.clear()
    world.moving.step(respect_backoff=False)
    assert fleet.user("Anna").served_by == "builtin" and fleet.user("Anna").hints == []


def test_an_engine_that_is_not_there_moves_nobody_and_ends_nobody(world: World) -> None:
    fleet = world.fleet
    fleet.add_user("Anna")
    del fleet.engines["builtin"]
    fleet.set_settings({"engine": "builtin"})
    world.moving.step()
    assert fleet.user("Anna").state == "running" and world.tried == []
    assert "no engine builtin on this installation" in told(fleet.user("Anna"))


def test_a_trial_that_does_not_start_moves_nobody(world: World, machine: Machine) -> None:
    fleet = world.fleet
    anna = fleet.add_user("Anna")
    machine.fail("start", f"mtg-proxy-{anna.port}{TRIAL}", "the image is missing")
    fleet.set_settings({"engine": "builtin"})
    world.moving.step()
    assert fleet.user("Anna").served_by == "mtg" and "the image is missing" in told(fleet.user("Anna"))
    assert list(machine.boxes) == [f"mtg-proxy-{anna.port}"], "the trial is swept away"


def test_a_new_proxy_that_does_not_start_in_the_end_gives_way_to_the_old_one(world: World, machine: Machine) -> None:
    fleet = world.fleet
    anna = fleet.add_user("Anna")
    name = f"mtg-proxy-{anna.port}"
    fleet.set_settings({"engine": "builtin"})
    real = fleet.runtime.start

    def start(which: str) -> None:
        if which == name and machine.boxes[name].workload.engine == "builtin":
            machine.fail("start", name, "the port is taken")
        try:
            real(which)
        finally:
            machine.fail("start", name)

    fleet.runtime.start = start
    world.moving.step()
    assert world.engines() == {name: "mtg"}
    assert "builtin could not take over" in told(fleet.user("Anna"))


def test_fifty_are_moved_at_a_time_and_all_in_the_end(world: World) -> None:
    fleet = world.fleet
    with fleet.file.edit() as config:
        for number in range(AT_ONCE + 10):
            user = config.model_copy(deep=True).users or []
            config.users = [*user, *_users(number)]
    fleet.reconcile()
    fleet.set_settings({"engine": "builtin"})
    world.moving.step()
    assert sorted(world.engines().values()).count("builtin") == AT_ONCE
    world.moving.step()
    assert set(world.engines().values()) == {"builtin"}


def _users(number: int) -> list:
    from app.config.model import User
    from app.mtproto.secret import Secret

    return [User(id=f"user-{number}", name=f"User {number}", port=2443 + number,
                 secret=Secret.generate(f"site-{number}.example").hex)]


def test_to_an_engine_for_everybody_on_port_443_the_route_changes_and_the_link_does_not(
        tmp_path: Path, machine: Machine) -> None:
    edge = MemoryEdge()
    world = World(tmp_path, machine, edge)
    fleet = world.fleet
    fleet.set_settings({"port_443_mode": True})
    anna, boris = fleet.add_user("Anna", domain="a.example"), fleet.add_user("Boris", domain="b.example")
    machine.calls.clear()
    fleet.set_settings({"engine": "telemt"})
    world.moving.step()
    assert world.engines() == {NAME: "telemt"}
    assert {user.tg_link for user in fleet.users()} == {anna.tg_link, boris.tg_link}
    assert all(route.startswith(NAME) for route in edge.site.routes.values())
    assert machine.calls.index(("start", NAME)) < machine.calls.index(("remove", f"mtg-proxy-{anna.port}"))
    machine.calls.clear()
    fleet.set_settings({"engine": "builtin"})
    world.moving.step()
    assert set(world.engines().values()) == {"builtin"} and len(world.engines()) == 2
    assert {user.tg_link for user in fleet.users()} == {anna.tg_link, boris.tg_link}
    assert machine.calls.index(("start", f"mtg-proxy-{anna.port}")) < machine.calls.index(("remove", NAME))


def noting(edge: MemoryEdge, machine: Machine) -> None:
    """From now on what nginx is told stands among the calls."""
    apply = edge.apply

    def noted(site: EdgeConfig) -> bool:
        changed = apply(site)
        if changed:
            machine.calls.append(("serve", "nginx"))
        return changed

    edge.apply = noted


def test_who_leaves_an_engine_for_everybody_is_served_by_it_until_nginx_leads_elsewhere(
        tmp_path: Path, machine: Machine) -> None:
    edge = MemoryEdge()
    world = World(tmp_path, machine, edge)
    fleet = world.fleet
    fleet.set_settings({"port_443_mode": True, "engine": "telemt"})
    anna = fleet.add_user("Anna", domain="a.example")
    fleet.add_user("Boris", domain="b.example")
    assert set(world.engines().values()) == {"telemt"}
    noting(edge, machine)
    machine.calls.clear()
    fleet.update_user("Anna", {"engine": "builtin"})
    world.moving.step()
    hers = f"mtg-proxy-{anna.port}"
    steps = [call for call in machine.calls if call in (("start", hers), ("serve", "nginx"), ("update", NAME))]
    assert steps == [("start", hers), ("serve", "nginx"), ("update", NAME)]
    assert edge.site.routes["a.example"].startswith(hers) and edge.site.routes["b.example"].startswith(NAME)
    machine.calls.clear()
    fleet.update_user("Anna", {"engine": "telemt"})
    world.moving.step()
    steps = [call for call in machine.calls if call in (("update", NAME), ("serve", "nginx"), ("remove", hers))]
    assert steps == [("update", NAME), ("serve", "nginx"), ("remove", hers)]


def test_users_who_change_places_are_moved_one_way_after_the_other(tmp_path: Path, machine: Machine) -> None:
    world = World(tmp_path, machine, MemoryEdge())
    fleet = world.fleet
    fleet.set_settings({"port_443_mode": True})
    fleet.add_user("Anna", domain="a.example", engine="telemt")
    fleet.add_user("Boris", domain="b.example", engine="builtin")
    fleet.update_user("Anna", {"engine": "builtin"})
    fleet.update_user("Boris", {"engine": "telemt"})
    world.moving.step()
    assert [user.served_by for user in fleet.users()] == ["builtin", "builtin"]
    world.moving.step()
    assert [user.served_by for user in fleet.users()] == ["builtin", "telemt"]


@pytest.mark.parametrize("before, after", [("mtg", "telemt"), ("telemt", "builtin"), ("builtin", "telemt")])
@pytest.mark.parametrize("trouble", ["gone", "refusal"])
def test_while_nginx_can_not_be_told_nobody_is_moved_and_what_serves_goes_on(
        tmp_path: Path, machine: Machine, trouble: str, before: str, after: str) -> None:
    edge = MemoryEdge()
    world = World(tmp_path, machine, edge)
    fleet = world.fleet
    fleet.set_settings({"port_443_mode": True, "engine": before})
    anna = fleet.add_user("Anna", domain="a.example")
    fleet.add_user("Boris", domain="b.example", engine=before)
    route = edge.site.routes["a.example"]
    (ran,) = {each.run_id for each in fleet.runtime.observe() if each.name == route.partition(":")[0]}
    setattr(edge, trouble, trouble)
    fleet.update_user("Anna", {"engine": after})
    world.moving.step()
    fleet.reconcile()
    runs = {each.name: each.run_id for each in fleet.runtime.observe() if each.state == RUNNING}
    assert edge.site.routes["a.example"] == route and runs[route.partition(":")[0]] == ran
    assert (fleet.user("Anna").served_by, fleet.user("Boris").served_by) == (before, before)
    assert "nginx" in told(fleet.user("Anna"))
    setattr(edge, trouble, "")
    fleet.reconcile()
    world.moving.step(respect_backoff=False)
    assert (fleet.user("Anna").served_by, fleet.user("Anna").hints) == (after, [])
    assert fleet.user("Anna").tg_link == anna.tg_link and world.engines().keys() == {
        fleet_name.partition(":")[0] for fleet_name in edge.site.routes.values()}


def test_who_is_locked_out_meanwhile_is_so_at_once_whatever_becomes_of_a_move(
        tmp_path: Path, machine: Machine) -> None:
    edge = MemoryEdge()
    world = World(tmp_path, machine, edge)
    fleet = world.fleet
    fleet.set_settings({"port_443_mode": True})
    fleet.add_user("Anna", domain="a.example")
    boris = fleet.add_user("Boris", domain="b.example")
    fleet.update_user("Anna", {"engine": "telemt"})
    edge.gone = True
    with fleet.file.edit() as config:
        config.users[1].enabled = False
    world.moving.step()
    assert world.engines().get(f"mtg-proxy-{boris.port}") is None
    assert "mtg" in world.engines().values(), "Anna's goes on"


def test_what_a_proxy_counts_until_it_ends_is_billed(world: World, machine: Machine) -> None:
    fleet = world.fleet
    anna = fleet.add_user("Anna")
    name = f"mtg-proxy-{anna.port}"
    machine.metrics(name, metrics(1000, 10))
    replace = fleet.runtime.replace

    def later(workload: Workload, last_look: Callable[[str], None]) -> None:
        machine.metrics(name, metrics(5000, 50))  # others have been replaced before her
        replace(workload, last_look)

    fleet.runtime.replace = later
    fleet.set_settings({"engine": "builtin"})
    world.moving.step()
    machine.metrics(name, "memory_up 1\n")
    assert (fleet.user("Anna").bytes_down, fleet.user("Anna").bytes_up) == (5000, 50)


def test_an_engine_for_everybody_that_can_not_take_over_ends_nobody(tmp_path: Path, machine: Machine) -> None:
    world = World(tmp_path, machine, MemoryEdge())
    fleet = world.fleet
    fleet.set_settings({"port_443_mode": True})
    anna = fleet.add_user("Anna", domain="a.example")
    machine.fail("start", NAME, "no memory")
    fleet.set_settings({"engine": "telemt"})
    world.moving.step()
    assert world.engines() == {f"mtg-proxy-{anna.port}": "mtg"}
    assert ("remove", f"mtg-proxy-{anna.port}") not in machine.calls
    assert "no memory" in told(fleet.user("Anna"))


def test_a_link_that_would_carry_another_port_is_changed_with_consent_only(world: World) -> None:
    fleet = world.fleet
    anna = fleet.add_user("Anna")
    boris = fleet.add_user("Boris", public_port=8443)
    before = fleet.users()
    fleet.set_settings({"engine": "telemt"})
    assert "would carry port 8443 instead of 2443" in told(fleet.user("Anna")), "at once, not after the next pass"
    assert changed_links(before, fleet.users()) == [Problem("moves.waiting", {"count": 1}),
                                                    Problem("moves.changes_link", {"count": 1})]
    world.moving.step()
    assert fleet.user("Anna").tg_link == anna.tg_link and fleet.user("Anna").served_by == "mtg"
    assert "port 8443 instead of 2443" in told(fleet.user("Anna"))
    assert (fleet.user("Boris").served_by, fleet.user("Boris").tg_link) == ("telemt", boris.tg_link)
    before = fleet.users()
    fleet.set_settings({"move_changes_links": True})
    assert told(fleet.user("Anna")) == (
        "moves to telemt; until this has been tested, mtg stays in use "
        "the link then carries port 8443 instead of 2443: send it again after the move")
    assert changed_links(before, fleet.users())[-1] == Problem("moves.new_link", {"count": 1})
    world.moving.step()
    assert (fleet.user("Anna").served_by, fleet.user("Anna").link_port) == ("telemt", 8443)


def test_who_does_not_run_is_simply_served_by_the_other_engine_next_time(world: World) -> None:
    fleet = world.fleet
    anna = fleet.add_user("Anna")
    fleet.disable("Anna")
    fleet.update_user("Anna", {"engine": "builtin"})
    assert world.moving.step() == []
    fleet.enable("Anna")
    assert world.engines() == {f"mtg-proxy-{anna.port}": "builtin"} and world.tried == []


def test_the_bill_goes_on_through_all_moves(world: World, machine: Machine) -> None:
    fleet = world.fleet
    anna = fleet.add_user("Anna")
    name = f"mtg-proxy-{anna.port}"
    total = 0
    for engine in ("builtin", "mtg", "builtin"):
        machine.metrics(name, metrics(1000, 10))
        fleet.set_settings({"engine": engine})
        world.moving.step()
        machine.metrics(name, "memory_up 1\n")
        total += 1000
        assert fleet.user("Anna").bytes_down == total


def test_what_is_left_of_a_trial_is_nobodys_proxy(world: World, machine: Machine) -> None:
    fleet = world.fleet
    anna = fleet.add_user("Anna")
    workload = machine.boxes[f"mtg-proxy-{anna.port}"].workload
    from dataclasses import replace
    fleet.runtime.create(replace(workload, name=workload.name + TRIAL, user_id=""))
    fleet.reconcile()
    assert len(machine.boxes) == 2, "a pass beside a trial leaves it alone"
    assert fleet.user("Anna").state == "running"
    fleet.set_settings({"engine": "builtin"})
    world.moving.step()
    assert list(machine.boxes) == [f"mtg-proxy-{anna.port}"]


def test_an_engine_serves_the_first_ones_that_it_can_and_nobody_is_moved_to_a_place_that_is_taken(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = world.fleet
    monkeypatch.setattr(Telemt, "capabilities", replace(Telemt.capabilities, most_links=2))
    fleet.set_settings({"move_changes_links": True})
    for name in ("Anna", "Boris"):
        fleet.add_user(name, engine="telemt")
    carol = fleet.add_user("Carol", engine="telemt")
    fleet.add_user("Dora")
    assert {user.name: user.state for user in fleet.users()} == {
        "Anna": "running", "Boris": "running", "Carol": "failed", "Dora": "running"}
    assert str(carol.reason).startswith("telemt serves 2 links at a time")
    fleet.update_user("Dora", {"engine": "telemt"})
    world.moving.step()
    assert "telemt serves 2 links at a time" in told(fleet.user("Dora"))
    assert (fleet.user("Dora").served_by, fleet.user("Dora").state) == ("mtg", "running"), "her proxy goes on"
    fleet.remove("Carol")
    fleet.disable("Boris")
    world.moving.step()
    assert fleet.user("Dora").served_by == "telemt" and fleet.user("Dora").state == "running"
