"""Proxies of an old image: noticed, offered, and replaced one after the other, as long as they work."""

from __future__ import annotations

import pytest

from app.accounts.actor import CLI
from app.actions.renewal import Renewal, outdated, renew
from app.messages import sentence
from app.mtproto.probe import HANDSHAKE, ProbeError
from tests.support.docker_lab import eventually
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine

PEOPLE = ("Alice", "Bob", "Charlie")


@pytest.fixture
def people(fleet: Fleet, machine: Machine) -> list[str]:
    """Three users whose proxies run an old image; the names of these."""
    for name in PEOPLE:
        fleet.add_user(name)
    assert fleet.status().outdated == 0
    machine.new_image()
    machine.calls.clear()
    return sorted(machine.boxes)


def test_a_new_image_is_noticed_and_changes_nothing_by_itself(fleet, machine, people) -> None:
    assert fleet.status().outdated == 3 and [o.name for o in outdated(fleet)] == people
    fleet.reconcile()
    fleet.update_user("Alice", {"note": "pays"})
    assert machine.calls == [] and fleet.status().outdated == 3


def test_they_are_replaced_one_after_the_other(fleet, machine, people) -> None:
    done = []
    for outcome in renew(fleet, CLI):
        done.append(outcome.name)
        assert outcome.ok and outcome.action == "replace"
        # No other one was touched before this one ran again.
        assert machine.calls[-2:] == [("create", outcome.name), ("start", outcome.name)]
        assert len(machine.calls) == 2 * len(done)
    assert done == people and fleet.status().outdated == 0 and fleet.status().running == 3
    assert list(renew(fleet, CLI)) == []
    told = [(e.action, e.subject) for e in fleet.events()]
    assert ("proxy.renewed", "Bob") in told and ("proxies.renewing", "") in told


def test_the_first_one_that_does_not_start_is_the_last_one(fleet, machine, people) -> None:
    machine.fail("start", people[1], "the image holds no proxy program")
    done = list(renew(fleet, CLI))
    assert [(o.name, o.ok) for o in done] == [(people[0], True), (people[1], False)]
    assert "no proxy program" in sentence(done[1].reason) and [o.name for o in outdated(fleet)] == [people[2]]


def test_one_that_no_longer_leads_to_telegram_is_the_last_one(fleet, machine, people, monkeypatch) -> None:
    def probe(link, clock, config) -> float:
        box = next(box for box in machine.boxes.values() if box.workload.port == link.port)
        if not box.outdated:
            raise ProbeError(HANDSHAKE, "no answer")
        return 1.0

    monkeypatch.setattr("app.control.probing.probe_link", probe)
    done = list(renew(fleet, CLI))
    assert [o.ok for o in done] == [False] and done[0].reason.code == "renewal.no_longer"
    assert fleet.status().outdated == 2


def test_who_was_stopped_comes_back_with_the_new_image(fleet, machine, people) -> None:
    fleet.disable("Alice")
    assert fleet.status().outdated == 2, "what does not run is nobody's trouble"
    fleet.enable("Alice")
    assert fleet.status().outdated == 2 and not machine.boxes[people[0]].outdated
    fleet.restart("Bob")
    assert fleet.status().outdated == 1


def test_beside_the_pages_there_is_one_replacement_at_a_time(fleet, machine, people) -> None:
    both = Renewal(fleet)
    assert both.begin(CLI)
    both.begin(CLI)
    eventually(lambda: not both.running, "the replacement ends")
    assert fleet.status().outdated == 0
    assert [call for call in machine.calls if call[0] == "create"] == [("create", name) for name in people]
