"""Words for people: bytes, speeds, dates, cycles and waiting times, as template filters, and what a page says
of the machine: its time zone, and how the command line is called on it."""

from __future__ import annotations

import math
import shlex
from datetime import date, datetime, timedelta

from flask import Flask, url_for

from app import commands
from app.config.values import parse_cycle
from app.lib import units, zone
from app.messages import Problem, dates
from app.messages.english.fields import words
from app.web.context import the_system
from app.web.language import gettext, in_words, locale, ngettext, number
from app.web.setting_groups import group_of

#: What sizes are given in. Of the five, one is looked up for each of a chart's hundreds of numbers.
_UNITS = {"B": lambda: gettext("B"), "kB": lambda: gettext("kB"), "MB": lambda: gettext("MB"),
          "GB": lambda: gettext("GB"), "TB": lambda: gettext("TB")}


def init_app(app: Flask) -> None:
    """Makes these functions template filters, and the last ones globals, of the same names."""
    for function in (size, gigabytes, speed, rate, last_day, day, moment, ago, cycle, percent, count, sentence,
                     state_name, part_name, of_limit, who):
        app.add_template_filter(function)
    app.add_template_filter(in_words)
    app.add_template_test(is_date, "a_date")
    app.add_template_filter(shlex.quote, "quoted")  # a word of a command, for a shell
    app.add_template_global(server_zone)
    app.add_template_global(command_line)
    app.add_template_global(commands.host_command)
    app.add_template_global(field_label)
    app.add_template_global(setting_page)
    app.add_template_global(unit_name)
    app.add_template_global(role_name)
    app.add_template_global(role_text)


def size(count: int | float) -> str:
    """Bytes as "0 B", "1.5 MB", "312 GB"; 1 kB = 1024 bytes, as in the traffic limits."""
    amount, unit = units.size(count).split()
    return f"{number(amount)} {_UNITS[unit]()}"


def gigabytes(limit: int | float) -> str:
    """A limit in GB as "50 GB", "0.5 GB"."""
    return gettext("%(amount)s GB", amount=number(f"{limit:g}"))


def of_limit(used_bytes: int, limit_gb: int | float) -> str:
    """What was used of a limit, in one unit: "0.46 of 0.5 GB". Rounded down: the limit reads as used when it is."""
    used = used_bytes / 1024**3
    digits = 2 if used < 10 else 1 if used < 100 else 0
    amount = f"{math.floor(used * 10**digits) / 10**digits:.{digits}f}"
    shown = (amount.rstrip("0").rstrip(".") if digits else amount) if float(amount) or not used else "<0.01"
    return gettext("%(used)s of %(limit)s", used=number(shown), limit=gigabytes(limit_gb))


def unit_name(unit: str) -> str:
    """In what the number of a field is given, after its label: "in days"."""
    names = {"days": gettext("in days"), "hours": gettext("in hours"), "minutes": gettext("in minutes"),
             "s": gettext("in seconds"), "MB": gettext("in MB"), "GB": gettext("in GB"), "Mbit/s": gettext("in Mbit/s")}
    return names[unit]


def speed(mbps: int | float) -> str:
    """A speed in Mbit/s as "5 Mbit/s"."""
    return gettext("%(amount)s Mbit/s", amount=number(f"{mbps:g}"))


def rate(bytes_per_second: int | float) -> str:
    """What is moved now as "850 kbit/s", "3.4 Mbit/s": in bits of 1000, like the speed after the limit."""
    kilobits = bytes_per_second * 8 / 1000
    if kilobits < 999.5:
        return gettext("%(amount)s kbit/s", amount=f"{kilobits:.0f}")
    digits = 0 if kilobits >= 99_950 else 1
    return gettext("%(amount)s Mbit/s", amount=number(f"{kilobits / 1000:.{digits}f}".removesuffix(".0")))


def last_day(iso: str | None) -> str:
    """When access ends, in the server's time zone: "31 Jan 2027", or "31 Jan 2027, 18:00 UTC"; "" for None.

    Midnight ends the day before it: that day is what the operator typed.
    """
    if not iso:
        return ""
    return dates.last_day(datetime.fromisoformat(iso), locale())


def day(iso: str) -> str:
    """The date of an ISO time in the server's time zone, as "1 Mar 2026"."""
    return dates.day(datetime.fromisoformat(iso), locale())


def moment(iso: str) -> str:
    """The date and time of an ISO time in the server's time zone, which it names: "1 Mar 2026, 18:00 UTC"."""
    return dates.moment(datetime.fromisoformat(iso), locale())


