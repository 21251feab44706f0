"""What a chart draws: equal parts of a period, the period before, days and months of the server's clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from app.control import series
from app.control.errors import Refused
from app.control.series import PERIODS
from app.ledger.history import DAY, HOUR
from app.ledger.traffic import Reading
from tests.support.fleet import Fleet

NOON = datetime(2027, 3, 10, 12, 0, 30, tzinfo=timezone.utc).timestamp()


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def move(fleet: Fleet, user: str, down: int, at: float, **how: bool) -> None:
    """So much more than was moved before, all of it downloaded; each call is a run of its own."""
    fleet.ledger.traffic.account([Reading(user, f"link of {user}", f"{user} {at}", down, 0, 0, 0, **how)], at)


def at(fleet: Fleet, moment: float) -> Fleet:
    fleet.reconciler.clock = lambda: moment
    return fleet


def test_each_period_has_its_parts_and_ends_with_the_one_that_goes_on(fleet: Fleet, zone: object) -> None:
    at(fleet, NOON)
    counts = {"hour": 60, "day": 24, "month": 30, "year": 12}
    for period in PERIODS:
        found = series.of(fleet, period)
        assert len(found.at) == len(found.down) == len(found.up) == counts[period]
        assert found.at == sorted(found.at) and found.at[-1] <= NOON
        assert found.before is None and sum(found.down) == 0
    assert series.of(fleet, "hour").at[-1] == NOON - 30
    assert series.of(fleet, "year").at[-1] == datetime(2027, 3, 1, tzinfo=timezone.utc).timestamp()


def test_what_alice_moved_is_in_its_part_and_what_she_moved_a_period_ago_is_behind_it(fleet: Fleet,
                                                                                      zone: object) -> None:
    alice = fleet.add_user("Alice").id
    move(fleet, alice, 7, NOON - 3600)
    move(fleet, alice, 100, NOON - 70)
    move(fleet, alice, 30, NOON)
    move(fleet, fleet.add_user("Bob").id, 1000, NOON)
    hour = series.of(at(fleet, NOON), "hour", alice)
    assert hour.down[-3:] == [0, 100, 30] and hour.before is not None and hour.before[-1] == 7
    assert series.of(fleet, "hour").down[-1] == 1030
    day = series.of(fleet, "day", alice)
    assert day.down[-3:] == [0, 107, 30] and day.before is None


def test_the_hour_before_is_kept_to_its_first_minute(fleet: Fleet, zone: object) -> None:
    alice = fleet.add_user("Alice").id
    later = NOON + 29
    first = series.edges("hour", later)[1][0]
    move(fleet, alice, 5, first)
    move(fleet, alice, 1, later)
    found = series.of(at(fleet, later), "hour", alice)
    assert found.before is not None and found.before[0] == 5


def test_days_are_those_of_the_servers_clock_when_it_changes(fleet: Fleet, zone: pytest.MonkeyPatch) -> None:
    zone.setenv("TZ", "Europe/Berlin")
    time.tzset()
    alice = fleet.add_user("Alice").id
    spring = datetime(2027, 3, 28).timestamp()  # a day of 23 hours
    for hours in (-1, 0, 22, 23):  # 23:00 the day before, 00:00, 23:00, 00:00 of the next day
        move(fleet, alice, 10 ** (2 + max(hours, 0) // 12), spring + hours * HOUR)
    now = datetime(2027, 3, 30, 9).timestamp()
    found = series.of(at(fleet, now), "month", alice)
    assert found.down[-4:] == [100, 100 + 1000, 1000, 0]
    assert [after - before for before, after in zip(found.at[-4:], found.at[-3:])] == [DAY, 23 * HOUR, DAY]
    assert [datetime.fromtimestamp(each).hour for each in found.at] == [0] * 30


def test_a_month_has_its_own_days_and_the_same_month_a_year_ago_is_behind_it(fleet: Fleet, zone: object) -> None:
    alice = fleet.add_user("Alice").id
    for day, moved in ((datetime(2026, 2, 28), 1), (datetime(2026, 3, 1), 20), (datetime(2027, 2, 28), 300),
                       (datetime(2027, 3, 1), 4000)):
        move(fleet, alice, moved, day.replace(tzinfo=timezone.utc).timestamp())
    found = series.of(at(fleet, NOON), "year", alice)
    assert found.down[-2:] == [300, 4000] and found.before is not None and found.before[-2:] == [1, 20]


def test_an_estimate_is_marked_from_when_the_first_one_was_added(fleet: Fleet, zone: object) -> None:
    alice, bob = fleet.add_user("Alice").id, fleet.add_user("Bob").id
    move(fleet, alice, 100, NOON)
    assert not series.of(at(fleet, NOON), "day").estimated
    move(fleet, bob, 100, NOON, estimated=True)
    assert series.of(fleet, "day").estimated and series.of(fleet, "day", bob).estimated
    assert not series.of(fleet, "day", alice).estimated


def test_nobody_has_no_series_and_a_century_is_no_period(fleet: Fleet) -> None:
    with pytest.raises(Refused):
        series.of(fleet, "day", "nobody")
    with pytest.raises(ValueError):
        series.of(fleet, "century")
