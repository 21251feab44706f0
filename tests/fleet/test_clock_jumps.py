"""A clock that jumps by years, both ways: a machine that was asleep, or has no battery. Nothing that counts once counts
twice, nobody is locked out for longer than the limit says, and what was lost by it is a login."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pyotp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.accounts import factors as accounts
from app.accounts.actor import CLI
from app.accounts.logins import FAILURES, Place
from app.accounts.tokens import NoToken
from app.actions import tokens
from app.control import passes
from app.control.errors import LoginThrottled
from app.ledger.buckets import WINDOW
from app.ledger.once import MOST, MOST_OF_ALL
from app.ledger.sessions import HOURS
from tests.support.fleet import Fleet

PASSWORD = "correct horse battery"
YEAR = 365 * 86400
BEGIN = 1_800_000_015.0
#: Seconds: what NTP does, a time zone taken for another, and a battery that is empty.
JUMPS = st.lists(st.one_of(st.integers(-400, 400), st.sampled_from([-43200, -3600, 3600, 86400]),
                           st.integers(-20 * YEAR, 20 * YEAR)), max_size=6)
often = settings(max_examples=12, deadline=None, derandomize=True,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [BEGIN]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


@pytest.fixture
def secret(fleet: Fleet, clock: list[float]) -> str:
    fleet.create_admin("bob", PASSWORD, role="viewer")
    secret = accounts.new_secret()
    with fleet.file.edit() as config:
        accounts.put(config, "bob", secret, [])
    return secret


def test_a_code_counts_once_and_every_other_counts(fleet: Fleet, clock: list[float], secret: str) -> None:
    used: set[int] = set()

    @often
    @given(JUMPS)
    def jump(jumps: list[int]) -> None:
        clock[0] = BEGIN + 3600 * len(used)
        right = clock[0]
        for by in [0, *jumps, 0]:
            clock[0] = clock[0] + by if by else right
            step = int(clock[0]) // accounts.STEP
            code, where = pyotp.TOTP(secret).at(int(clock[0])), Place("192.0.2.1", device=f"{len(used)} {clock[0]}")
            assert fleet.logins.check_code("bob", code, where) is (step not in used)
            used.add(step)
            assert not fleet.logins.check_code("bob", code, where), "a replay"
        # The clock is right again, and has gone on.
        clock[0] = right + 600
        step = int(clock[0]) // accounts.STEP
        assert fleet.logins.check_code("bob", pyotp.TOTP(secret).at(int(clock[0])), where) is (step not in used)
        used.add(step)

    jump()


def test_a_code_that_was_used_by_a_clock_years_ahead_and_back_is_used_still(
        fleet: Fleet, clock: list[float], secret: str) -> None:
    code = pyotp.TOTP(secret).at(int(clock[0]))
    assert fleet.logins.check_code("bob", code, Place("192.0.2.1"))
    clock[0] += 10 * YEAR
    assert fleet.logins.check_code("bob", pyotp.TOTP(secret).at(int(clock[0])), Place("192.0.2.1"))
    clock[0] = BEGIN + 10
    assert not fleet.logins.check_code("bob", code, Place("192.0.2.1"))
    assert fleet.logins.check_code("bob", pyotp.TOTP(secret).at(int(BEGIN) + 30), Place("192.0.2.1"))


def test_nobody_waits_longer_than_a_limit_says_however_the_clock_was_set(
        fleet: Fleet, clock: list[float], secret: str) -> None:
    @often
    @given(JUMPS)
    def jump(jumps: list[int]) -> None:
        clock[0] = BEGIN
        for by in [0, *jumps]:
            clock[0] += by
            passed = 0
            for _ in range(FAILURES + 1):
                try:
                    assert not fleet.logins.check_code("bob", "000000", Place("192.0.2.1"))
                    passed += 1
                except LoginThrottled as throttled:
                    assert 0 < throttled.seconds <= 2 * WINDOW
            assert passed <= FAILURES
        clock[0] = BEGIN + abs(clock[0] - BEGIN) % 400 + 2 * WINDOW + 1
        assert not fleet.logins.check_code("bob", "000000", Place("192.0.2.1"))

    jump()


def test_a_session_lasts_no_longer_and_a_new_one_begins_at_any_time(
        fleet: Fleet, clock: list[float], secret: str) -> None:
    @often
    @given(JUMPS)
    def jump(jumps: list[int]) -> None:
        clock[0] = BEGIN
        bob = fleet.admin("bob")
        first = fleet.logins.begin_session(bob, "192.0.2.1")
        for by in jumps:
            clock[0] += by
            counts = fleet.logins.admin_of(first, "192.0.2.1") is not None
            assert not counts or -1 <= clock[0] - BEGIN < HOURS * 3600
            assert fleet.logins.admin_of(fleet.logins.begin_session(bob, "192.0.2.1"), "192.0.2.1") == bob
        clock[0] = BEGIN + HOURS * 3600
        assert fleet.logins.admin_of(first, "192.0.2.1") is None
        assert fleet.logins.admin_of(fleet.logins.begin_session(bob, "192.0.2.1"), "192.0.2.1") == bob

    jump()


def test_what_was_used_is_remembered_within_a_bound(fleet: Fleet) -> None:
    for number in range(MOST + 50):
        assert fleet.ledger.once.take("bob", str(number))
    assert not fleet.ledger.once.take("bob", str(MOST + 49)) and fleet.ledger.once.take("ann", "1")
    count, = fleet.ledger.database.query("SELECT COUNT(*) AS n FROM taken_once")
    assert count["n"] == MOST + 1 <= MOST_OF_ALL


@pytest.fixture
def after_a_year(fleet: Fleet, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it and a year has passed, by a clock that is known to be right; then somebody sets it back to the day on
    which everything here was made."""
    fleet.reconciler.clock = lambda: clock[0]
    monkeypatch.setattr(fleet.clock, "is_right", lambda: clock[0] > BEGIN + YEAR)

    def pass_by() -> None:
        clock[0] = BEGIN + YEAR + 1
        passes.note_time(fleet)
        clock[0] = BEGIN + 60

    return pass_by


