"""Times: the one range that the panel can reckon with, and how a moment is read from a file and from a person.

Python knows the years 1 to 9999, and fails where a time zone, a cycle or a grace period leads out of them.
Within EARLIEST and LATEST there is room on both sides for every such step, in every zone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from app.config.invalid import InvalidValue

EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """The current time with the server's own offset, to the second."""
    return datetime.now().astimezone().replace(microsecond=0)


def within(moment: datetime) -> datetime:
    """The moment (aware) itself, or the end of the range that it lies beyond."""
    return min(max(moment, EARLIEST), LATEST)


def at(seconds: float, zone: tzinfo | None = None) -> datetime:
    """Unix seconds as a moment in `zone` (None: the server's own), within the range."""
    seconds = min(max(seconds, EARLIEST.timestamp()), LATEST.timestamp())
    return datetime.fromtimestamp(seconds, zone) if zone else datetime.fromtimestamp(seconds).astimezone()


def read(value: Any) -> Any:
    """A moment of the file as an aware one; other values are left to pydantic. Raises ValueError.

    The panel before us wrote local times without a zone.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if not isinstance(value, datetime) or value.tzinfo:
        return value
    # Beyond the range, no zone can be added, and none is needed.
    return value.astimezone() if EARLIEST.year < value.year < LATEST.year else value.replace(tzinfo=UTC)


def kept(moment: datetime) -> datetime:
    """The moment as the file holds it: within the range, and with an offset that can be written - in the 1970s
    some zones had odd seconds."""
    moment = within(moment)
    offset = moment.utcoffset()
    return moment if offset is not None and not offset % timedelta(minutes=1) else moment.astimezone(UTC)


def expiry(moment: datetime | None) -> datetime | None:
    """An end of access as read from the file: one that lies beyond the range never comes."""
    return None if moment is None or moment >= LATEST else moment


def typed(text: str) -> datetime:
    """A date, which means its first moment, or a date and time as a person types it, in the server's time zone.

    Raises InvalidValue.
    """
    return _typed(text.strip(), timedelta())


def parse_expiry(text: str) -> datetime | None:
    """A moment in the server's time zone. A bare date means the end of that day; "" and "never" mean None.

    Raises InvalidValue.
    """
    text = text.strip()
    if text.lower() in ("", "never", "none"):
        return None
    try:
        return _typed(text, timedelta(days=1) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else timedelta())
    except InvalidValue as error:
        raise InvalidValue("time.or_never", problem=error) from None


def _typed(text: str, later: timedelta) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue("time.no_date", typed=text) from None
    try:
        moment = (moment + later).astimezone()
        if EARLIEST <= moment < LATEST:
            return kept(moment)
    except (ValueError, OverflowError):
        pass  # a year that its zone leads out of
    raise InvalidValue("time.range", typed=text, first=EARLIEST.year, last=LATEST.year - 1)
