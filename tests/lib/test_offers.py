"""What is offered to whoever has used up a limit, or whose access ends."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from app.rules.offers import DAYS, higher_limits, later_days

GB = 1024**3
NOW = datetime(2027, 3, 10, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(("limit", "used", "offered"), [
    (5, 5 * GB, [6, 7.5, 10]), (50, 50 * GB, [60, 75, 100]), (0.5, GB // 2, [0.6, 0.75, 1]),
    (5, 35.8 * GB, [45, 55, 72.5]), (1000, 0, [1250, 1500, 2000])])
def test_limits_above_what_was_used_are_offered(limit: float, used: float, offered: list[float]) -> None:
    found = higher_limits(limit, int(used))
    assert found == offered and all(each > used / GB for each in found)


def test_access_goes_on_from_its_last_day_and_from_today_where_it_has_ended() -> None:
    for expires, begin in ((datetime(2027, 3, 21, tzinfo=timezone.utc), date(2027, 3, 20)),
                           (datetime(2027, 1, 1, tzinfo=timezone.utc), date(2027, 3, 10)), (None, date(2027, 3, 10))):
        assert later_days(expires, NOW, timezone.utc) == [(days, begin + timedelta(days=days)) for days in DAYS]


def test_days_are_those_of_the_servers_clock_and_a_far_end_offers_nothing_impossible() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    midnight = datetime(2027, 3, 21, tzinfo=tokyo)
    assert later_days(midnight, NOW, tokyo)[0] == (7, date(2027, 3, 27))
    assert [days for days, _ in later_days(datetime(9999, 6, 1, tzinfo=timezone.utc), NOW, timezone.utc)] == []
