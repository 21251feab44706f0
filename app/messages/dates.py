"""Dates and times as people of a language write them, by the server's clock; a time says which zone that is."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from babel import Locale
from babel.dates import format_date, format_time, get_datetime_format

from app.lib.zone import server_zone

#: English as most of the world writes it: the day before the month, and 24 hours.
_ENGLISH = Locale("en", "GB")


def day(at: datetime, locale: Locale, length: str = "medium") -> str:
    """ "1 Mar 2026", in Russian "1 мар. 2026"; length "long": "1 March 2026"."""
    locale = _written(locale)
    # Without the word for "year" after it, which ends with a full stop: a sentence that ends there would have two.
    pattern = re.sub(r"\s'\w+'\.$", "", str(locale.date_formats[length].pattern))
    return str(format_date(_local(at), pattern, locale=locale))


def moment(at: datetime, locale: Locale) -> str:
    """ "1 Mar 2026, 18:00 CET"."""
    at, locale = _local(at), _written(locale)
    time = f"{format_time(at, 'short', locale=locale)} {zone_name(at)}"
    return str(get_datetime_format("medium", locale=locale)).replace("{1}", day(at, locale)).replace("{0}", time)


def last_day(at: datetime, locale: Locale) -> str:
    """The end of something: as moment(), but midnight ends the day before it, which is the day that was typed."""
    at = _local(at)
    return moment(at, locale) if (at.hour, at.minute) != (0, 0) else day(at - timedelta(days=1), locale)


def zone_name(at: datetime) -> str:
    """What the server's time zone is called at that moment: "UTC", "CET", "UTC+03:30"."""
    at = _local(at)
    name = at.tzname() or ""
    # Most zones have no letters of their own, and "+0330" alone reads as a part of the time.
    return name if name.isalpha() else f"UTC{at.isoformat()[-6:]}"


def written(iso: str, kind: str, locale: Locale) -> str:
    """A value of a message, which is an ISO 8601 time; kind: "day", "moment" or "end". What is no time is as it was:
    older versions kept some as they were shown."""
    try:
        return {"day": day, "moment": moment, "end": last_day}[kind](datetime.fromisoformat(iso), locale)
    except (ValueError, OverflowError):
        return iso


def _local(at: datetime) -> datetime:
    return at.astimezone(server_zone()) if at.tzinfo else at.replace(tzinfo=server_zone())


def _written(locale: Locale) -> Locale:
    return _ENGLISH if locale.language == "en" else locale
