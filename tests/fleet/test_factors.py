"""Second factors: codes of an independent library count, each once, for 90 seconds; recovery codes, each once."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pyotp
import pytest

from app.accounts import factors as accounts
from app.accounts.actor import CLI, Actor, Right
from app.accounts.logins import FAILURES, FAILURES_OF_NAME, Place
from app.actions import factors
from app.config.model import dump
from app.config.second_factors import Passkey, SecondFactors
from app.control.errors import LoginThrottled, Refused
from tests.support.fleet import Fleet

PASSWORD = "correct horse battery"
HOME, AWAY = Place("192.0.2.1"), Place("203.0.113.9")
BOB = Actor("web", Right.VIEW, "bob")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in one place: [Unix seconds], in the middle of 30."""
    now = [1_800_000_015.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


@pytest.fixture
def secret(fleet: Fleet, clock: list[float]) -> str:
    """Bob's, who has set it up a while ago."""
    fleet.create_admin("bob", PASSWORD, role="viewer")
    secret = accounts.new_secret()
    set_up(fleet, secret, clock)
    clock[0] += 600
    return secret


def set_up(fleet: Fleet, secret: str, clock: list[float], **other: str) -> list[str]:
    given = {"password": PASSWORD, "code": pyotp.TOTP(secret).at(int(clock[0])), **other}
    return factors.set_up(fleet, BOB, given["password"], secret, given["code"], HOME)


def passes(fleet: Fleet, code: str, place: Place = HOME) -> bool:
    return factors.check_code(fleet, "bob", code, place)


@pytest.mark.parametrize(("seconds", "counts"), [(-75, False), (-44, True), (-15, True), (0, True), (15, True),
                                                 (44, True), (75, False)])
def test_a_code_counts_for_the_half_minutes_around_it(
        fleet: Fleet, secret: str, clock: list[float], seconds: int, counts: bool) -> None:
    assert passes(fleet, pyotp.TOTP(secret).at(int(clock[0]) + seconds)) is counts


def test_a_code_counts_once_whoever_is_first(fleet: Fleet, secret: str, clock: list[float]) -> None:
    code = pyotp.TOTP(secret).at(int(clock[0]))
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: passes(fleet, code), range(4))) == [False, False, False, True]
    clock[0] += 30
    assert not passes(fleet, code) and passes(fleet, pyotp.TOTP(secret).at(int(clock[0])))


def test_the_code_that_set_it_up_is_used_up(fleet: Fleet, clock: list[float]) -> None:
    fleet.create_admin("bob", PASSWORD, role="viewer")
    secret = accounts.new_secret()
    set_up(fleet, secret, clock)
    assert not passes(fleet, pyotp.TOTP(secret).at(int(clock[0])))


@pytest.mark.parametrize("form", ["{0}{1}", " {0} {1} ", "{0}-{1}"])
def test_a_code_is_understood_as_people_type_it(fleet: Fleet, secret: str, clock: list[float], form: str) -> None:
    code = pyotp.TOTP(secret).at(int(clock[0]))
    persian = code.translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    assert passes(fleet, form.format(persian[:3], persian[3:]))


@pytest.mark.parametrize("odd", ["", "0", "x" * 100_000, "١" * 7, "½⅓²³⁴⁵", "\ud800" * 6, "\x00", "👍🏽" * 6,
                                 "abcd-efgh-ijkl-mnop"])
def test_what_is_no_code_is_a_wrong_one(fleet: Fleet, secret: str, odd: str) -> None:
    assert not passes(fleet, odd)


def test_a_recovery_code_counts_once_and_is_kept_as_a_hash_only(fleet: Fleet, clock: list[float]) -> None:
    fleet.create_admin("bob", PASSWORD, role="viewer")
    codes = set_up(fleet, accounts.new_secret(), clock)
    assert len(set(codes)) == accounts.CODES
    kept = fleet.file.path.read_text()
    assert not any(code in kept or accounts.typed(code) in kept for code in codes)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: passes(fleet, codes[0].upper()), range(4))) == [False, False, False, True]
    assert passes(fleet, codes[1]) and not passes(fleet, codes[0])
    assert "8 left" in {event.detail for event in fleet.events()}


