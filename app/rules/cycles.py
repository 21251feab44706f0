"""When a reset cycle is due: pure functions of moments and time zones."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo

from app.config import times
from app.config.values import parse_cycle
from app.ledger.traffic import Due, Total

NEVER = "never"


def next_reset(after: datetime, cycle: str, zone: tzinfo) -> datetime | None:
    """The first reset later than `after` (aware): the midnight in `zone` that begins a day of the cycle.

    None for "never". Where clocks skip that midnight, the moment they skip it; where
    they show it twice, the first time.
    """
    for day in _days(after.astimezone(zone).date(), *parse_cycle(cycle)):
        # fold=0 reads a skipped hour by the clock before it: that is when it was skipped.
        moment = datetime.combine(day, time(), zone).astimezone(timezone.utc)
        if moment > after.astimezone(timezone.utc):
            return moment.astimezone(zone)
    return None


def dues(cycles: Mapping[str, str], totals: Mapping[str, Total], now: datetime, zone: tzinfo) -> list[Due]:
    """What is to be noted or carried out now, by user id and cycle; what is as it should be gets none.

    A cycle that is new for its user begins with the next day that it names. However many
    resets fell due since the last look, they are one. A clock that was set back causes none; one
    that had been far ahead is noticed by a date that lies beyond the next reset but one. A clock that
    had been far behind has moved that date back: no period is reset twice for that.
    """
    found = []
    for user_id, cycle in cycles.items():
        total = totals.get(user_id, Total())
        coming = next_reset(now, cycle, zone)
        at = coming.timestamp() if coming else 0.0
        known = total.cycle == cycle or (cycle == NEVER and not total.cycle)
        if known and not coming:
            continue
        overdue = known and total.next_reset <= now.timestamp()
        done = overdue and total.reset_at > 0 and coming == next_reset(
            times.at(total.reset_at, timezone.utc), cycle, zone)
        if known and not overdue:
            assert coming
            after_that = next_reset(coming, cycle, zone)
            if after_that is None or total.next_reset <= after_that.timestamp():
                continue
        found.append(Due(user_id, cycle, total.next_reset, at, overdue and not done))
    return found


def _days(first: date, kind: str, number: int) -> Iterator[date]:
    """Days of the cycle in order, beginning no later than the first one after `first`."""
    match kind:
        case "daily":
            for ahead in range(4):
                yield first + timedelta(days=ahead)
        case "weekly":
            monday = first - timedelta(days=first.weekday())
            for week in range(3):
                yield monday + timedelta(days=number, weeks=week)
        case "monthly":
            for month in range(first.month - 1, first.month + 2):
                year, index = first.year + month // 12, month % 12 + 1
                yield date(year, index, min(number, calendar.monthrange(year, index)[1]))
