"""What the panel's own tries of links move is neither billed nor a use, and nobody else's traffic is touched."""

from __future__ import annotations

import pytest

from app.ledger.ledger import Ledger
from app.ledger.traffic import Reading
from app.ledger.tries import LASTS, WAITS

NOON = 1_790_000_000.0
DOWN, UP = 127, 59


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


def account(ledger: Ledger, at: float, down: int, up: int, connections: int = 0, user: str = "alice") -> set[str]:
    return ledger.traffic.account([Reading(user, f"link of {user}", "1", down, up, 0, connections)], at)


def seen(ledger: Ledger, user: str = "alice") -> tuple[int, int, float]:
    total = ledger.traffic.totals()[user]
    return total.down, total.up, total.last_seen


def test_a_link_that_was_only_tried_by_us_was_never_used(ledger: Ledger) -> None:
    ledger.tries.note("alice", NOON, DOWN, UP)
    assert account(ledger, NOON + 1, 99, 45, connections=1) == set(), "the try may still be open"
    assert account(ledger, NOON + 11, 99, 45) == set()
    assert seen(ledger) == (0, 0, 0.0) and ledger.traffic.last_uses() == {}
    assert ledger.traffic.history("alice", NOON - 10, 10) == []


def test_what_somebody_moves_beside_and_after_a_try_is_billed(ledger: Ledger) -> None:
    ledger.tries.note("alice", NOON, DOWN, UP)
    assert account(ledger, NOON + 1, 5000 + DOWN, 300 + UP) == {"alice"}
    assert seen(ledger) == (5000, 300, NOON + 1)
    assert account(ledger, NOON + 2, 5001 + DOWN, 300 + UP) == {"alice"}, "each try counts once"
    assert seen(ledger) == (5001, 300, NOON + 2)


def test_two_tries_are_two_and_those_of_others_are_theirs(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.tries.note("alice", NOON, DOWN, UP)
    account(ledger, NOON + 1, 2 * DOWN, 2 * UP)
    assert account(ledger, NOON + 1, 1, 1, user="bob") == {"bob"}
    assert (seen(ledger), seen(ledger, "bob")) == ((0, 0, 0.0), (1, 1, NOON + 1))


def test_a_try_that_moved_nothing_is_forgotten_in_a_while(ledger: Ledger) -> None:
    ledger.tries.note("alice", NOON, DOWN, UP)
    assert account(ledger, NOON + 1, 0, 0) == set()
    assert account(ledger, NOON + WAITS + 1, DOWN, UP) == {"alice"}
    assert seen(ledger) == (DOWN, UP, NOON + WAITS + 1)
    ledger.tries.note("alice", NOON + 1000, DOWN, UP)
    account(ledger, NOON + 1001, 2 * DOWN, 2 * UP)
    assert ledger.database.query("SELECT count(*) FROM tries")[0][0] == 1, "those that are over are forgotten"


def test_a_session_that_is_open_after_a_try_is_a_use_again(ledger: Ledger) -> None:
    ledger.tries.note("alice", NOON, DOWN, UP)
    account(ledger, NOON + 1, DOWN, UP, connections=1)
    assert account(ledger, NOON + LASTS + 1, DOWN, UP, connections=1) == {"alice"}


def test_a_clock_that_was_ahead_keeps_no_try_for_ever(ledger: Ledger) -> None:
    ledger.tries.note("alice", NOON + 86_400, DOWN, UP)
    assert account(ledger, NOON, DOWN, UP) == {"alice"}
