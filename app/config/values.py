"""The values of the declaration, one by one: how text is read, and what is allowed."""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from app.mtproto.secret import Secret, valid_domain

NAME_LENGTH = 64

#: How the installations before us spelled `proxy_prefer_ip`.
OLD_PREFER_IP = {"v4": "prefer-ipv4", "v6": "prefer-ipv6", "prefer-v4": "prefer-ipv4",
                 "prefer-v6": "prefer-ipv6"}
PREFER_IP = ("prefer-ipv4", "prefer-ipv6", "only-ipv4", "only-ipv6")

#: Looser than an SNI domain: the server may be called by a name of one label in its own network.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

#: [registry/]name[:tag][@digest], loosely: the engine is asked for it in the end.
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")


def _refuse_bool(value: Any) -> Any:
    # JSON's true would otherwise pass as the number 1.
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("not a number")
    return value


def _host(value: str) -> str:
    value = value.strip().strip("[]")
    if value and not is_ip(value) and not _HOST.fullmatch(value):
        raise ValueError("not a host")
    return value.lower()


def _ip(value: str) -> str:
    value = value.strip().strip("[]")
    return str(ipaddress.ip_address(value)) if value else ""


def _socks5(value: str) -> str:
    if value.strip():
        parse_socks5(value)
    return value.strip()


def _prefer_ip(value: Any) -> Any:
    value = OLD_PREFER_IP.get(value, value)
    if value not in PREFER_IP:
        raise ValueError("unknown")
    return value


def _dns(value: str) -> str:
    value = value.strip()
    if value:
        scheme, colon, rest = value.partition("://")
        known = scheme in ("https", "tls") and re.fullmatch(r"[^\s@]+", rest) if colon else is_ip(value)
        if not known:
            raise ValueError("not a resolver")
    return value


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value.strip()):
        raise ValueError("not an image name")
    return value.strip()


def _words(value: Any) -> Any:
    """A list as it is typed: words between spaces, commas or line ends; doubles are left out."""
    words = re.split(r"[\s,;]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list):
        raise ValueError("not a list")
    return list(dict.fromkeys(word for word in words if word != ""))


def _https(value: str) -> str:
    """https://host[:port][/path] without a fragment or a login."""
    value = value.strip()
    if value and not re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d{1,5})?(/[!-~]*)?", value):
        raise ValueError("not an https address")
    if any(character in value for character in "\"';{}\\$#"):
        raise ValueError("characters that have no place in an address")
    return value


def _site(value: str) -> str:
    value = _https(value).rstrip("/")
    if value.count("/") > 2:
        raise ValueError("a path")
    return value


