"""Traffic as a chart shows it: a period in equal parts, with the one before as its shape behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from app.control.system import System
from app.ledger import history
from app.ledger.history import DAY, HOUR, TEN_SECONDS
from app.rules.users import find

MINUTE = 60

#: What a chart can show, the shortest first: 60 minutes, 24 hours, 30 days, 12 months. All end with the part that is
#: going on.
PERIODS = ("hour", "day", "month", "year")


@dataclass(frozen=True)
class Series:
    """Traffic of one period. at: Unix seconds at which each part begins, the oldest first; days and months begin at
    midnight of the server's clock. down, up: bytes in each part. before: bytes in both directions in each part of the
    period before, None if nothing is kept of it. estimated: whether some of it may be an estimate."""

    period: str
    at: list[int]
    down: list[int]
    up: list[int]
    before: list[int] | None
    estimated: bool

    def to_json(self) -> dict[str, object]:
        return {"period": self.period, "at": self.at, "down": self.down, "up": self.up, "before": self.before,
                "estimated": self.estimated}


def of(system: System, period: str, ref: str = "") -> Series:
    """Of everybody, or of one user, up to now. Raises Refused if there is no such user, ValueError for a period that is
    none of PERIODS."""
    now = system.reconciler.now().timestamp()
    user_id = find(system.declaration.last_good(), ref).id if ref else None
    starts, before, step = edges(period, now)
    points = system.ledger.traffic.history(user_id, before[0], step)
    down, up = _in_parts(points, starts)
    earlier_down, earlier_up = _in_parts(points, before)
    earlier = [sum(both) for both in zip(earlier_down, earlier_up)]
    return Series(period, starts[:-1], down, up, earlier if any(earlier) else None,
                  0 < system.ledger.traffic.estimated_since(user_id) < starts[-1])


def week(system: System, user_ids: Sequence[str]) -> dict[str, list[int]]:
    """Bytes that these users moved in each of the last 7 days, today last, by user id; users who moved nothing are
    missing."""
    today = datetime.fromtimestamp(system.reconciler.now().timestamp()).date()
    return system.ledger.traffic.daily(user_ids, [_midnight(today - timedelta(days=back)) for back in range(6, -1, -1)])


def edges(period: str, now: float) -> tuple[list[int], list[int], int]:
    """When the parts of the period begin, and those of the one before, each with the end of the last part, in Unix
    seconds; and the step of the ledger's points that they are added up from. Raises ValueError."""
    if period == "hour":
        return *_fixed(now, MINUTE, 60), TEN_SECONDS
    if period == "day":
        return *_fixed(now, HOUR, 24), HOUR
    today = datetime.fromtimestamp(now).date()
    if period == "month":
        days = [_midnight(today + timedelta(days=ahead)) for ahead in range(-59, 2)]
        return days[30:], days[:31], DAY
    if period == "year":
        months = [_midnight(_month(today, ahead)) for ahead in range(-23, 2)]
        return months[12:], months[:13], DAY
    raise ValueError(period)


def _fixed(now: float, length: int, count: int) -> tuple[list[int], list[int]]:
    end = history.begin(now, length) + length
    starts = [end - back * length for back in range(count, -1, -1)]
    return starts, [start - count * length for start in starts]


def _month(day: date, ahead: int) -> date:
    """The first day of the month so many months later."""
    months = day.year * 12 + day.month - 1 + ahead
    return date(months // 12, months % 12 + 1, 1)


def _midnight(day: date) -> int:
    # By noon, which every day has once: the ledger's days begin where this one says that it does.
    return history.begin(datetime(day.year, day.month, day.day, 12).timestamp(), DAY)


def _in_parts(points: list[history.Point], starts: list[int]) -> tuple[list[int], list[int]]:
    """(down, up) bytes in each part; starts: the end of the last part, too."""
    down, up, index = [], [], 0
    for begin, end in pairwise(starts):
        sums = [0, 0]
        while index < len(points) and points[index].at < end:
            if points[index].at >= begin:
                sums[0] += points[index].down
                sums[1] += points[index].up
            index += 1
        down.append(sums[0])
        up.append(sums[1])
    return down, up
