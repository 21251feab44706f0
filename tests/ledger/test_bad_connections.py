"""Connections that engines turned away are counted once, by reason, and kept for 30 days."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.ledger.bad_connections import Bad, Told
from app.ledger.ledger import Ledger

NOW = 1_790_000_000.0
HOUR, DAY = 3600, 86400


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def test_a_count_that_was_read_twice_counts_once_and_a_new_run_begins_anew(ledger: Ledger) -> None:
    bad = ledger.bad_connections
    bad.account([Told("telemt", "one", {"noise": 5, "cut": 1})], NOW)
    bad.account([Told("telemt", "one", {"noise": 5, "cut": 1})], NOW + 10)
    bad.account([Told("telemt", "one", {"noise": 7, "cut": 1})], NOW + 20)
    bad.account([Told("telemt", "two", {"noise": 3})], NOW + 30)
    assert bad.recent(NOW + 40) == [Bad("telemt", "noise", 10, 10), Bad("telemt", "cut", 1, 1)]


def test_the_last_day_is_told_apart_from_the_last_month_and_older_ones_are_forgotten(ledger: Ledger) -> None:
    bad = ledger.bad_connections
    for days, count in ((0, 1), (10, 11), (29, 111), (31, 1111)):
        bad.account([Told("telemt", "one", {"noise": count})], NOW + days * DAY)
    now = NOW + 31 * DAY + HOUR
    assert bad.recent(now) == [Bad("telemt", "noise", 1000, 1110)]
    assert len(ledger.database.query("SELECT * FROM bad_connections")) == 3


def test_engines_and_two_runs_at_once_are_counted_apart(ledger: Ledger) -> None:
    bad = ledger.bad_connections
    for _ in range(2):
        bad.account([Told("telemt", "one", {"noise": 2}), Told("telemt", "two", {"noise": 4}),
                     Told("mtg", "three", {"noise": 1})], NOW)
    assert {(each.engine, each.day) for each in bad.recent(NOW)} == {("telemt", 6), ("mtg", 1)}


def test_a_clock_that_was_ahead_leaves_nothing_that_stays(ledger: Ledger) -> None:
    bad = ledger.bad_connections
    bad.account([Told("telemt", "one", {"noise": 2})], NOW + 400 * DAY)
    bad.account([Told("telemt", "one", {"noise": 3})], NOW)
    assert bad.recent(NOW) == [Bad("telemt", "noise", 1, 1)]


def test_a_look_at_some_of_them_only_leaves_the_others_counters(ledger: Ledger) -> None:
    bad = ledger.bad_connections
    one, two = Told("telemt", "one", {"noise": 2}), Told("telemt", "two", {"noise": 4})
    bad.account([one, two], NOW)
    bad.account([Told("telemt", "two", {"noise": 5})], NOW, whole=False)
    bad.account([one, two], NOW)
    assert [each.day for each in bad.recent(NOW)] == [7 + 4], "two has begun anew"
    assert bad.recent(NOW)[0].reason == "noise"


def test_what_a_limit_on_addresses_refused_is_known_by_user_and_a_log_is_counted_once(ledger: Ledger) -> None:
    bad = ledger.bad_connections
    assert bad.read_to("run/log") is None
    for _ in range(2):
        bad.account([Told("builtin", "b", {"unique_ips": 3}, "alice")], NOW, whole=False)
    bad.account([Told("telemt", "run/log", {"unique_ips": 2}, "bob", NOW - 5),
                 Told("telemt", "run/log", {"unique_ips": 1}, "", NOW - 5)], NOW)
    assert bad.read_to("run/log") == NOW - 5
    bad.account([Told("telemt", "run/log", {}, "", NOW - 5)], NOW + 2 * DAY)
    bad.account([Told("telemt", "run/log", {"unique_ips": 4}, "bob", NOW + 2 * DAY)], NOW + 2 * DAY)
    assert bad.refused_addresses(NOW + 2 * DAY) == {"alice": (0, 3), "bob": (4, 6)}
    assert sum(each.month for each in bad.recent(NOW + 2 * DAY)) == 10
    bad.account([Told("telemt", "another/log", {}, "", NOW)], NOW + 3 * DAY)
    assert bad.read_to("run/log") is None, "that run is over"


def test_nothing_is_written_while_nothing_is_new(ledger: Ledger) -> None:
    bad = ledger.bad_connections
    bad.account([Told("telemt", "one", {"noise": 2})], NOW)
    before = ledger.database.query("PRAGMA data_version")[0][0], (ledger.database.path).stat().st_mtime_ns
    bad.account([Told("telemt", "one", {"noise": 2})], NOW + HOUR)
    bad.account([], NOW + HOUR)
    assert before == (ledger.database.query("PRAGMA data_version")[0][0], ledger.database.path.stat().st_mtime_ns)
