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


def test_nothing_is_written_while_nothing_is_new(ledger: Ledger) -> None:
    bad = ledger.bad_connections
    bad.account([Told("telemt", "one", {"noise": 2})], NOW)
    before = ledger.database.query("PRAGMA data_version")[0][0], (ledger.database.path).stat().st_mtime_ns
    bad.account([Told("telemt", "one", {"noise": 2})], NOW + HOUR)
    bad.account([], NOW + HOUR)
    assert before == (ledger.database.query("PRAGMA data_version")[0][0], ledger.database.path.stat().st_mtime_ns)