def _email(value: str) -> str:
    value = value.strip()
    if value and not re.fullmatch(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", value):
        raise ValueError("not an e-mail address")
    return value


def _secret(value: str) -> str:
    return Secret.parse(value).hex


def _domain(value: str) -> str:
    return valid_domain(value) if value.strip() else ""


def _limit(value: Any) -> Any:
    # As typed: in the file, 0 says that there is none.
    return 0 if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def _name(value: str) -> str:
    if not value.strip():
        raise ValueError("empty")
    return value


def _local(value: Any) -> Any:
    # The old panel wrote local times without a zone.
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.astimezone()
    return value


Whole = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[float, BeforeValidator(_refuse_bool), AfterValidator(_finite)]
Text = Annotated[str, Field(strict=True)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
LocalTime = Annotated[AwareDatetime, BeforeValidator(_local)]
Name = Annotated[Text, AfterValidator(_name)]
Host = Annotated[Text, AfterValidator(_host)]
Address = Annotated[Text, AfterValidator(_ip)]
Domain = Annotated[Text, AfterValidator(valid_domain)]
DomainOrEmpty = Annotated[Text, AfterValidator(_domain)]
SecretText = Annotated[Text, AfterValidator(_secret)]
Socks5 = Annotated[Text, AfterValidator(_socks5)]
Dns = Annotated[Text, AfterValidator(_dns)]
Image = Annotated[Text, AfterValidator(_image)]
PreferIp = Annotated[Text, BeforeValidator(_prefer_ip)]

Domains = Annotated[list[Domain], BeforeValidator(_words)]
HttpsUrl = Annotated[Text, AfterValidator(_https)]
HttpsUrls = Annotated[list[HttpsUrl], BeforeValidator(_words)]
HttpsSite = Annotated[Text, AfterValidator(_site)]
Email = Annotated[Text, AfterValidator(_email)]

Limit = Annotated[Number, BeforeValidator(_limit)]
Cycle = Annotated[Text, AfterValidator(lambda value: cycle(value))]
OwnCycle = Annotated[Text, AfterValidator(lambda value: cycle(value) if value.strip() else "")]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

PORT_RULE = "a port: a whole number from 1 to 65535"
HOST_RULE = "a host name such as proxy.example.com, an IP address, or empty"
IP_RULE = "an IPv4 or IPv6 address, or empty"
DNS_RULE = ("an IP address, https://… (DNS over HTTPS) or tls://… (DNS over TLS), or empty for the system's "
            "own resolver")
IMAGE_RULE = "a Docker image name, such as mtg-custom or registry.example.com/mtg:2.2.8"
NAME_RULE = "any text that is not empty"
TIME_RULE = "a date and time such as 2027-01-31T12:00:00+03:00"
LIMIT_RULE = "GB (1024^3 bytes), from 0 to 1,000,000; 0 means"
SPEED_RULE = "Mbit/s (10^6 bits per second), from 0 to 100,000; 0 means"
CYCLE_RULE = ("never, daily, weekly and a weekday (weekly monday), or monthly and a day of the month "
              "(monthly 1; the 29th to the 31st mean the last day of a shorter month)")


def now() -> datetime:
    """The current time with the server's own offset, to the second."""
    return datetime.now().astimezone().replace(microsecond=0)


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def parse_socks5(text: str) -> tuple[str, int, str, str]:
    """(host, port, user, password) of `host:port` or `user:password@host:port`.

    The user and password may hold any character but a colon in the user name.
    Raises ValueError when it is neither.
    """
    login, at, address = text.strip().rpartition("@")
    user, colon, password = login.partition(":")
    host, _, port = address.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if at and not (user and colon):
        raise ValueError("user and password are missing before @")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError("the port is missing")
    if not is_ip(host) and not _HOST.fullmatch(host):
        raise ValueError("the host is missing")
    return host, int(port), user, password


def parse_cycle(text: str) -> tuple[str, int]:
    """("never", 0), ("daily", 0), ("weekly", 0 to 6 from Monday) or ("monthly", 1 to 31) of a reset cycle.

    A weekday may be shortened to its first three letters; without a day, Monday or
    the first is meant. Raises ValueError.
    """
    kind, _, day = text.strip().lower().partition(" ")
    day = day.strip()
    if kind in ("never", "daily") and not day:
        return kind, 0
    if kind == "weekly":
        for number, name in enumerate(WEEKDAYS):
            if (day or "monday") in (name, name[:3]):
                return kind, number
    if kind == "monthly" and re.fullmatch(r"\d{1,2}", day or "1") and 1 <= int(day or 1) <= 31:
        return kind, int(day or 1)
    raise ValueError(f"{text!r} is no reset cycle; allowed: {CYCLE_RULE}")


def cycle(text: str) -> str:
    """A reset cycle as it is written in the file. Raises ValueError."""
    kind, day = parse_cycle(text)
    return {"weekly": f"weekly {WEEKDAYS[day % 7]}", "monthly": f"monthly {day}"}.get(kind, kind)


def clean_name(text: str) -> str:
    """The name a new or renamed user gets. Raises ValueError with a human message."""
    name = text.strip()
    if not name:
        raise ValueError(f"a name is needed: 1 to {NAME_LENGTH} characters")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"the name has {len(name)} characters; {NAME_LENGTH} are allowed")
    if not name.isprintable():
        bad = next(c for c in name if not c.isprintable())
        raise ValueError(f"the name contains the control character {bad!r}; letters, digits, spaces and "
                         "punctuation are allowed")
    return name


def parse_expiry(text: str) -> datetime | None:
    """A moment in the server's time zone. A bare date means the end of that day; "" and "never" mean None.

    Raises ValueError with a human message.
    """
    text = text.strip()
    if text.lower() in ("", "never", "none"):
        return None
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time()).astimezone()
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a date; write 2027-01-31, 2027-01-31T18:00, or never") from None
