"""Limits as people type them, of a user or of a plan."""

from __future__ import annotations

import re
from typing import Literal

from app.config import values
from app.config.invalid import InvalidValue
from app.config.model import Plan, User
from app.config.schema import FieldSpec
from app.messages.refused import Refused

AT_LIMIT: tuple[Literal["throttle", "block"], ...] = ("throttle", "block")
LONGEST_DAYS = 36500


def set_limit(holder: User | Plan, key: str, text: str) -> bool:
    """Set what was typed under this key; False for one that is none of these limits. Raises Refused."""
    match key:
        case "limit_gb":
            holder.traffic_limit_gb = number(text, "limit_gb", 1_000_000)
        case "speed_mbps":
            holder.throttle_speed_mbps = number(text, "speed_mbps", 100_000)
        case "at_limit":
            holder.at_limit = _at_limit(text)
        case "reset_cycle":
            holder.reset_cycle = _cycle(text)
        case _:
            return False
    return True


def number(text: str, field: Literal["limit_gb", "speed_mbps"], most: float) -> float | None:
    """A number of GB or Mbit/s, 0 to `most`; "" means 0 (the global one), "none" None. Raises Refused."""
    limit = field == "limit_gb"
    if text.lower() == "none":
        return None
    if not text:
        return 0.0
    if re.fullmatch(r"[1-9]\d{0,2},\d{3}", text):
        raise Refused("user.limit_two_ways" if limit else "user.speed_two_ways", field, typed=text,
                      first=text.replace(",", ""), second=text.replace(",", "."))
    if not re.fullmatch(r"\d{1,12}([.,]\d{1,9})?", text) or float(text.replace(",", ".")) > most:
        raise Refused("user.limit" if limit else "user.speed", field, typed=text, most=most)
    return float(text.replace(",", "."))


def _at_limit(text: str) -> Literal["", "throttle", "block"]:
    if not text:
        return ""
    for known in AT_LIMIT:
        if text == known:
            return known
    raise Refused("user.at_limit", "at_limit", typed=text, allowed=AT_LIMIT)


def _cycle(text: str) -> str:
    try:
        return values.cycle(text) if text else ""
    except InvalidValue as error:
        raise Refused(error.problem.about("reset_cycle")) from None


def days(text: str) -> int:
    if text and (not re.fullmatch(r"\d{1,5}", text) or int(text) > LONGEST_DAYS):
        raise Refused("user.days", "expires_after_days", typed=text, most=LONGEST_DAYS)
    return int(text or 0)


def read(spec: FieldSpec, text: str) -> object:
    """The value of a field that asks for nothing but its own rule. Raises Refused."""
    try:
        return spec.read(text)
    except InvalidValue as error:
        raise Refused("config.at", spec.key, path=spec.key, problem=error) from None
