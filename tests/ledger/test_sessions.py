"""Sessions: they end when they are ended, on a sound panel.db and on one that takes no writes."""

from __future__ import annotations

import sqlite3
import time

import pytest

from app.ledger import sessions
from app.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


@pytest.fixture
def unwritable(ledger, monkeypatch):
    """Call it with True and the file takes no writes, as on a full disk."""

    def make(broken: bool) -> None:
        ledger.database.query(f"PRAGMA query_only = {int(broken)}")

    return make


def test_a_session_is_found_by_its_token_only_and_the_token_is_not_in_the_file(ledger, tmp_path):
    token = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    found = Ledger(tmp_path).sessions.find(token)
    assert (found.admin, found.stamp, found.address) == ("ada", "stamp", "192.0.2.1")
    assert ledger.sessions.find(token[:-1]) is None and ledger.sessions.find("") is None
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("panel.db*"))


def test_an_ended_session_is_over_in_every_process_and_no_other_one_is(ledger, tmp_path):
    token, other = (ledger.sessions.begin("ada", "stamp", "192.0.2.1") for _ in range(2))
    ledger.sessions.end(token)
    for each in (ledger, Ledger(tmp_path)):
        assert each.sessions.find(token) is None and each.sessions.find(other)


def test_sessions_are_too_old_after_twelve_hours_and_their_rows_go(ledger, monkeypatch):
    token = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 12 * 3600 - 60)
    assert ledger.sessions.find(token)
    monkeypatch.setattr(time, "time", lambda: real() + 12 * 3600)
    assert ledger.sessions.find(token) is None
    ledger.latest.look(time.time(), is_right=True)
    ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    assert len(ledger.database.query("SELECT 1 FROM sessions")) == 1


def test_a_clock_that_is_far_ahead_for_a_moment_ends_no_session_for_good(ledger, monkeypatch):
    token = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: 4_000_000_000.0)
        ahead = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
        assert ledger.sessions.find(token) is None and ledger.sessions.find(ahead)
    assert ledger.sessions.find(token) and ledger.sessions.find(ahead) is None


def test_a_clock_that_is_set_back_makes_no_session_longer(ledger, monkeypatch):
    token = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert ledger.sessions.find(token) is None


def test_nor_does_it_give_one_that_has_ended_its_life_back(ledger, monkeypatch):
    token, real = ledger.sessions.begin("ada", "stamp", "192.0.2.1"), time.time
    monkeypatch.setattr(time, "time", lambda: real() + 13 * 3600)
    ledger.latest.look(time.time(), is_right=True)
    assert ledger.sessions.find(token) is None
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert ledger.sessions.find(token) is None


def test_many_logins_of_one_admin_end_the_oldest_sessions_of_that_admin(ledger, monkeypatch):
    monkeypatch.setattr(sessions, "MOST", 5)
    bob = ledger.sessions.begin("bob", "stamp", "192.0.2.1")
    tokens = [ledger.sessions.begin("ada", "stamp", "192.0.2.1") for _ in range(9)]
    assert [bool(ledger.sessions.find(token)) for token in tokens] == [False] * 4 + [True] * 5
    assert ledger.sessions.find(bob)


def test_the_last_use_is_noted_once_a_minute(ledger, monkeypatch):
    token = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    first = ledger.sessions.find(token)
    ledger.sessions.note_use(token, first, "192.0.2.1")
    assert ledger.sessions.find(token) == first
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 61)
    ledger.sessions.note_use(token, first, "192.0.2.7")
    found = ledger.sessions.find(token)
    assert found.seen > first.seen + 60 and found.address == "192.0.2.7" and found.since == first.since


def test_where_the_file_takes_no_writes_sessions_begin_and_end_all_the_same(ledger, unwritable, tmp_path):
    before = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    unwritable(True)
    during = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    assert ledger.sessions.find(during) and ledger.sessions.find(before)
    ledger.sessions.end(during)
    ledger.sessions.end(before)
    assert ledger.sessions.find(during) is None and ledger.sessions.find(before) is None
    unwritable(False)
    ledger.sessions.begin("bob", "stamp", "192.0.2.1")
    assert Ledger(tmp_path).sessions.find(before) is None, "the end was written as soon as the file took it"


def test_where_the_file_takes_no_writes_attempts_are_counted_all_the_same(ledger, unwritable):
    unwritable(True)
    assert [ledger.buckets.take({"a": 2}).wait == 0 for _ in range(4)] == [True, True, False, False]
    ledger.buckets.clear("a")
    assert ledger.buckets.take({"a": 2}).wait == 0


def test_a_locked_file_keeps_nobody_waiting_for_long(ledger, monkeypatch):
    monkeypatch.setattr("app.ledger.fallback.PATIENCE", 0.05)
    other = sqlite3.connect(ledger.database.path)
    other.execute("BEGIN IMMEDIATE")
    token = ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    assert ledger.sessions.find(token)
    assert [ledger.buckets.take({"a": 1}).wait == 0 for _ in range(2)] == [True, False]
    other.rollback()