def test_wrong_codes_are_counted_by_place_and_name_and_keep_no_known_browser_out(
        fleet: Fleet, secret: str, clock: list[float]) -> None:
    for _ in range(FAILURES):
        assert not passes(fleet, "000000", AWAY)
    with pytest.raises(LoginThrottled):
        passes(fleet, pyotp.TOTP(secret).at(int(clock[0])), AWAY)
    for number in range(FAILURES_OF_NAME - FAILURES):
        assert not passes(fleet, "000000", Place(f"198.51.100.{number}"))
    with pytest.raises(LoginThrottled):
        passes(fleet, "000000", Place("198.51.100.99"))
    known = Place("198.51.100.99", device="bob's own")
    assert passes(fleet, pyotp.TOTP(secret).at(int(clock[0])), known)
    # The right password, again and again, gives nobody further tries.
    assert fleet.check_login("bob", PASSWORD, "203.0.113.9")
    with pytest.raises(LoginThrottled):
        passes(fleet, "000000", AWAY)
    # The audit log says it once.
    assert sum(event.action == "login.wrong_code" for event in fleet.events(limit=100)) == 1
    clock[0] += 301
    assert passes(fleet, pyotp.TOTP(secret).at(int(clock[0])), AWAY)


def test_setting_and_removing_ask_for_the_password_and_a_code(fleet: Fleet, secret: str, clock: list[float]) -> None:
    def code() -> str:
        clock[0] += 30
        return pyotp.TOTP(secret).at(int(clock[0]))

    for password, typed in (("wrong horse battery", code()), (PASSWORD, "000000"), (PASSWORD, "")):
        for act in (factors.remove, factors.renew_codes):
            with pytest.raises(Refused):
                act(fleet, BOB, password, typed, Place("192.0.2.7"))
        clock[0] += 400
    assert accounts.of(fleet.config(), "bob").totp_secret == secret
    with pytest.raises(Refused, match="already"):
        set_up(fleet, secret, clock)
    clock[0] += 400
    token = fleet.logins.begin_session(fleet.admin("bob"), "192.0.2.1")
    old = accounts.of(fleet.config(), "bob").recovery_codes
    new = factors.renew_codes(fleet, BOB, PASSWORD, code(), HOME)
    assert set(old).isdisjoint(accounts.of(fleet.config(), "bob").recovery_codes)
    factors.remove(fleet, BOB, PASSWORD, new[0], HOME)
    assert accounts.of(fleet.config(), "bob") is None and fleet.logins.admin_of(token, "192.0.2.1") is None


@pytest.mark.parametrize("secret", ["", "short", "A" * 31 + "1", "a" * 32, "A" * 33, "Ä" * 32])
def test_a_secret_that_the_panel_did_not_make_is_refused(fleet: Fleet, clock: list[float], secret: str) -> None:
    fleet.create_admin("bob", PASSWORD, role="viewer")
    with pytest.raises(Refused):
        factors.set_up(fleet, BOB, PASSWORD, secret, "000000", HOME)
    assert not fleet.config().second_factors


def test_a_password_alone_is_no_login_and_no_event_of_one(fleet: Fleet, secret: str, clock: list[float]) -> None:
    before = [event.action for event in fleet.events(limit=100)].count("login.succeeded")
    fleet.check_login("bob", PASSWORD, "192.0.2.1")
    assert [event.action for event in fleet.events(limit=100)].count("login.succeeded") == before
    passes(fleet, pyotp.TOTP(secret).at(int(clock[0])))
    assert [event.action for event in fleet.events(limit=100)].count("login.succeeded") == before + 1


def test_who_has_lost_it_gets_in_by_a_command_and_a_new_admin_of_the_name_inherits_nothing(
        fleet: Fleet, secret: str, clock: list[float]) -> None:
    with pytest.raises(Refused, match="on the page of your account"):
        factors.take_away(fleet, Actor("web", Right.SUDO, "bob"), "bob")
    factors.take_away(fleet, CLI, "bob")
    assert accounts.of(fleet.config(), "bob") is None
    with pytest.raises(Refused, match="bob has no second factor"):
        factors.take_away(fleet, CLI, "bob")
    clock[0] += 400
    set_up(fleet, secret, clock)
    fleet.remove_admin("bob")
    assert not fleet.config().second_factors
    with fleet.file.edit() as config:  # as a hand that removed the admin only would leave it
        accounts.put(config, "bob", secret, [])
    fleet.create_admin("bob", PASSWORD)
    assert accounts.of(fleet.config(), "bob") is None


def test_a_broken_file_and_a_full_disk_let_nobody_in_without_a_code(
        fleet: Fleet, secret: str, clock: list[float]) -> None:
    fleet.config()
    fleet.file.path.write_text("{ broken")
    assert fleet.check_login("bob", PASSWORD, "192.0.2.1") and accounts.of(fleet.config(), "bob")
    with pytest.raises(Refused):
        passes(fleet, "abcd-efgh-ijkl-mnop")
    code = pyotp.TOTP(secret).at(int(clock[0]))
    assert passes(fleet, code) and not passes(fleet, code)


