"""One workload that serves many: its trouble is that of everybody it serves, told to each and once for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.control.errors import Refused
from app.engines.base import EngineRefusal, by_name
from app.engines.builtin import Builtin
from app.messages import sentence
from app.runtimes.base import RUNNING
from tests.support.fleet import Fleet
from tests.support.many import NAME, Many
from tests.support.memory_runtime import Machine, MemoryRuntime

CROWD = 40


@pytest.fixture
def fleet(tmp_path: Path, machine: Machine) -> Fleet:
    """Anna has a proxy of her own; all others are served by the made-up engine, in one workload."""
    fleet = Fleet(tmp_path, MemoryRuntime(machine), by_name(Many(), Builtin()))
    fleet.add_user("Anna", engine="builtin")
    return fleet


def crowd(fleet: Fleet, count: int = CROWD) -> list[str]:
    """So many users of the shared workload, who are declared, and not yet served."""
    with fleet.file.edit() as config:
        for number in range(count):
            config.users.append(config.users[0].model_copy(update={
                "id": f"{number:08x}", "name": f"User {number}", "port": 4000 + number, "engine": "",
                "secret": "ee" + f"{number:032x}" + b"www.example.com".hex()}))
    return [f"User {number}" for number in range(count)]


def told(fleet: Fleet, about: str) -> list[str]:
    """The problems on the dashboard with these words."""
    return [line for line in words(fleet.status().problems) if about in line]


def words(problems: list) -> list[str]:
    return [each if isinstance(each, str) else sentence(each) for each in problems]


def reasons(fleet: Fleet, names: list[str]) -> set[tuple[str, str]]:
    return {(user.state, *words([user.reason or ""])) for user in fleet.users() if user.name in names}


def is_well(fleet: Fleet, name: str) -> bool:
    return (fleet.user(name).state, bool(fleet.user(name).reason)) == ("running", False)


def test_one_that_cannot_be_created_stands_with_everybody_it_serves_and_once_on_the_dashboard(
        fleet: Fleet, machine: Machine) -> None:
    machine.fail("create", NAME, "no memory left")
    names = crowd(fleet)
    for _ in range(3):
        fleet.reconcile(respect_backoff=True)
        assert reasons(fleet, names) == {("failed", "no memory left")}
        (line,) = told(fleet, "no memory left")
        assert "User 0" in line and str(CROWD - 3) in line and len(line) < 120
    assert is_well(fleet, "Anna")
    assert len([event for event in fleet.events() if event.action == "proxy.create_failed"]) == 1
    machine.fail("create", NAME)
    fleet.reconcile()
    assert reasons(fleet, names) == {("running", "")} and not told(fleet, "no memory")


def test_one_that_crashed_stands_with_everybody_it_serves(fleet: Fleet, machine: Machine) -> None:
    names = crowd(fleet)
    fleet.reconcile()
    assert reasons(fleet, names) == {("running", "")}
    machine.crash(NAME, "it exited with code 7")
    assert reasons(fleet, names) == {("failed", "it exited with code 7")}
    assert len(told(fleet, "it exited with code 7")) == 1 and is_well(fleet, "Anna")


def test_an_update_that_failed_stands_until_one_succeeds_also_while_it_rests(fleet: Fleet, machine: Machine) -> None:
    names = crowd(fleet)
    fleet.reconcile()
    machine.fail("update", NAME, "the disk is full")
    with fleet.file.edit() as config:
        config.users[1].enabled = False
    for _ in range(4):  # the monitor leaves alone for a while what has failed
        fleet.reconcile(respect_backoff=True)
        assert reasons(fleet, names[1:]) == {("running", "the disk is full")}
        assert len(told(fleet, "the disk is full")) == 1
    assert fleet.user(names[0]).state == "disabled" and is_well(fleet, "Anna")
    assert [event.action for event in fleet.events()].count("proxy.update_failed") == 1
    machine.fail("update", NAME)
    fleet.reconcile()
    assert reasons(fleet, names[1:]) == {("running", "")} and not told(fleet, "the disk is full")


def test_an_update_that_nobody_needs_any_more_is_no_problem_any_more(fleet: Fleet, machine: Machine) -> None:
    names = crowd(fleet, 3)
    fleet.reconcile()
    machine.fail("update", NAME, "the disk is full")
    with fleet.file.edit() as config:
        config.users[1].enabled = False
    fleet.reconcile()
    with fleet.file.edit() as config:
        config.users[1].enabled = True
    fleet.reconcile(respect_backoff=True)
    assert reasons(fleet, names) == {("running", "")}


def test_an_engine_that_can_serve_nobody_is_told_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def workloads(*_: object) -> None:
        raise EngineRefusal("engine.no_mtg")

    monkeypatch.setattr(Many, "workloads", workloads)
    names = crowd(fleet)
    fleet.reconcile()
    assert {state for state, _ in reasons(fleet, names)} == {"failed"}
    assert len(told(fleet, "mtg is not installed here")) == 1


def test_who_has_a_proxy_of_their_own_is_not_running_because_the_shared_one_is(
        fleet: Fleet, machine: Machine) -> None:
    machine.fail("create", "mtg-proxy-4000", "no memory left")
    name = crowd(fleet, 2)[0]
    with fleet.file.edit() as config:
        config.users[1].engine = "builtin"
    fleet.reconcile()
    assert reasons(fleet, [name]) == {("failed", "no memory left")}
    (shared,) = (each for each in fleet.runtime.observe() if each.name == NAME)
    assert shared.state == RUNNING and is_well(fleet, "User 1")


def test_one_of_many_is_not_restarted_alone_and_nothing_is_said_to_reconnect_them(
        fleet: Fleet, machine: Machine) -> None:
    name = crowd(fleet, 2)[0]
    fleet.reconcile()
    calls = len(machine.calls)
    with pytest.raises(Refused) as refused:
        fleet.restart(name)
    assert refused.value.code == "proxy.shared" and len(machine.calls) == calls
    assert [(user.shared, user.restarts) for user in fleet.users()] == [(False, True), (True, False), (True, False)]
    assert all(outcome.ok for outcome in fleet.restart("Anna")) and ("stop", NAME) not in machine.calls[calls:]
    fleet.restart()
    assert ("stop", NAME) in machine.calls[calls:], "with all of them it is"
