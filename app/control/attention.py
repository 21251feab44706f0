"""Users whom somebody should look at, each with the reason that comes first. Pure: roster notes it in each row."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.control.records import Row

#: Reasons, the most urgent first; each is a filter of the list of users, too. "domain": of the user, is not passed on
#: to any more. "over": over the limit, and served at full speed all the same. "expiring": within roster.SOON.
REASONS = ("failing", "blocked", "domain", "slowed", "over", "expiring", "never")

#: Whoever was added only now has not had the time to use the link.
_NEW = timedelta(days=1)


@dataclass
class Group:
    """Users with the same reason. count: all of them. first: the first few, in the order of the declaration."""

    reason: str
    count: int = 0
    first: list[Row] = field(default_factory=list)


def groups(rows: Iterable[Row], shown: int = 3) -> list[Group]:
    """Those that are not empty, the most urgent first; each user is in one."""
    found = {reason: Group(reason) for reason in REASONS}
    for row in rows:
        if row.attention:
            group = found[row.attention]
            group.count += 1
            if group.count <= shown:
                group.first.append(row)
    return [group for group in found.values() if group.count]


def reason_of(row: Row, now: datetime, domains: Collection[str] = ()) -> str:
    """Which of REASONS; "" for none. domains: to which nobody is passed on."""
    if row.condition in ("failing", "blocked"):
        return row.condition
    if row.condition in ("disabled", "expired"):
        return ""
    if row.user.fake_tls_domain in domains:
        return "domain"
    if row.condition == "slowed":
        return "slowed"
    if row.over:
        return "over"
    if row.soon:
        return "expiring"
    return "never" if not row.last_seen and now - row.user.created_at > _NEW else ""
