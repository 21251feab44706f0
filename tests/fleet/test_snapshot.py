"""A look at everything: shared by whoever asks within a second, and never older than what has changed."""

from __future__ import annotations

import pytest

from app.config.values import now
from app.control import roster, snapshot
from app.ledger.traffic import Reading
from tests.support.fleet import Fleet


@pytest.fixture
def still(fleet: Fleet, monkeypatch) -> Fleet:
    """A fleet whose clock stands."""
    at = now()
    monkeypatch.setattr(fleet.reconciler, "clock", lambda: at.timestamp())
    return fleet


def test_two_looks_within_a_second_are_one_with_all_that_is_made_of_it(still: Fleet) -> None:
    still.add_user("Alice")
    first, second = snapshot.take(still), snapshot.take(still)
    assert first is second and roster.rows(first) is roster.rows(second)


def test_a_change_is_seen_at_once_wherever_it_was_made(still: Fleet, machine) -> None:
    alice = still.add_user("Alice")
    before = snapshot.take(still)
    still.ledger.traffic.account([Reading(alice.id, "a link", "a run", 1000, 0, 0, 1)])
    moved = snapshot.take(still)
    assert roster.row(moved.config.users[0], moved).down == 1000 and roster.rows(before)[0].down == 0
    machine.crash("mtg-proxy-2443")
    assert roster.rows(snapshot.take(still))[0].state == "failed"
    with still.file.edit() as config:
        config.users[0].enabled = False
    assert roster.rows(snapshot.take(still))[0].state == "disabled"


def test_a_second_later_it_is_a_new_look(still: Fleet, monkeypatch) -> None:
    soon = still.add_user("Alice", expires="2099-01-31")
    assert roster.rows(snapshot.take(still))[0].state == "running"
    monkeypatch.setattr(still.reconciler, "clock", lambda: 4105000000.0)
    assert roster.rows(snapshot.take(still))[0].state == "expired", soon.expires_at
