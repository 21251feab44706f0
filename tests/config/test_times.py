"""One range for times: whatever a file or a person says, no zone and no calendar leads out of it."""

from __future__ import annotations

import os
import time
import zoneinfo
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.config import times
from app.config.model import dump, load
from app.config.values import parse_expiry
from app.control.snapshot import Snapshot
from app.control.views import user_view
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.lib.zone import server_zone
from app.rules import cycles
from app.rules.limits import expired
from app.web import formats

SECRET = "ee" + "11" * 16 + b"www.example.com".hex()
ZONES = sorted(zoneinfo.available_timezones())
ANY_ZONE = st.sampled_from([*ZONES, "<-23>23:59:59", "<+23>-23:59:59"])
OFFSETS = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
#: As other programs write it: without a zone, in UTC, or with an offset; every year that can be written.
WRITTEN = st.datetimes(timezones=st.none() | st.just(UTC) | OFFSETS).map(lambda at: at.isoformat())
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@contextmanager
def server_in(zone: str):
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


def declared(written: str):
    return load({"users": [{"name": "Bob", "secret": SECRET, "port": 2443, "id": "b0b", "expires_at": written,
                            "created_at": written, "old_links": [
                                {"secret": SECRET, "replaced_at": written, "until": written}]}]})


@given(WRITTEN, ANY_ZONE)
@example("9999-12-31T23:59:59Z", "Asia/Tokyo")
@example("0001-01-01T00:00:00Z", "America/New_York")
@example("9999-12-31T23:59:59", "America/New_York")
@example("1971-06-01T00:00:00", "Africa/Monrovia")
@settings(max_examples=250, deadline=None)
def test_a_time_of_the_file_is_read_saved_and_shown_in_every_zone(written, zone):
    with server_in(zone):
        config = declared(written)
        assert load(dump(config)) == config
        user = config.users[0]
        at_home = server_zone()
        view = user_view(user, Snapshot(
            config=config, observed={}, unavailable="", totals={}, problems={}, refusals={}, throttles={}, verified={},
            device_limits={}, refused_addresses={}, connected={}, last_uses={}, slow={}, public_port=443,
            engines=by_name(Builtin()), placed={}, not_moved={}, closed_covers={}, today={},
            now=NOW.astimezone(at_home), zone=at_home,
            server="203.0.113.7"))
        for iso in (view.created_at, view.expires_at, *(old.until for old in view.old_links)):
            if iso:
                assert formats.day(iso) and formats.moment(iso) and formats.ago(iso) and formats.last_day(iso)
                assert formats.date_field(iso)


@pytest.mark.parametrize("written, ends", [
    ("9999-12-31T23:59:59Z", "never"), ("9500-01-01T00:00:00+14:00", "never"), ("0001-01-01T00:00:00Z", "over"),
    ("1970-01-01T00:00:00", "over"), ("2027-01-31T00:00:00Z", "later"), ("8999-12-31T00:00:00", "later")])
def test_an_end_beyond_the_range_never_comes_or_is_over(written, ends):
    user = declared(written).users[0]
    assert (user.expires_at is None) == (ends == "never")
    assert expired(user, NOW) == (ends == "over")


@given(WRITTEN | st.datetimes().map(lambda at: f"{at:%Y-%m-%d}".rjust(10, "0")), ANY_ZONE)
@example("9999-12-31T23:00", "UTC")
@example("9999-12-31", "UTC")
@example("0001-01-01T00:00:00+00:00", "America/New_York")
@settings(max_examples=250, deadline=None)
def test_what_is_typed_is_within_the_range_or_refused_with_what_is(text, zone):
    with server_in(zone):
        try:
            moment = parse_expiry(text)
        except ValueError as refused:
            assert "from 1971 to 8999" in str(refused) and "never" in str(refused)
            assert not 1972 < int(text[:4]) < 8999
            return
        assert times.EARLIEST <= moment < times.LATEST
    with server_in("Pacific/Kiritimati"):
        assert formats.last_day(moment.isoformat()) and load(dump(declared(moment.isoformat())))


@given(st.floats(allow_nan=False) | st.integers(-10**18, 10**18), ANY_ZONE)
@settings(max_examples=200, deadline=None)
def test_seconds_of_a_broken_clock_are_a_moment_too(seconds, zone):
    with server_in(zone):
        for moment in (times.at(seconds), times.at(seconds, server_zone())):
            assert times.EARLIEST <= moment <= times.LATEST
            assert cycles.next_reset(moment, "monthly 31", server_zone()) > moment


def test_every_zone_of_this_system_takes_both_ends_of_the_range():
    for zone in map(zoneinfo.ZoneInfo, ZONES):
        for end in (times.EARLIEST, times.LATEST):
            assert end.astimezone(zone) - timedelta(days=366) < end.astimezone(zone) + timedelta(days=36500)


@pytest.mark.parametrize("text", ["31.01.2027", "2027-02-30", "tomorrow"])
def test_what_is_no_date_is_refused_with_an_example(text):
    for read in (times.typed, parse_expiry):
        with pytest.raises(ValueError, match="is not a date; write 2027-01-31"):
            read(text)
