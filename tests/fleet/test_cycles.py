"""Reset cycles over calendars: month ends, leap days, and clocks that skip or repeat an hour."""

from __future__ import annotations

import calendar
import time
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.values import WEEKDAYS
from app.ledger.traffic import Total
from app.lib.zone import server_zone, zone_problem
from app.messages import Problem, sentence
from app.rules.cycles import dues, next_reset

UTC = timezone.utc

#: Zones whose clocks change at midnight, by half an hour, the other way round, by whole days, or never.
ZONES = [ZoneInfo(name) for name in (
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "Asia/Beirut",
    "Asia/Tehran", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/Dublin", "Pacific/Apia",
    "Pacific/Kiritimati", "Africa/Cairo")]

zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))
cycles = st.one_of(st.just("daily"), st.sampled_from(WEEKDAYS).map("weekly {}".format),
                   st.integers(1, 31).map("monthly {}".format))


def named(cycle: str, day: date) -> bool:
    """Whether the cycle names this day, said in another way than the code does."""
    kind, _, which = cycle.partition(" ")
    if kind == "daily":
        return True
    if kind == "weekly":
        return calendar.day_name[day.weekday()].lower() == which
    last = (day + timedelta(days=1)).month != day.month
    return day.day == int(which) or (last and day.day < int(which))


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """The first minute of a local day, found by looking at every one."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
    while moment.astimezone(zone).date() < day:
        moment += timedelta(minutes=15)
    return moment


@given(moments, cycles, zones)
@settings(max_examples=400, deadline=None)
def test_the_next_reset_begins_the_next_day_that_the_cycle_names(after, cycle, zone):
    found = next_reset(after, cycle, zone)
    assert found.astimezone(UTC) > after
    day = after.astimezone(zone).date() + timedelta(days=1)
    while not named(cycle, day):
        day += timedelta(days=1)
    # Samoa had no 30 December 2011: the day after it began at the same moment.
    assert found.astimezone(UTC) == first_instant(day, zone)


@given(moments, cycles, zones)
@settings(max_examples=200, deadline=None)
def test_every_moment_before_the_reset_has_the_same_one_and_it_moves_on_from_there(after, cycle, zone):
    found = next_reset(after, cycle, zone)
    just_before = found.astimezone(UTC) - timedelta(seconds=1)
    assert next_reset(max(after, just_before), cycle, zone) == found
    assert next_reset(found, cycle, zone).astimezone(UTC) > found.astimezone(UTC)


@pytest.mark.parametrize("after, cycle, zone, expected", [
    ("2027-01-31T12:00", "monthly 31", "UTC", "2027-02-28T00:00+00:00"),
    ("2028-01-31T12:00", "monthly 31", "UTC", "2028-02-29T00:00+00:00"),
    ("2028-02-29T00:00", "monthly 30", "UTC", "2028-03-30T00:00+00:00"),
    ("2027-12-31T23:59", "monthly 1", "UTC", "2028-01-01T00:00+00:00"),
    ("2027-12-31T23:00", "daily", "Europe/Berlin", "2028-01-02T00:00+01:00"),
    ("2027-03-27T23:00", "daily", "Europe/Berlin", "2027-03-29T00:00+02:00"),
    ("2027-01-01T00:00", "weekly friday", "UTC", "2027-01-08T00:00+00:00"),
    # Midnight was skipped in Sao Paulo, and was there twice in Havana.
    ("2018-11-03T12:00", "daily", "America/Sao_Paulo", "2018-11-04T01:00-02:00"),
    ("2026-10-31T12:00", "daily", "America/Havana", "2026-11-01T00:00-04:00"),
])
def test_months_years_and_clocks_that_change(after, cycle, zone, expected):
    found = next_reset(datetime.fromisoformat(after).replace(tzinfo=UTC), cycle, ZoneInfo(zone))
    assert found.isoformat(timespec="minutes") == expected


@given(moments, zones)
def test_never_is_never(after, zone):
    assert next_reset(after, "never", zone) is None


class Watch:
    """Looks at one user's cycle as the monitor does, with a clock that the test owns."""

    def __init__(self, cycle: str = "daily", zone=UTC):
        self.cycle, self.zone, self.total, self.resets = cycle, zone, Total(), []

    def look(self, now: datetime) -> None:
        for due in dues({"alice": self.cycle}, {"alice": self.total}, now, self.zone):
            assert due.expected == self.total.next_reset
            self.total = Total(cycle=due.cycle, next_reset=due.next_reset)
            if due.reset:
                self.resets.append(now)


