"""Who came to mtg, as its more detailed log tells (2.2.8, `debug = true`): the only place where it names addresses.

A line is a JSON object. "Stream has been started" names a stream and its address; whether the key was right is said by
lines that name neither ("cannot read client hello", with the reason), and how it went on at the stream's end only, by
the logger "relay" or "domain-fronting". So such a reason belongs to the stream that was started last before it and
turns out to be no session; where that may be another one, it is nobody's until "domain-fronting" names the stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.bans.offences import REPLAY, WRONG_KEY
from app.engines.base import Visit

#: Seconds after its start in which mtg makes up its mind about a stream: its handshake timeout, and some more.
_UNDECIDED = 11.0
#: A hello comes at once: of two streams that were started so shortly before (seconds), it may be either's.
_AT_ONCE = 1.0

_STARTED, _UNREADABLE = "Stream has been started", "cannot read client hello"
_REPLAYED = "replay attack has been detected!"
#: What mtg says of a whole hello for its name that no key of ours has made. All else, such as a wrong clock, another
#: name or no TLS, is none of an offender: a friend, or a scanner who finds the cover site and nothing more.
_WRONG_KEY = "incorrect client random"


@dataclass
class _Stream:
    at: float
    address: str
    session: bool = False
    fronted: bool = False
    judged: bool = False
    told: bool = False


def visits(log: str) -> Sequence[Visit]:
    """See Engine.visits()."""
    lines = list(_lines(log))
    streams: dict[str, _Stream] = {}
    # Which streams were sessions is told after what is said of the others.
    for at, line in lines:
        if (key := str(line.get("stream-id", ""))) and (address := str(line.get("client-ip", ""))):
            stream = streams.setdefault(key, _Stream(at, address))
            name = str(line.get("logger", "")).rpartition(".")[2]
            stream.session |= name == "relay"
            stream.fronted |= name == "domain-fronting"
    waiting: list[_Stream] = []
    unsure = ""
    found: list[Visit] = []
    for at, line in lines:
        message, known = line.get("message"), streams.get(str(line.get("stream-id", "")))
        if known and message == _STARTED:
            waiting = [each for each in waiting if at - each.at <= _UNDECIDED]
            waiting.append(known)
        elif message in (_UNREADABLE, _REPLAYED):
            reason = REPLAY if message == _REPLAYED else \
                WRONG_KEY if str(line.get("error", "")).endswith(_WRONG_KEY) else ""
            unsure = _judge(at, reason, waiting, found, unsure)
        elif known and known.session and not known.told:
            known.told = True
            found.append(Visit(at, known.address))
        elif known and known.fronted and not known.judged and unsure and message != _STARTED:
            known.judged = True
            found.append(Visit(at, known.address, unsure))
    return sorted(found, key=lambda visit: visit.at)


def _judge(at: float, reason: str, waiting: list[_Stream], found: list[Visit], unsure: str) -> str:
    """Say of whom this is. Returns what is said of those who are not known yet."""
    may_be = [each for each in waiting if at - each.at <= _UNDECIDED and not (each.session or each.judged)]
    near = [each for each in may_be if at - each.at <= _AT_ONCE] or may_be[-1:]
    if len({each.address for each in near}) > 1:
        # Nobody is an offender for what may have been a friend's clock.
        return reason
    if near:
        near[-1].judged = True
        if reason:
            found.append(Visit(at, near[-1].address, reason))
    return unsure


def _lines(log: str) -> Iterator[tuple[float, dict[str, Any]]]:
    for text in log.splitlines():
        if '"timestamp"' not in text or not any(word in text for word in (
                '"stream-id"', _UNREADABLE, _REPLAYED)):
            continue
        start = text.find("{")
        try:
            line = json.loads(text[start:])
            yield float(line["timestamp"]) / 1000, line
        except (ValueError, TypeError, KeyError):
            continue
