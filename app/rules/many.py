"""What can be changed of many users at once, as changes to the declaration: each user's failure is their own; but of
many who are added, all are, or nobody. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.config.model import Config, User
from app.messages import Problem
from app.messages.refused import Refused
from app.rules import limits, users
from app.rules.typed_limits import number

#: The fields that these changes touch, and that an undo can set back.
FIELDS = ("enabled", "traffic_limit_gb", "expires_at", "expires_after_days", "engine", "tags")
MOST_DAYS = 3660
#: How many users may be added at a time.
MOST_ADDED = 500
#: Fields of one of them alone.
OF_ONE = ("name", "domain", "port")


@dataclass(frozen=True)
class Before:
    """What a user had, and has been given, in FIELDS."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One kind of change. value: what has to be typed for it, "" for nothing. reads: a check of that value, which
    raises Refused; apply: does it to one user, and raises Refused for one to whom it can't be done."""

    value: str
    reads: Callable[[str], object]
    apply: Callable[[Config, User, Any, datetime, users.Checks], None]


def _gigabytes(text: str) -> float:
    """A number of GB that is more than nothing. Raises Refused."""
    found = number(text, "limit_gb", 1_000_000) if text.strip() else None
    if not found:
        raise Refused("many.gigabytes", "value", typed=text)
    return found


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_DAYS:
        raise Refused("many.days", "value", typed=text, most=MOST_DAYS)
    return int(text)


def _tag(text: str) -> str:
    tags = users.CHANGEABLE["tags"].read(text) if text.strip() else []
    if len(tags) != 1:
        raise Refused("many.tag", "value", typed=text)
    return str(tags[0])


def _limit(text: str) -> str:
    number(text.strip(), "limit_gb", 1_000_000)
    return text.strip()


def _engine(text: str) -> str:
    return text.strip()


def _enable(enabled: bool) -> Callable[[Config, User, Any, datetime, users.Checks], None]:
    def apply(config: Config, user: User, value: Any, now: datetime, checks: users.Checks) -> None:
        user.enabled = enabled
    return apply


def _add_traffic(config: Config, user: User, value: float, now: datetime, checks: users.Checks) -> None:
    """More than now, for as long as nobody sets another limit."""
    limit = limits.limit_gb(user, config)
    if not limit:
        raise Refused("many.no_limit")
    users.change(config, user, {"limit_gb": f"{min(limit + value, 1_000_000):.9g}"}, checks)


def _set_limit(config: Config, user: User, value: str, now: datetime, checks: users.Checks) -> None:
    users.change(config, user, {"limit_gb": value}, checks)


def _extend(config: Config, user: User, value: int, now: datetime, checks: users.Checks) -> None:
    """From the last day on, or from today for somebody whose last day is over."""
    if user.expires_at:
        user.expires_at = max(user.expires_at, now) + timedelta(days=value)
    elif user.expires_after_days:
        user.expires_after_days += value
    else:
        raise Refused("many.no_expiry")


def _move(config: Config, user: User, value: str, now: datetime, checks: users.Checks) -> None:
    users.change(config, user, {"engine": value}, checks)


def _add_tag(config: Config, user: User, value: str, now: datetime, checks: users.Checks) -> None:
    users.change(config, user, {"tags": ", ".join([*user.tags, value])}, checks)


def _remove_tag(config: Config, user: User, value: str, now: datetime, checks: users.Checks) -> None:
    users.change(config, user, {"tags": ", ".join(tag for tag in user.tags if tag.casefold() != value.casefold())},
                 checks)


def _nothing(text: str) -> str:
    return ""


#: Everything that is a change to the declaration, but for deleting.
CHANGES: Mapping[str, Change] = {
    "enable": Change("", _nothing, _enable(True)),
    "disable": Change("", _nothing, _enable(False)),
    "add_traffic": Change("GB", _gigabytes, _add_traffic),
    "limit": Change("limit_gb", _limit, _set_limit),
    "extend": Change("days", _days, _extend),
    "engine": Change("engine", _engine, _move),
    "tag": Change("tag", _tag, _add_tag),
    "untag": Change("tag", _tag, _remove_tag),
}


def change(config: Config, user: User, what: str, value: Any, now: datetime, checks: users.Checks) -> Before | None:
    """Do it to one user; None if that changes nothing. Raises Refused, and the user is then as before."""
    before = {name: getattr(user, name) for name in FIELDS}
    try:
        CHANGES[what].apply(config, user, value, now, checks)
    except Refused:
        for name, old in before.items():
            setattr(user, name, old)
        raise
    changed = [name for name in FIELDS if getattr(user, name) != before[name]]
    return Before({name: before[name] for name in changed},
                  {name: getattr(user, name) for name in changed}) if changed else None


def undo(user: User, change: Before) -> None:
    """Set the user back. Raises Refused if somebody has changed the same since."""
    if any(getattr(user, name) != value for name, value in change.after.items()):
        raise Refused("many.changed_since")
    for name, value in change.before.items():
        setattr(user, name, value)


def add_all(config: Config, names: Sequence[str], fields: Mapping[str, str], checks: users.Checks) -> list[User]:
    """New users with these fields. Raises Refused with a part for each name that is not possible, whose field is
    "names"; what all of them are given is refused once, under its own field."""
    if not names or len(names) > MOST_ADDED:
        raise Refused("many.names", "names", count=len(names), most=MOST_ADDED)
    refused, added = [], []
    for name in names:
        try:
            added.append(users.add(config, {"name": name, **fields}, True, checks))
        except Refused as refusal:
            refused += [_of_line(part.problem, name, added) if part.problem.field in OF_ONE else part
                        for part in refusal.parts]
    # What everybody is given is wrong once, however many there are.
    Refused.raise_all(list({(part.problem.field, str(part)): part for part in refused}.values()))
    return added


def _of_line(problem: Problem, name: str, added: Sequence[User]) -> Refused:
    if problem.code == "user.exists" and problem.params["id"] in [user.id for user in added]:
        problem = Problem("many.twice")
    return Refused(Problem("of_user", {"name": name.strip() or '""', "reason": problem.about("")}, "names"))