def test_what_is_declared_survives_a_round_trip_and_stands_in_no_message(fleet: Fleet, secret: str) -> None:
    (kept,) = dump(fleet.config())["second_factors"]
    assert kept["username"] == "bob" and kept["totp_secret"] == secret and len(kept["recovery_codes"]) == 10
    assert secret not in repr(fleet.config()) and secret not in str(fleet.events(limit=100))


@pytest.mark.parametrize(("record", "app", "passkey", "recovery"), list(itertools.product([False, True], repeat=4)))
def test_whatever_is_set_up_nothing_less_proves_who_one_is_and_a_command_gives_it_back(
        fleet: Fleet, clock: list[float], app: bool, passkey: bool, recovery: bool, record: bool) -> None:
    """Also what only a hand leaves. record: an empty one of the same name comes first."""
    fleet.create_admin("bob", PASSWORD, role="viewer")
    secret, code = accounts.new_secret(), accounts.new_codes()[0]
    with fleet.file.edit() as config:
        own = SecondFactors(username="bob", totp_secret=secret if app else "",
                            recovery_codes=[accounts.hashed(code)] * recovery,
                            passkeys=[Passkey(host="panel.example.org", credential="A" * 80)] * passkey)
        # What holds an app, or is alone, is asked; of an empty record before it, the other counts only with an app.
        config.second_factors = [SecondFactors(username="bob")] * record + [own] * (app or passkey or recovery)

    def proves(password: str, typed: str) -> bool:
        clock[0] += 400  # so that no limit is in the way
        try:
            now = pyotp.TOTP(secret).at(int(clock[0]))
            factors.prove(fleet, BOB, password, now if typed == "app" else typed, HOME)
        except Refused:
            return False
        return True

    more = record or app or passkey or recovery
    recovery = recovery and (app or not record)
    # Of an empty secret, which anybody knows.
    guess = pyotp.TOTP("").at(int(clock[0]) + 400)
    assert [proves(PASSWORD, typed) for typed in ("", "000000", guess, "app", code, code)] == [
        not more, not more, not more, app or not more, recovery or not more, not more]  # each code once
    assert not any(proves("wrong horse battery", typed) for typed in ("", "app", code))
    assert (accounts.of(fleet.config(), "bob") is not None) is more  # when the last recovery code is used up, too
    if more:
        factors.take_away(fleet, CLI, "bob")
    assert proves(PASSWORD, "") and not accounts.of(fleet.config(), "bob")
    assert len(set_up(fleet, secret, clock)) == accounts.CODES and not proves(PASSWORD, "")


@pytest.mark.parametrize("guess", ["000000", "aaaa-aaaa-aaaa-aaaa"], ids=["an app", "recovery"])
def test_guesses_from_thousands_of_addresses_and_sessions_are_looked_at_as_often_as_the_limit_says_and_no_more(
        fleet: Fleet, secret: str, clock: list[float], monkeypatch: pytest.MonkeyPatch, guess: str) -> None:
    looked = []
    for name in ("step_of", "use_recovery"):
        monkeypatch.setattr(accounts, name, lambda *_: looked.append(1))
    begun, minutes = clock[0], 15
    for number in range(3000):
        place = Place(f"198.18.{number // 250}.{number % 250}" if number % 2 else f"2001:db8:{number:x}::1")
        with suppress(LoginThrottled):
            assert not passes(fleet, guess, place)
        # The right password in a new session, again and again, gives no further guess.
        if number % 500 == 0:
            assert fleet.check_login("bob", PASSWORD, f"203.0.113.{number // 500}")
        clock[0] = begun + 60 * minutes * number / 3000
    assert FAILURES_OF_NAME <= len(looked) <= FAILURES_OF_NAME * (minutes // 5 + 1)
    monkeypatch.undo()
    monkeypatch.setattr(time, "time", lambda: clock[0])
    assert passes(fleet, pyotp.TOTP(secret).at(int(clock[0])), Place("198.18.0.1", device="bob's own"))
    clock[0] += 60  # that code was used
    waited = 60
    while True:
        try:
            assert passes(fleet, pyotp.TOTP(secret).at(int(clock[0])), Place("192.0.2.77"))
            break
        except LoginThrottled:
            waited, clock[0] = waited + 10, clock[0] + 10
    assert waited <= 300
    assert sum(event.action == "login.wrong_code" for event in fleet.events(limit=10_000)) <= minutes // 5 + 1
