"""Which users a list shows, and in which order: filter, search, sort and pages, over the rows of app/control/roster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from app.config.names import fold
from app.control import attention
from app.control.records import Row

SIZES = (25, 50, 100, 200)
USUAL_SIZE = 50
#: Of what is searched for, this many characters count.
LONGEST_SEARCH = 200


def _needs(reason: str, row: Row) -> bool:
    return row.attention == reason


#: What people may be filtered by. Somebody may be in several: slowed and online, for example.
STATES: Mapping[str, Callable[[Row], bool]] = {
    "online": lambda row: row.connections > 0,
    "idle": lambda row: row.condition == "idle",
    "never": lambda row: not row.last_seen and not row.connections,
    "slowed": lambda row: row.throttled is not None,
    "blocked": lambda row: row.state == "blocked",
    "disabled": lambda row: row.state == "disabled",
    "expired": lambda row: row.state == "expired",
    "failing": lambda row: row.condition in ("failing", "unknown"),
    "over": lambda row: row.over,
    "expiring": lambda row: row.soon,
    "today": lambda row: row.today > 0,
    "attention": lambda row: bool(row.attention),
    **{f"attention-{reason}": partial(_needs, reason) for reason in attention.REASONS},
}

#: Attention first.
_RANK = {name: number for number, name in enumerate(
    ("failing", "unknown", "blocked", "expired", "slowed", "stopped", "online", "idle", "never", "disabled"))}

_NEVER = float("inf")

#: What a list may be sorted by; a minus before it turns it round. "": as they were added.
SORTS: Mapping[str, Callable[[Row], Any]] = {
    "name": lambda row: fold(row.name),
    "state": lambda row: _RANK[row.condition],
    "used": lambda row: row.used,
    "share": lambda row: row.share,
    "today": lambda row: row.today,
    "speed": lambda row: row.now,
    "seen": lambda row: (row.connections > 0, row.last_seen),
    "expires": lambda row: row.user.expires_at.timestamp() if row.user.expires_at else _NEVER,
}


@dataclass(frozen=True)
class Query:
    """What a list is asked for. text: words that each must be found. state: of STATES, engine: a name, tag: as it is
    written; "" for any. sort: of SORTS, with a minus for the other way round. page: from 1 on."""

    text: str = ""
    state: str = ""
    engine: str = ""
    tag: str = ""
    sort: str = ""
    size: int = USUAL_SIZE
    page: int = 1

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Query:
        """What an address asks for; what makes no sense is as if it were not there."""
        state, sort = asked.get("state", ""), asked.get("sort", "")
        return cls(
            text=asked.get("q", "").strip()[:LONGEST_SEARCH], state=state if state in STATES else "",
            engine=asked.get("engine", "").strip()[:40], tag=asked.get("tag", "").strip()[:100],
            sort=sort if sort.removeprefix("-") in SORTS else "",
            size=size if (size := _whole(asked.get("size", ""))) in SIZES else USUAL_SIZE,
            page=max(1, _whole(asked.get("page", ""))))

    def asked(self, **changes: Any) -> dict[str, str]:
        """The same as an address has it; what is as usual is left out. changes: fields that are to be others."""
        other = replace(self, **changes)
        return {"q" if field.name == "text" else field.name: str(getattr(other, field.name)) for field in fields(other)
                if getattr(other, field.name) != field.default}

    @property
    def chooses(self) -> bool:
        """Whether it leaves anybody out."""
        return bool(self.text or self.state or self.engine or self.tag)


@dataclass(frozen=True)
class Page:
    """rows: those of this page. found: everybody who matches, on all pages. total: all users. query: as it was
    answered: a page after the last one is the last one."""

    rows: list[Row]
    found: list[Row]
    total: int
    query: Query

    @property
    def last(self) -> int:
        """The number of the last page."""
        return max(1, -(-len(self.found) // self.query.size))

    @property
    def numbers(self) -> list[int]:
        """The pages that are worth a link: the first, the last and those around this one; 0 for a gap."""
        near = {1, self.last, *range(max(1, self.query.page - 1), min(self.last, self.query.page + 1) + 1)}
        found: list[int] = []
        for number in sorted(near):
            if found and number - found[-1] > 1:
                found.append(number - 1 if number - found[-1] == 2 else 0)
            found.append(number)
        return found

    @property
    def first_shown(self) -> int:
        """Which of those found stands at the top, from 1 on; 0 if there is none."""
        return (self.query.page - 1) * self.query.size + 1 if self.rows else 0


def matching(rows: list[Row], query: Query) -> list[Row]:
    """Those that match, in the order that is asked for."""
    words = fold(query.text).split()
    tag = fold(query.tag)
    found = [row for row in rows
             if (not query.state or STATES[query.state](row))
             and (not query.engine or row.engine == query.engine)
             and (not tag or tag in map(fold, row.user.tags))
             and (not words or _has(row, words))]
    if query.sort:
        found.sort(key=SORTS[query.sort.removeprefix("-")], reverse=query.sort.startswith("-"))
    return found


def page(rows: list[Row], query: Query) -> Page:
    """The page that is asked for."""
    found = matching(rows, query)
    last = max(1, -(-len(found) // query.size))
    query = replace(query, page=min(query.page, last))
    start = (query.page - 1) * query.size
    return Page(found[start:start + query.size], found, len(rows), query)


def counts(rows: list[Row]) -> dict[str, int]:
    """How many are in each of STATES."""
    return {name: sum(map(test, rows)) for name, test in STATES.items()}


def _has(row: Row, words: list[str]) -> bool:
    user = row.user
    text = fold(" ".join((user.name, user.note, user.fake_tls_domain, str(user.public_port or user.port), user.id,
                          *user.tags)))
    return all(word in text for word in words)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
