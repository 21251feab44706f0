"""What to offer to somebody whose limit or access has run out, or soon will. Pure."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, tzinfo

#: Days by which access is offered to be extended.
DAYS = (7, 30, 90, 365)


def higher_limits(limit_gb: float, used_bytes: int) -> list[float]:
    """Limits in GB above what was used and above the one there is: about a fifth, a half and as much again more."""
    base = max(limit_gb, used_bytes / 1024**3)
    found = dict.fromkeys(_rounded_up(base * times) for times in (1.2, 1.5, 2))
    return [each for each in found if each > base]


def later_days(expires_at: datetime | None, now: datetime, zone: tzinfo) -> list[tuple[int, date]]:
    """(days, the last day of access) for each of DAYS, from the last day there is; from today where access has ended,
    or has no end. Days of the zone."""
    today = now.astimezone(zone).date()
    # Midnight ends the day before it.
    last = max(today, (expires_at.astimezone(zone) - timedelta(seconds=1)).date()) if expires_at else today
    return [(days, last + timedelta(days=days)) for days in DAYS if last.year + days // 365 < date.max.year]


def _rounded_up(amount: float) -> float:
    """To two digits that people would type: 0.6, 6, 7.5, 60, 125."""
    step = 10.0 ** math.floor(math.log10(max(amount, 0.01))) / 4
    return round(math.ceil(round(amount / step, 6)) * step, 4)
