"""Logging in under attack and on a sick machine: the right password gets in, guesses are counted, nothing is told."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.accounts import admins, logins
from app.accounts.logins import FAILURES_OF_NAME, FAILURES_OF_PLACE, Place
from app.config import passwords
from app.control.errors import LoginBusy, LoginThrottled, Refused

HOME, NAT = "192.0.2.1", "203.0.113.9"


@pytest.fixture
def password(fleet) -> str:
    return fleet.file.read().initial_password


@pytest.fixture
def quick(monkeypatch) -> None:
    """Hashes that take no time, for tests of many attempts."""
    monkeypatch.setattr(logins, "verify_among", lambda stored, password, others: (
        stored is not None and password == "right", False))


def outcome(fleet, username: str, password: str, client: str, door: str = "", device: str = "") -> str:
    try:
        return "in" if fleet.check_login(username, password, client, door, device) else "wrong"
    except LoginThrottled:
        return "wait"


def test_an_admin_without_sudo_can_not_clear_the_count_of_another_name(fleet, password):
    fleet.create_admin("bob", "another long password")
    for _ in range(4):
        assert outcome(fleet, "admin", "wrong", HOME) == "wrong"
    assert outcome(fleet, "bob", "another long password", HOME) == "in"
    assert [outcome(fleet, "admin", "wrong", HOME) for _ in range(2)] == ["wrong", "wait"]


def test_people_who_share_an_address_are_not_locked_out_by_another_names_failures(fleet, password):
    fleet.create_admin("bob", "another long password")
    for _ in range(9):
        outcome(fleet, "bob", "wrong", NAT)
    assert outcome(fleet, "bob", "another long password", NAT) == "wait"
    assert outcome(fleet, "admin", password, NAT) == "in"


def test_a_browser_that_is_known_gets_in_whatever_others_do_behind_its_address_or_to_its_name(fleet, quick):
    for _ in range(9):
        outcome(fleet, "admin", "wrong", NAT)
    for number in range(60):
        outcome(fleet, "admin", "wrong", f"198.51.100.{number}")
    assert outcome(fleet, "admin", "right", NAT) == "wait"
    assert outcome(fleet, "admin", "right", "198.51.100.200") == "wait"
    assert outcome(fleet, "admin", "right", NAT, device="hers") == "in"


def test_a_known_browser_has_five_guesses_too(fleet, quick):
    assert [outcome(fleet, "admin", "wrong", HOME, device="stolen") for _ in range(6)] == ["wrong"] * 5 + ["wait"]
    assert outcome(fleet, "admin", "right", HOME, device="hers") == "in"


def test_strangers_on_443_do_not_lock_the_tunnel_out_that_has_the_same_address(fleet, quick):
    for number in range(40):
        outcome(fleet, "admin", "wrong", "172.28.0.1", "https")
        outcome(fleet, "admin", "wrong", f"198.51.100.{number}", "https")
    assert outcome(fleet, "admin", "right", "172.28.0.1", "https") == "wait"
    assert outcome(fleet, "admin", "right", "172.28.0.1", "local") == "in"


def test_one_ipv6_network_is_one_place(fleet, quick):
    tries = [outcome(fleet, "admin", "wrong", f"2001:db8:0:7::{number:x}") for number in range(1, 61)]
    assert tries.count("wrong") == 5
    assert outcome(fleet, "admin", "wrong", "2001:db8:0:8::1") == "wrong"
    assert Place("::ffff:192.0.2.1").network == "192.0.2.1" and Place("fe80::1%eth0").network == "fe80::/64"
    assert Place("<b>not-an-ip</b>").told.code == "place.unknown"


def test_guesses_on_one_name_from_many_addresses_are_counted_together(fleet, quick):
    tries = [outcome(fleet, "admin", "wrong", f"198.51.{number}.1") for number in range(40)]
    assert tries.count("wrong") == FAILURES_OF_NAME < 40
    assert outcome(fleet, "nobody", "wrong", "198.51.0.1") == "wrong"


def test_a_burst_gets_no_more_guesses_than_one_after_the_other(fleet, monkeypatch):
    monkeypatch.setattr(logins, "AT_ONCE", 16)
    monkeypatch.setattr(logins, "WAITING", 64)
    monkeypatch.setattr("app.ledger.fallback.PATIENCE", 120.0)
    guessed = []
    monkeypatch.setattr(logins, "verify_among", lambda *_: guessed.append(1) or (False, False))
    fleet.logins = logins.Logins(fleet.config, fleet.file, fleet.ledger)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: outcome(fleet, "admin", "wrong", HOME), range(48)))
    assert len(guessed) == 5


def test_two_hundred_at_once_are_not_hashed_at_once_and_known_browsers_have_a_turn_of_their_own(fleet, monkeypatch):
    running, most, lock, go = [0], [0], threading.Lock(), threading.Event()

    def slow(stored, password, others):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        go.wait(60)
        with lock:
            running[0] -= 1
        return password == "right", False

    monkeypatch.setattr(logins, "verify_among", slow)

    def attempt(number: int) -> str:
        try:
            return outcome(fleet, "admin", "wrong", f"198.51.100.{number}")
        except LoginBusy:
            return "busy"

    with ThreadPoolExecutor(200) as pool:
        crowd = [pool.submit(attempt, number) for number in range(200)]
        deadline = time.monotonic() + 60
        while sum(one.done() for one in crowd) < 200 - logins.AT_ONCE - logins.WAITING:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        hers = pool.submit(outcome, fleet, "admin", "right", NAT, "", "hers")
        while running[0] < 2 * logins.AT_ONCE:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        go.set()
        assert hers.result() == "in"
        told = [one.result() for one in crowd]
    assert most[0] == 2 * logins.AT_ONCE
    assert told.count("wrong") == logins.AT_ONCE + logins.WAITING
    assert told.count("busy") + told.count("wait") == 197
    assert attempt(1) == "wrong", "who was not looked at was not counted, and the places are free again"


def test_names_without_end_from_one_place_keep_nobody_waiting_for_long(fleet, quick):
    """Each a name of its own, so that no count of a name is ever full: they must not hold the line for all others."""
    tries = [outcome(fleet, f"nobody{number}", "wrong", NAT) for number in range(90)]
    assert tries == ["wrong"] * FAILURES_OF_PLACE + ["wait"] * 30
    assert outcome(fleet, "admin", "right", HOME) == "in"
    assert outcome(fleet, "admin", "right", NAT, "", "hers") == "in", "a known browser behind the same address"


def test_a_new_random_password_lets_its_owner_in_while_the_guessing_goes_on(fleet, password):
    for number in range(FAILURES_OF_NAME):
        fleet.ledger.buckets.take(logins._allowed("admin", Place(f"198.51.100.{number}")))
    assert outcome(fleet, "admin", password, HOME) == "wait"
    new = fleet.reset_password("admin")
    assert [outcome(fleet, "admin", "wrong", NAT) for _ in range(7)] == ["wrong"] * 7
    assert outcome(fleet, "admin", new, NAT) == "in"


def test_a_password_of_ones_own_clears_the_count_and_opens_nothing(fleet, quick):
    for _ in range(9):
        outcome(fleet, "admin", "wrong", HOME)
    fleet.set_password("admin", "a long enough one")
    assert [outcome(fleet, "admin", "wrong", HOME) for _ in range(6)] == ["wrong"] * 5 + ["wait"]


# A sick machine

def test_a_broken_file_keeps_nobody_out_who_knows_the_password_and_lets_guesses_be_counted(fleet, password):
    fleet.config()
    fleet.file.path.write_text('{"proxy_port": ')
    assert outcome(fleet, "admin", password, HOME) == "in"
    assert [outcome(fleet, "admin", "wrong", NAT) for _ in range(6)] == ["wrong"] * 5 + ["wait"]
    assert fleet.file.path.read_text() == '{"proxy_port": '


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_no_writes_keeps_nobody_out(fleet, password, fault, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(28 if fault == "full" else 30, "No space left on device")

    monkeypatch.setattr(fleet.file, "_replace", refuse)
    fleet.ledger.database.query("PRAGMA query_only = 1")
    assert outcome(fleet, "admin", password, HOME) == "in"
    assert [outcome(fleet, "admin", "wrong", NAT) for _ in range(6)] == ["wrong"] * 5 + ["wait"]
    admin = fleet.check_login("admin", password, HOME)
    token = fleet.logins.begin_session(admin, HOME)
    assert fleet.logins.admin_of(token, HOME).username == "admin"
    monkeypatch.undo()
    assert fleet.file.read().initial_password == password, "erased by the next login that can"
    fleet.check_login("admin", password, HOME)
    assert fleet.file.read().initial_password is None


def test_an_old_hash_is_replaced_where_that_can_be_saved_and_never_over_a_newer_password(fleet, monkeypatch):
    salt = "5a" * 16
    old = f"{salt}:{hashlib.pbkdf2_hmac('sha256', b'secret word', salt.encode(), 100_000).hex()}"
    fleet.file.path.write_text(json.dumps({**json.loads(fleet.file.path.read_text()), "admin_password_hash": old}))
    real, new = logins.verify_among, []

    def meanwhile(*arguments):
        found = real(*arguments)
        new.append(fleet.reset_password("admin"))
        return found

    monkeypatch.setattr(logins, "verify_among", meanwhile)
    admin = fleet.check_login("admin", "secret word", HOME)
    monkeypatch.undo()
    assert passwords.verify_password(fleet.file.read().admin_password_hash, new[0])[0]
    token = fleet.logins.begin_session(admin, HOME)
    assert fleet.logins.admin_of(token, HOME) is None, "it was begun with the password of before"


@pytest.mark.parametrize("password", ["a", "p" * 5000, "\ud800"])
def test_a_name_that_nobody_has_takes_the_same_work_as_one_that_somebody_has(fleet, monkeypatch, password):
    """Counted in hashes: seconds tell of this machine alone."""
    fleet.create_admin("bob", "another long password", role="viewer")
    work, took = [], []
    monkeypatch.setattr(hashlib, "scrypt", lambda *_, n, r, p, **__: work.append((n, r, p)) or bytes(64))
    for number, name in enumerate(("admin", "bob", "nobody", "", "x" * 5000)):
        work.clear()
        with suppress(Refused, UnicodeError):
            assert outcome(fleet, name, password, f"198.51.100.{number}") == "wrong"
        took.append(list(work))
    assert took == [took[0]] * len(took)
    assert len(took[0]) == (0 if password == "\ud800" else 1)


# What is told, and what is asked for

def test_a_name_that_nobody_has_is_not_in_the_audit_log_as_it_may_be_a_password(fleet):
    fleet.check_login("hunter2 is my password", "admin", HOME)
    fleet.check_login("admin", "wrong", HOME)
    fleet.check_login("admin", "wrong", HOME)
    told = [(e.action, e.subject, e.detail) for e in fleet.events()]
    assert told == [("login.failed", "admin", f"from {HOME}, 2 times in 1 min"),
                    ("login.failed_unknown", "", f"from {HOME}")]
    assert b"hunter2" not in b"".join(path.read_bytes() for path in fleet.data_dir.glob("panel.db*"))


def test_the_first_password_is_asked_to_be_changed_until_it_is(fleet, password):
    fleet.create_admin("bob", "another long password", sudo=True)
    assert fleet.has_first_password("admin") and not fleet.has_first_password("bob")
    fleet.check_login("admin", password, HOME)
    assert fleet.file.read().initial_password is None and fleet.has_first_password("admin")
    fleet.reset_password("admin")
    assert not fleet.has_first_password("admin")


def test_an_owner_is_always_left(fleet):
    for refused in (lambda: fleet.remove_admin("admin"), lambda: fleet.set_role("admin", "operator"),
                    lambda: fleet.set_role("admin", "viewer")):
        with pytest.raises(Refused, match="the only owner.*admin set NAME --role owner"):
            refused()
    fleet.create_admin("bob", "another long password")
    with pytest.raises(Refused, match="the only owner"):
        fleet.remove_admin("admin")
    fleet.set_role("bob", "owner")
    hashed = fleet.admin("admin").password_hash
    fleet.set_role("admin", "operator")
    config = fleet.file.read()
    assert (config.admin_username, config.initial_password) == ("bob", None)
    assert [(a.username, a.role, a.password_hash) for a in config.admins] == [("admin", "operator", hashed)]
    assert outcome(fleet, "bob", "another long password", HOME) == "in"
    fleet.remove_admin("admin")
    assert [a.username for a in admins.everybody(fleet.config())] == ["bob"]
    with pytest.raises(Refused, match="no admin 'admin'; there are: bob"):
        fleet.remove_admin("admin")
    assert [e.action for e in fleet.events(limit=2)] == ["admin.removed", "login.succeeded"]


def test_of_two_owners_who_demote_each_other_at_once_one_stays(fleet):
    for _ in range(5):
        fleet.create_admin("bob", "another long password", role="owner")
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda name: outcome_of(lambda: fleet.set_role(name, "viewer")), ("admin", "bob")))
        assert sorted(done) == ["done", "refused"]
        owner = next(each for each in admins.everybody(fleet.config()) if each.role == "owner").username
        fleet.set_role("admin", "owner") if owner == "bob" else None
        fleet.remove_admin("bob")


def outcome_of(act):
    try:
        act()
    except Refused:
        return "refused"
    return "done"


@pytest.mark.parametrize("alike", ["Zelie", "ZELIE", "z\u00e9lie", "Ze\u0301lie", "Z\u00e9lie ", "Z\u00e9lie\u200b",
                                   "Z\u0435lie", "Z\u00e9l\u0456\u0435", "\u0396\u0451lie"])
def test_no_two_admins_have_names_that_are_taken_for_one_another(fleet, alike):
    fleet.create_admin("Z\u00e9lie", "another long password", role="viewer")
    with pytest.raises(Refused, match="there is an admin"):
        fleet.create_admin(alike, "a third long password", role="owner")
    assert fleet.admin("Z\u00e9lie").role == "viewer" and len(fleet.config().admins) == 1


@pytest.mark.parametrize("everybody", ["one name", "any name"])
def test_thousands_of_failures_from_thousands_of_addresses_keep_nobody_out_for_longer_than_the_limit_says(
        fleet, quick, monkeypatch, everybody):
    """5,000 addresses, two tries each; half of them IPv6, each in a /64 of its own."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    waited = 0
    for number in range(10_000):
        one = number % 5000
        client = f"198.18.{one // 250}.{one % 250}" if one % 2 else f"2001:db8:{one:x}::{number:x}"
        name = "admin" if everybody == "one name" else f"nobody{number}"
        waited += outcome(fleet, name, "wrong", client) == "wait"
        now[0] += 0.01
    assert waited == (10_000 - FAILURES_OF_NAME if everybody == "one name" else 0)
    # Whoever was there before, and whoever comes by the server itself, does not notice.
    assert outcome(fleet, "admin", "right", NAT, device="known before") == "in"
    assert outcome(fleet, "admin", "right", NAT, door="local") == "in"
    # A new browser of the right person waits for the limit of its name, and no longer: the flood prolongs nothing.
    begun = now[0]
    while outcome(fleet, "admin", "right", HOME) == "wait":
        now[0] += 10
    assert now[0] - begun <= 300
    events = fleet.events(limit=100_000)
    assert sum(event.action.startswith("login.failed") for event in events) <= 500
    size = sum(path.stat().st_size for path in fleet.data_dir.glob("panel.db*"))
    assert size < 16 * 1024 * 1024
    now[0] += 301
    outcome(fleet, "admin", "wrong", NAT)
    (left,) = fleet.ledger.database.query("SELECT count(*) FROM attempts")[0]
    assert left < 10
