"""The server's time zone, as the C library finds it (tzset(3)): TZ, which is the name of a zone, the path of its
file or its rules, else /etc/localtime, else UTC."""

from __future__ import annotations

import os
from datetime import datetime, timezone, tzinfo
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.lib.problem import Problem

_LOCALTIME = "/etc/localtime"


def server_zone() -> tzinfo:
    """The zone in which days begin and times are shown; UTC where TZ names none, as for the C library."""
    return _found() or timezone.utc


def zone_problem() -> Problem | None:
    """What is wrong with TZ; None if nothing is."""
    name = os.environ.get("TZ", "")
    if not name or _found():
        return None
    return Problem("zone.unknown", {"name": name})


def _found() -> tzinfo | None:
    name = os.environ.get("TZ", _LOCALTIME).removeprefix(":")
    try:
        if name.startswith("/"):
            return _of_file(name, os.stat(name).st_mtime_ns)
        return _of_name(name or "UTC")
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=16)
def _of_file(path: str, _changed: int) -> tzinfo:
    with Path(path).open("rb") as file:
        return _usable(ZoneInfo.from_file(file, key="localtime"))


@lru_cache(maxsize=16)
def _of_name(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ZoneInfoNotFoundError):
        # A file of the tz database ends with rules in this form; this one holds nothing else (RFC 8536).
        empty = b"TZif2" + bytes(39)
        return _usable(ZoneInfo.from_file(BytesIO(empty * 2 + b"\n" + name.encode() + b"\n"), key=name))


def _usable(zone: tzinfo) -> tzinfo:
    """Raises ValueError for rules of a day and more, which Python can't reckon with."""
    datetime(2027, 1, 1, tzinfo=timezone.utc).astimezone(zone)
    return zone