@given(moments, cycles, zones, st.lists(st.integers(1, 3 * 86400), min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_with_a_clock_that_goes_on_each_reset_is_carried_out_once(began, cycle, zone, steps):
    watch, now, expected = Watch(cycle, zone), began, 0
    watch.look(now)
    for step in steps:
        later = now + timedelta(seconds=step)
        expected += next_reset(now, cycle, zone).astimezone(UTC) <= later
        now = later
        watch.look(now)
        watch.look(now)
    assert len(watch.resets) == expected


@given(moments, cycles, zones, st.lists(st.integers(-3600, 7200), max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_clock_that_is_set_back_causes_no_second_reset(began, cycle, zone, steps):
    watch, now, latest = Watch(cycle, zone), began, began
    watch.look(now)
    for step in steps:
        now += timedelta(seconds=step)
        latest = max(latest, now)
        watch.look(now)
    boundaries, moment = 0, began
    while (moment := next_reset(moment, cycle, zone).astimezone(UTC)) <= latest:
        boundaries += 1
    assert len(watch.resets) <= boundaries


def test_resets_that_fell_due_while_nobody_looked_are_one():
    watch = Watch()
    for day in (1, 15, 15, 16):
        watch.look(datetime(2027, 1, day, 12, tzinfo=UTC))
    assert [r.day for r in watch.resets] == [15, 16]


def test_a_new_cycle_waits_for_the_next_day_that_it_names():
    watch = Watch("never")
    watch.look(datetime(2027, 1, 10, tzinfo=UTC))
    watch.cycle = "monthly 5"
    watch.look(datetime(2027, 1, 11, tzinfo=UTC))
    watch.look(datetime(2027, 2, 4, 23, tzinfo=UTC))
    assert watch.resets == []
    watch.look(datetime(2027, 2, 5, tzinfo=UTC))
    assert [r.day for r in watch.resets] == [5]
    watch.cycle = "never"
    watch.look(datetime(2027, 6, 5, tzinfo=UTC))
    assert len(watch.resets) == 1 and watch.total.next_reset == 0


def test_a_clock_that_had_been_years_ahead_does_not_put_off_resets_for_years():
    watch = Watch()
    watch.look(datetime(2037, 1, 1, 12, tzinfo=UTC))
    watch.look(datetime(2027, 1, 1, 12, tzinfo=UTC))
    watch.look(datetime(2027, 1, 2, 0, 1, tzinfo=UTC))
    assert [r.year for r in watch.resets] == [2027]


def test_the_servers_zone_is_found_as_the_c_library_finds_it(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tehran")
    assert server_zone() == ZoneInfo("Asia/Tehran")
    monkeypatch.setenv("TZ", "Nowhere/Else")
    assert server_zone() == UTC
    monkeypatch.delenv("TZ")
    time.tzset()
    now = datetime.now().astimezone()
    assert now.astimezone(server_zone()).utcoffset() == now.utcoffset()
    monkeypatch.undo()
    time.tzset()


def test_a_clock_that_was_years_behind_for_a_while_ends_no_period_twice():
    """As on a machine without a clock of its own, until it has asked for the time."""
    day = datetime(2027, 3, 10, 12, tzinfo=UTC)
    noted = Total(cycle="monthly 1", next_reset=datetime(2027, 4, 1, tzinfo=UTC).timestamp(),
                  reset_at=datetime(2027, 3, 1, tzinfo=UTC).timestamp())
    (behind,) = dues({"alice": "monthly 1"}, {"alice": noted}, datetime(1970, 1, 5, tzinfo=UTC), UTC)
    noted = replace(noted, next_reset=behind.next_reset)
    (right,) = dues({"alice": "monthly 1"}, {"alice": noted}, day, UTC)
    assert (behind.reset, right.reset) == (False, False)
    noted = replace(noted, next_reset=right.next_reset)
    (due,) = dues({"alice": "monthly 1"}, {"alice": noted}, datetime(2027, 4, 1, tzinfo=UTC), UTC)
    assert due.reset


@given(moments, cycles, zones, st.lists(
    st.tuples(st.integers(1, 40 * 86400), st.integers(0, 20 * 365 * 86400)), max_size=20))
@settings(max_examples=200, deadline=None)
def test_looks_with_a_clock_that_is_behind_end_no_period_twice(began, cycle, zone, steps):
    """Each step is some time later, a look with a clock so far behind, and one with the right time."""
    now = next_reset(began, cycle, zone).astimezone(UTC)
    total, ended = Total(reset_at=now.timestamp()), set()
    for later, behind in [(0, 0), *steps]:
        now += timedelta(seconds=later)
        for seen in (now, now - timedelta(seconds=behind), now):
            for due in dues({"alice": cycle}, {"alice": total}, seen, zone):
                total = replace(total, cycle=due.cycle, next_reset=due.next_reset)
                if due.reset:
                    total = replace(total, reset_at=seen.timestamp())
                    period = next_reset(seen, cycle, zone).astimezone(UTC)
                    assert period not in ended
                    ended.add(period)


@pytest.mark.parametrize("text, same", [
    (":/etc/localtime", ""), ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"), ("UTC-3", "Europe/Moscow"),
    ("CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Berlin"), ("", "UTC")])
def test_every_form_of_tz_means_what_it_means_to_the_c_library(monkeypatch, text, same):
    monkeypatch.setenv("TZ", text)
    found = server_zone()
    monkeypatch.delenv("TZ")
    expected = ZoneInfo(same) if same else server_zone()
    for month in (1, 7):
        moment = datetime(2027, month, 1, tzinfo=UTC)
        assert moment.astimezone(found).utcoffset() == moment.astimezone(expected).utcoffset()


@pytest.mark.parametrize("text", ["Europe/Berlin", "UTC-3", ":/etc/localtime", "", "MSK-3MSD,M3.5.0,M10.5.0/3"])
def test_a_known_zone_is_no_problem(monkeypatch, text):
    monkeypatch.setenv("TZ", text)
    assert zone_problem() is None


@pytest.mark.parametrize("text", ["Europe/Moskva", "Europe", "/usr/share/zoneinfo/Europe/Moskva", "../../etc/passwd",
                                  "/etc/passwd", "<+25>-25", "-3", "GMT+3 "])
def test_an_unknown_zone_is_told_with_what_is_used(fleet, monkeypatch, text):
    monkeypatch.setenv("TZ", text)
    (problem,) = fleet.status().problems
    assert zone_problem() == Problem("zone.unknown", {"name": text}) and problem == sentence(zone_problem())
    assert server_zone() == UTC
