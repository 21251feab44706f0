"""Words for people: bytes, speeds, dates, cycles and waiting times, as template filters, and what a page says
of the machine: its time zone, and how the command line is called on it."""

from __future__ import annotations

import math
import shlex
from datetime import datetime, timedelta

from flask import Flask

from app import commands
from app.config.values import WEEKDAYS, parse_cycle
from app.lib import zone
from app.lib.units import size
from app.messages import Problem
from app.messages import sentence as in_words
from app.messages.english.fields import words
from app.web.context import the_system


def init_app(app: Flask) -> None:
    """Makes these functions template filters, and the last two functions, of the same names."""
    for function in (size, gigabytes, speed, rate, last_day, day, moment, ago, cycle, percent, count, sentence):
        app.add_template_filter(function)
    app.add_template_filter(in_words, "in_words")
    app.add_template_filter(shlex.quote, "quoted")  # a word of a command, for a shell
    app.add_template_global(server_zone)
    app.add_template_global(command_line)
    app.add_template_global(field_label)


def gigabytes(limit: int | float) -> str:
    """A limit in GB as "50 GB", "0.5 GB"."""
    return f"{limit:g} GB"


def speed(mbps: int | float) -> str:
    """A speed in Mbit/s as "5 Mbit/s"."""
    return f"{mbps:g} Mbit/s"


def rate(bytes_per_second: int | float) -> str:
    """What is moved now as "850 kbit/s", "3.4 Mbit/s": in bits of 1000, like the speed after the limit."""
    amount, unit = bytes_per_second * 8 / 1000, "kbit/s"
    if amount >= 999.5:
        amount, unit = amount / 1000, "Mbit/s"
    digits = 0 if unit == "kbit/s" or amount >= 99.95 else 1
    return f"{f'{amount:.{digits}f}'.removesuffix('.0')} {unit}"


def last_day(iso: str | None) -> str:
    """When access ends, in the server's time zone: "31 Jan 2027", or "31 Jan 2027, 18:00 UTC"; "" for None.

    Midnight ends the day before it: that day is what the operator typed.
    """
    if not iso:
        return ""
    end = _local(iso)
    if (end.hour, end.minute) == (0, 0):
        return day((end - timedelta(days=1)).isoformat())
    return moment(iso)


def day(iso: str) -> str:
    """The date of an ISO time in the server's time zone, as "1 Mar 2026"."""
    date = _local(iso)
    return f"{date.day} {date:%b %Y}"


def moment(iso: str) -> str:
    """The date and time of an ISO time in the server's time zone, which it names: "1 Mar 2026, 18:00 UTC"."""
    return f"{day(iso)}, {_local(iso):%H:%M %Z}"


def ago(iso: str) -> str:
    """How long ago an ISO time was: "12 s ago", "5 min ago", "3 h ago"; from a day on, its date."""
    seconds = max(0, int((datetime.now().astimezone() - datetime.fromisoformat(iso)).total_seconds()))
    for unit, length, most in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 86400)):
        if seconds < most:
            return f"{seconds // length} {unit} ago"
    return f"on {day(iso)}"


def cycle(text: str) -> str:
    """A reset cycle as "never", "daily", "weekly on Monday", "monthly on the 15th"."""
    kind, number = parse_cycle(text)
    if kind == "weekly":
        return f"weekly on {WEEKDAYS[number].capitalize()}"
    if kind == "monthly":
        ending = "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
        return f"monthly on the {number}{ending}"
    return kind


def date_field(iso: str | None) -> str:
    """`last_day` as a date input wants it: "2027-01-31", "" for None."""
    if not iso:
        return ""
    return f"{_local(iso) - timedelta(seconds=1):%Y-%m-%d}"


def percent(part: int | float, whole: int | float) -> int:
    """part / whole in whole percent, at least 0 and at most 100; 0 when the whole is 0."""
    return max(0, min(100, math.floor(100 * part / whole))) if whole else 0


def duration(seconds: float) -> str:
    """A waiting time as "45 seconds", "1 minute", "5 minutes", rounded up: never too early."""
    whole = max(1, math.ceil(seconds))
    count, unit = (whole, "second") if whole < 60 else (math.ceil(whole / 60), "minute")
    return f"{count} {unit}" + ("" if count == 1 else "s")


def count(number: int | str, unit: str) -> str:
    """So many of something, as "1 day", "7 days"."""
    return f"{number} {unit}" + ("" if str(number) == "1" else "s")


def sentence(told: Problem | str) -> str:
    """A problem, or a message, with its first letter in upper case; the command line's begin with a small one.

    A name stays as it is written: www.example.com, mtg-proxy-2443, sni_mode, iPhone.
    """
    text = in_words(told) if isinstance(told, Problem) else told
    first = text.split(maxsplit=1)[0].rstrip(".,:;") if text.strip() else ""
    is_name = first[1:] != first[1:].lower() or any(c.isdigit() or c in "._/@" for c in first)
    return text if is_name else text[:1].upper() + text[1:]


def server_zone() -> str:
    """The server's time zone as its clocks name it: "UTC", "CET", "+03"."""
    return datetime.now(zone.server_zone()).tzname() or ""


def _local(iso: str) -> datetime:
    return datetime.fromisoformat(iso).astimezone(zone.server_zone())


def field_label(whose: str, key: str) -> str:
    """The name of a field that people may change. whose: "user" or "setting"."""
    return words(f"{whose}.{key}").label


def command_line() -> str:
    """How the command line is called for this panel; it holds paths, which are no business of strangers."""
    return commands.command_line(the_system().data_dir, anywhere=True)
