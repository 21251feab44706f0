"""Letters as one message, in the channel's language: many things at once are not many messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

from app.config import times
from app.ledger.letters import Letter
from app.lib.problem import Language
from app.messages import Problem, coded
from app.messages.translations import for_people
from app.notify.message import Message

#: Lines of one kind in a message, and characters of the whole: Telegram takes 4,096 with the title, ntfy 4,096 bytes,
#: of which a Russian letter needs two.
LINES, LONGEST = 10, 3500
#: Entries of a document for programs.
ENTRIES = 200
#: Seconds after which it is told when something happened.
LATE = 600.0

#: In this order.
_HEADS = {
    "limit_80": "head.limit_80",
    "limit_95": "head.limit_95",
    "limit_100": "head.limit_100",
    "expiring": "head.expiring",
    "expired": "head.expired",
    "proxy_down": "head.proxy_down",
    "domain": "head.domain",
    "certificate": "head.certificate",
    "update": "head.update",
    "digest": "head.digest",
    "test": "head.test",
}


def message(letters: Sequence[Letter], code: str, server: str, now: float, zone: tzinfo, lost: int = 0) -> Message:
    """letters: at least one, the oldest first. code: of the language. server: what this installation is called. now:
    Unix seconds. lost: how many letters were given up before."""
    said, parts = for_people(code), []
    for event, head in _HEADS.items():
        of_kind = [letter for letter in letters if letter.event == event]
        if of_kind:
            parts.append("\n".join([said.sentence(Problem(head)) + ":", *_lines(of_kind, said, now, zone)]))
    if lost:
        parts.append(said.sentence(Problem("notify.lost", {"count": lost})))
    text = "\n\n".join(parts)
    shown = [{"event": letter.event, "at": datetime.fromtimestamp(letter.at, zone).isoformat(), **coded(letter.problem)}
             for letter in letters[-ENTRIES:]]
    known = hashlib.sha256(repr([(each.box, each.id, each.at) for each in letters]).encode()).hexdigest()[:32]
    return Message(said.sentence(Problem("notice.title", {"server": server})),
                   text if len(text) <= LONGEST else text[:LONGEST - 1] + "…", known, tuple(shown))


def _lines(letters: Sequence[Letter], said: Language, now: float, zone: tzinfo) -> Iterable[str]:
    lines = list(dict.fromkeys(_line(letter, said, now, zone) for letter in letters))
    yield from lines[-LINES:]
    if len(lines) > LINES:
        yield said.sentence(Problem("notice.more", {"count": len(lines) - LINES}))


def _line(letter: Letter, said: Language, now: float, zone: tzinfo) -> str:
    what = letter.problem
    if abs(now - letter.at) > LATE:
        what = Problem("notice.at", {"at": times.at(letter.at, zone).isoformat(), "what": what})
    return said.sentence(what)
