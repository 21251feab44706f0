"""The values of the declaration, one by one: how text is read, and what is allowed."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from app.config import hosts, times
from app.config.hosts import is_ip, parse_socks5
from app.config.invalid import InvalidValue
from app.config.names import NAME_LENGTH, clean_name, clean_note, clean_tags
from app.config.times import now, parse_expiry
from app.messages import Problem
from app.mtproto.secret import Secret, valid_domain

__all__ = ["NAME_LENGTH", "clean_name", "clean_note", "cycle", "is_ip", "now", "parse_cycle", "parse_expiry",
           "parse_socks5"]

#: How the installations before us spelled `proxy_prefer_ip`.
OLD_PREFER_IP = {"v4": "prefer-ipv4", "v6": "prefer-ipv6", "prefer-v4": "prefer-ipv4",
                 "prefer-v6": "prefer-ipv6"}
PREFER_IP = ("prefer-ipv4", "prefer-ipv6", "only-ipv4", "only-ipv6")

def _refuse_bool(value: Any) -> Any:
    # JSON's true would otherwise pass as the number 1.
    if isinstance(value, bool):
        raise ValueError  # not a number
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError  # not a number
    return value


def _prefer_ip(value: Any) -> Any:
    value = OLD_PREFER_IP.get(value, value) if isinstance(value, str) else value
    if value not in PREFER_IP:
        raise ValueError  # unknown
    return value


def _words(value: Any) -> Any:
    """A list as it is typed: words between spaces, commas or line ends; doubles are left out."""
    words = re.split(r"[\s,;]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError  # not a list of words
    return list(dict.fromkeys(word for word in words if word != ""))


def _typed_tags(value: Any) -> Any:
    """Tags as they are typed: between commas, semicolons or line ends, as a tag may hold a space."""
    return re.split(r"[,;\n]", value) if isinstance(value, str) else value


def _secret(value: str) -> str:
    return Secret.parse(value).hex


def _recipient(value: str) -> str:
    value = value.strip()
    if value:
        # Only who uses it pays for loading it.
        import pyrage

        try:
            pyrage.x25519.Recipient.from_str(value)
        except pyrage.RecipientError:
            raise ValueError from None  # no public key of age
    return value


def _limit(value: Any) -> Any:
    # As typed: in the file, 0 says that there is none.
    return 0 if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def _name(value: str) -> str:
    if not value.strip():
        raise ValueError  # empty
    return value


def _writable(value: str) -> str:
    value.encode()  # half of a surrogate pair can't be saved
    return value


def _panel_path(value: str) -> str:
    value = value.strip().strip("/")
    if value and not re.fullmatch(r"[A-Za-z0-9_-]{16,64}", value):
        raise ValueError  # short enough to be guessed, or not one step of a path
    return value


Whole = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[float, BeforeValidator(_refuse_bool), AfterValidator(_finite)]
Text = Annotated[str, Field(strict=True), AfterValidator(_writable)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
PublicPort = Annotated[Whole, Field(ge=0, le=65535)]
Moment = Annotated[AwareDatetime, BeforeValidator(times.read), AfterValidator(times.kept)]
Expiry = Annotated[Moment | None, AfterValidator(times.expiry)]
Name = Annotated[Text, AfterValidator(_name)]
PanelPath = Annotated[Text, AfterValidator(_panel_path)]
Host = Annotated[Text, AfterValidator(hosts.host)]
Address = Annotated[Text, AfterValidator(hosts.address)]
BindAddress = Annotated[Text, AfterValidator(hosts.bind_address)]
Domain = Annotated[Text, AfterValidator(valid_domain)]
DomainOrEmpty = Annotated[Text, AfterValidator(hosts.domain)]
BaseDomain = Annotated[Text, AfterValidator(hosts.base_domain)]
SecretText = Annotated[Text, AfterValidator(_secret)]
Socks5 = Annotated[Text, AfterValidator(hosts.socks5)]
Dns = Annotated[Text, AfterValidator(hosts.resolver)]
Image = Annotated[Text, AfterValidator(hosts.image)]
PreferIp = Annotated[Text, BeforeValidator(_prefer_ip)]

Tags = Annotated[list[Text], BeforeValidator(_typed_tags), AfterValidator(clean_tags)]
Domains = Annotated[list[Domain], BeforeValidator(_words)]
HttpsUrl = Annotated[Text, AfterValidator(hosts.https)]
WebUrl = Annotated[Text, AfterValidator(hosts.web)]
HttpsUrls = Annotated[list[HttpsUrl], BeforeValidator(_words)]
Network = Annotated[Text, AfterValidator(hosts.network)]
Networks = Annotated[list[Network], BeforeValidator(_words), Field(max_length=1000)]
HttpsSite = Annotated[Text, AfterValidator(hosts.site)]
Email = Annotated[Text, AfterValidator(hosts.email)]

Recipient = Annotated[Text, AfterValidator(_recipient)]

Limit = Annotated[Number, BeforeValidator(_limit)]
Cycle = Annotated[Text, AfterValidator(lambda value: cycle(value))]
OwnCycle = Annotated[Text, AfterValidator(lambda value: cycle(value) if value.strip() else "")]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_cycle(text: str) -> tuple[str, int]:
    """("never", 0), ("daily", 0), ("weekly", 0 to 6 from Monday) or ("monthly", 1 to 31) of a reset cycle.

    A weekday may be shortened to its first three letters; without a day, Monday or
    the first is meant. Raises InvalidValue.
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
    raise InvalidValue("cycle.unknown", typed=text, rule=Problem("rule.cycle"))


def cycle(text: str) -> str:
    """A reset cycle as it is written in the file. Raises InvalidValue."""
    kind, day = parse_cycle(text)
    return {"weekly": f"weekly {WEEKDAYS[day % 7]}", "monthly": f"monthly {day}"}.get(kind, kind)
