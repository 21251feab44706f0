"""Numbers for people."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.web.formats import (
    ago,
    count,
    cycle,
    date_field,
    day,
    duration,
    last_day,
    moment,
    of_limit,
    percent,
    rate,
    sentence,
    server_zone,
    size,
    speed,
)

KB, MB, GB, TB = 1024, 1024**2, 1024**3, 1024**4

#: What the clocks of this machine call their time in January.
ZONE = datetime(2027, 1, 31).astimezone().tzname()


@pytest.mark.parametrize(("count", "shown"), [
    (0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "1 kB"), (1536, "1.5 kB"),
    (10 * KB, "10 kB"), (999 * KB, "999 kB"), (1000 * KB, "1 MB"), (1.25 * GB, "1.2 GB"),
    (99.94 * GB, "99.9 GB"), (99.96 * GB, "100 GB"), (415 * GB, "415 GB"),
    (3.2 * TB, "3.2 TB"), (5000 * TB, "5000 TB"),
])
def test_sizes_are_short_and_count_in_1024(count: float, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(("part", "whole", "shown"), [
    (0, 10, 0), (5, 10, 50), (99.99, 100, 99), (10, 10, 100), (11, 10, 100), (5, 0, 0)])
def test_a_limit_reads_100_percent_only_when_it_is_reached(part: float, whole: float, shown: int) -> None:
    assert percent(part, whole) == shown


@pytest.mark.parametrize(("seconds", "shown"), [
    (0, "1 second"), (0.2, "1 second"), (59.2, "1 minute"), (60, "1 minute"), (61, "2 minutes"),
    (299.5, "5 minutes")])
def test_a_wait_is_never_told_too_short(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_midnight_belongs_to_the_day_before() -> None:
    midnight = datetime(2027, 2, 1).astimezone().isoformat()
    assert (last_day(midnight), date_field(midnight)) == ("31 Jan 2027", "2027-01-31")
    evening = datetime(2027, 1, 31, 18).astimezone().isoformat()
    assert (last_day(evening), date_field(evening)) == (f"31 Jan 2027, 18:00 {ZONE}", "2027-01-31")
    assert (last_day(None), date_field(None)) == ("", "")


def test_speeds_have_no_idle_zeros() -> None:
    assert (speed(5.0), speed(0.5)) == ("5 Mbit/s", "0.5 Mbit/s")


@pytest.mark.parametrize(("count", "shown"), [
    (0, "0 kbit/s"), (125, "1 kbit/s"), (12_500, "100 kbit/s"), (124_900, "999 kbit/s"),
    (125_000, "1 Mbit/s"),
    (425_000, "3.4 Mbit/s"), (12_500_000, "100 Mbit/s"), (250_000_000, "2000 Mbit/s")])
def test_what_is_moved_now_is_told_in_bits_like_the_speed_after_the_limit(count: int, shown: str) -> None:
    assert rate(count) == shown


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """When it is now: the clock stands still."""
    moment = datetime(2027, 1, 31, 12).astimezone()

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return moment

    monkeypatch.setattr("app.web.formats.datetime", Stopped)
    return moment


@pytest.mark.parametrize(("seconds", "shown"), [
    (-90, "0 s ago"), (12.5, "12 s ago"), (61, "1 min ago"), (3599, "59 min ago"), (3605, "1 h ago"),
    (86_000, "23 h ago")])
def test_a_time_ago_has_one_unit(seconds: float, shown: str, noon: datetime) -> None:
    assert ago((noon - timedelta(seconds=seconds)).isoformat()) == shown


def test_from_a_day_on_a_time_ago_is_its_date(noon: datetime) -> None:
    long_ago = (noon - timedelta(days=3)).isoformat()
    assert ago(long_ago) == f"on {day(long_ago)}"


@pytest.mark.parametrize(("text", "shown"), [
    ("never", "never"), ("daily", "daily"), ("weekly monday", "weekly on Monday"),
    ("monthly 1", "monthly on the 1st"), ("monthly 2", "monthly on the 2nd"),
    ("monthly 3", "monthly on the 3rd"),
    ("monthly 11", "monthly on the 11th"), ("monthly 12", "monthly on the 12th"),
    ("monthly 13", "monthly on the 13th"), ("monthly 21", "monthly on the 21st"),
    ("monthly 30", "monthly on the 30th"), ("monthly 31", "monthly on the 31st")])
def test_cycles_are_words(text: str, shown: str) -> None:
    assert cycle(text) == shown


@pytest.mark.parametrize(("number", "shown"), [(0, "0 days"), (1, "1 day"), ("1", "1 day"), (7, "7 days")])
def test_one_day_is_no_days(number: int | str, shown: str) -> None:
    assert count(number, "day") == shown


@pytest.mark.parametrize(("text", "shown"), [
    ("a name is needed", "A name is needed"), ("can't be started", "Can't be started"), ("", ""), (" ", " "),
    ("'x' is not allowed", "'x' is not allowed"), ("www.example.com has no address", "www.example.com has no address"),
    ("mtg-proxy-2443 can't be started", "mtg-proxy-2443 can't be started"),
    ("sni_mode own needs", "sni_mode own needs"), ("iPhone is added.", "iPhone is added.")])
def test_a_sentence_begins_with_a_capital_unless_it_begins_with_a_name(text: str, shown: str) -> None:
    assert sentence(text) == shown


def test_a_time_of_day_names_its_zone() -> None:
    evening = datetime(2027, 1, 31, 18).astimezone().isoformat()
    assert moment(evening) == f"31 Jan 2027, 18:00 {ZONE}" and ZONE and server_zone()



@pytest.mark.parametrize(("used", "limit", "shown"), [
    (0, 10, "0 of 10 GB"), (3 * MB, 50, "<0.01 of 50 GB"), (0.469 * GB, 0.5, "0.46 of 0.5 GB"),
    (0.4999 * GB, 0.5, "0.49 of 0.5 GB"), (GB // 2, 0.5, "0.5 of 0.5 GB"), (1.5 * GB, 10, "1.5 of 10 GB"),
    (49.96 * GB, 50, "49.9 of 50 GB"), (512.6 * GB, 2000, "512 of 2000 GB")])
def test_what_was_used_of_a_limit_is_told_in_one_unit(used: float, limit: float, shown: str) -> None:
    assert of_limit(int(used), limit) == shown