def test_a_token_that_has_ended_is_worth_nothing_again(fleet: Fleet, clock: list[float], after_a_year) -> None:
    fleet.create_admin("bob", PASSWORD, role="owner")
    _, text = tokens.create_token(fleet, CLI, "script", "read", 30, "bob")
    where = Place("192.0.2.1")
    assert fleet.tokens.bearer(text, where, fleet.reconciler.now())
    after_a_year()
    with pytest.raises(NoToken, match="expired"):
        fleet.tokens.bearer(text, where, fleet.reconciler.now())


def test_nor_is_a_session_or_a_code_that_was_shown_then(
        fleet: Fleet, clock: list[float], secret: str, after_a_year) -> None:
    session = fleet.logins.begin_session(fleet.admin("bob"), "192.0.2.1")
    code = pyotp.TOTP(secret).at(int(BEGIN + 60))
    after_a_year()
    assert fleet.logins.admin_of(session, "192.0.2.1") is None
    assert not fleet.logins.check_code("bob", code, Place("192.0.2.1"))
    assert fleet.logins.check_code("bob", pyotp.TOTP(secret).at(int(BEGIN + YEAR)), Place("192.0.2.1")), \
        "what the phone shows, whose clock is right"
    assert fleet.logins.admin_of(fleet.logins.begin_session(fleet.admin("bob"), "192.0.2.1"), "192.0.2.1")


def test_nor_does_a_user_get_in_again_whose_access_is_over(fleet: Fleet, clock: list[float], after_a_year) -> None:
    fleet.add_user("Alice", expires=f"{datetime.fromtimestamp(BEGIN) + timedelta(days=30):%Y-%m-%d}")
    assert fleet.user("Alice").state != "expired"
    after_a_year()
    fleet.reconcile()
    assert fleet.user("Alice").state == "expired"


def test_a_clock_that_is_far_ahead_for_a_moment_ends_nothing_for_good(
        fleet: Fleet, clock: list[float], secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.reconciler.clock = lambda: clock[0]
    _, text = tokens.create_token(fleet, CLI, "script", "read", 30, "bob")
    session = fleet.logins.begin_session(fleet.admin("bob"), "192.0.2.1")
    fleet.add_user("Alice")
    fleet.remove("Alice")
    clock[0] = BEGIN + 20 * YEAR
    for step in (passes.note_time, passes.forget_deleted):
        step(fleet)
    with pytest.raises(NoToken):
        fleet.tokens.bearer(text, Place("192.0.2.1"), fleet.reconciler.now())
    clock[0] = BEGIN + 60
    for step in (passes.note_time, passes.forget_deleted):
        step(fleet)
    assert fleet.tokens.bearer(text, Place("192.0.2.1"), fleet.reconciler.now())
    assert fleet.logins.admin_of(session, "192.0.2.1")
    assert fleet.logins.check_code("bob", pyotp.TOTP(secret).at(int(clock[0])), Place("192.0.2.1"))
    assert fleet.restore("Alice")