def ago(iso: str) -> str:
    """How long ago an ISO time was: "12 s ago", "5 min ago", "3 h ago"; from a day on, its date."""
    seconds = max(0, int((datetime.now().astimezone() - datetime.fromisoformat(iso)).total_seconds()))
    if seconds < 60:
        return gettext("%(count)s s ago", count=seconds)
    if seconds < 3600:
        return gettext("%(count)s min ago", count=seconds // 60)
    if seconds < 86400:
        return gettext("%(count)s h ago", count=seconds // 3600)
    return gettext("on %(day)s", day=day(iso))


def cycle(text: str) -> str:
    """A reset cycle as "never", "daily", "weekly on Monday", "monthly on the 15th"."""
    kind, number = parse_cycle(text)
    if kind == "weekly":
        return (gettext("weekly on Monday"), gettext("weekly on Tuesday"), gettext("weekly on Wednesday"),
                gettext("weekly on Thursday"), gettext("weekly on Friday"), gettext("weekly on Saturday"),
                gettext("weekly on Sunday"))[number]
    if kind == "monthly":
        return gettext("monthly on the %(day)s", day=_ordinal(number))
    return gettext("daily") if kind == "daily" else gettext("never")


def _ordinal(number: int) -> str:
    """A day of the month as "1st", "2nd", "15th"."""
    if number in (1, 21, 31):
        return gettext("%(number)sst", number=number)
    if number in (2, 22):
        return gettext("%(number)snd", number=number)
    if number in (3, 23):
        return gettext("%(number)srd", number=number)
    return gettext("%(number)sth", number=number)


def date_field(iso: str | None) -> str:
    """`last_day` as a date input wants it: "2027-01-31", "" for None."""
    if not iso:
        return ""
    return f"{_local(iso) - timedelta(seconds=1):%Y-%m-%d}"


def is_date(text: str) -> bool:
    """Whether a date input takes it, and so shows it: what else was typed vanishes there."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def percent(part: int | float, whole: int | float) -> int:
    """part / whole in whole percent, at least 0 and at most 100; 0 when the whole is 0."""
    return max(0, min(100, math.floor(100 * part / whole))) if whole else 0


def duration(seconds: float) -> str:
    """A waiting time as "45 seconds", "1 minute", "5 minutes", rounded up: never too early."""
    whole = max(1, math.ceil(seconds))
    return count(whole, "second") if whole < 60 else count(math.ceil(whole / 60), "minute")


def count(number: int | str, unit: str) -> str:
    """So many of a unit of time ("second", "minute", "hour", "day"), as "1 day", "7 days"."""
    whole = int(number) if str(number).isdecimal() else 0
    spoken = {"second": ngettext("%(num)s second", "%(num)s seconds", whole, num=number),
              "minute": ngettext("%(num)s minute", "%(num)s minutes", whole, num=number),
              "hour": ngettext("%(num)s hour", "%(num)s hours", whole, num=number),
              "day": ngettext("%(num)s day", "%(num)s days", whole, num=number)}
    return spoken[unit]


def state_name(state: str) -> str:
    """The state of a user as a label: "Running", "Blocked"."""
    names = {"running": gettext("Running"), "starting": gettext("Starting"), "stopped": gettext("Stopped"),
             "disabled": gettext("Disabled"), "expired": gettext("Expired"), "blocked": gettext("Blocked"),
             "failed": gettext("Failed"), "unknown": gettext("Unknown")}
    return names.get(state, state.capitalize())


def sentence(told: Problem | str) -> str:
    """A problem, or a message, with its first letter in upper case; the command line's begin with a small one.

    A name stays as it is written: www.example.com, mtg-proxy-2443, sni_mode, iPhone.
    """
    text = in_words(told) if isinstance(told, Problem) else told
    first = text.split(maxsplit=1)[0].rstrip(".,:;") if text.strip() else ""
    is_name = first[1:] != first[1:].lower() or any(c.isdigit() or c in "._/@" for c in first)
    return text if is_name else text[:1].upper() + text[1:]


def who(actor: str) -> str:
    """An actor of the audit log, for people."""
    source, _, name = actor.partition(":")
    if name:
        return name
    return str({"cli": gettext("command line"), "panel": gettext("the panel itself")}.get(source, source))


def role_name(role: str) -> str:
    """What a role is called."""
    return {"owner": gettext("Owner"), "operator": gettext("Operator"), "viewer": gettext("Viewer")}[role]


def role_text(role: str) -> str:
    """What an admin of this role may do."""
    return {"owner": gettext("may do everything: users, settings and admins"),
            "operator": gettext("may add and change users, and see their links; no settings, no admins"),
            "viewer": gettext("sees users and their traffic; no links, and no changes")}[role]


def part_name(about: str) -> str:
    """What the doctor looked at, as it stands before what it found."""
    names = {"panel": gettext("Panel"), "disk": gettext("Disk"), "memory": gettext("Memory"),
             "configuration": gettext("Configuration"), "installation": gettext("Installation"),
             "address": gettext("Address"), "images": gettext("Images"), "proxies": gettext("Proxies"),
             "links": gettext("Links"), "domains": gettext("Domains"), "from outside": gettext("From outside")}
    return names.get(about, about.capitalize())


def server_zone() -> str:
    """What the server's time zone is called now: "UTC", "CET", "UTC+03:30"."""
    return dates.zone_name(datetime.now().astimezone())


def _local(iso: str) -> datetime:
    return datetime.fromisoformat(iso).astimezone(zone.server_zone())


def field_label(whose: str, key: str) -> str:
    """The name of a field that people may change. whose: "user" or "setting"."""
    return gettext(words(f"{whose}.{key}").label)


def setting_page(key: str) -> str:
    """The address of a setting in the panel."""
    return url_for("settings.show", page=group_of(key).name, _anchor=f"at-{key}")


def field_hint(whose: str, key: str, **values: object) -> str:
    """What stands below the field: what to type, and what follows from it. values: those of its {parameters}."""
    return gettext(words(f"{whose}.{key}").hint).format_map(values) if words(f"{whose}.{key}").hint else ""


def command_line() -> str:
    """How the command line is called for this panel; it holds paths, which are no business of strangers."""
    return commands.command_line(the_system().data_dir, anywhere=True)
