"""Numbers for people."""

from __future__ import annotations

from datetime import datetime

import pytest

from app.web.formats import date_field, duration, last_day, percent, size, speed

KB, MB, GB, TB = 1024, 1024**2, 1024**3, 1024**4


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
    assert (last_day(evening), date_field(evening)) == ("31 Jan 2027, 18:00", "2027-01-31")
    assert (last_day(None), date_field(None)) == ("", "")


def test_speeds_have_no_idle_zeros() -> None:
    assert (speed(5.0), speed(0.5)) == ("5 Mbit/s", "0.5 Mbit/s")
