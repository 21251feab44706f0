"""How mtg learns its timing, and how its log tells that it did not.

mtg 2 sends one TLS record per delay, drawn from what it saw of a real site: it downloads some addresses
at its start and again and again ("raids"), and measures the gaps between the records that come
(mtglib/internal/doppel in its source). Until a raid has succeeded it uses a default of its own, which
lets through some 18 Mbit/s on a connection.
"""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.messages import Problem

#: Downloads in one raid: mtg wants 100 gaps for the delays, and three handshakes for the size of its own.
REPEATS = 3
#: Seconds from one raid to the next: of our own nginx, so that a start without it is soon made good; and
#: of somebody else's site, whom every user's mtg asks.
OWN_EACH, FOREIGN_EACH = 300, 3600
#: Seconds that a raid may take until it has failed: `REPEATS` times the time-outs of mtgtoml.
_RAID = 50
#: Docker may note a start later than the first line that was logged (seconds).
_SLACK = 1.0
#: What mtg writes (at WARN) for every download that failed.
_FAILED = "cannot learn"


def settings(urls: Sequence[str]) -> dict[str, object]:
    """mtg's table [defense.doppelganger]."""
    return {"urls": list(urls), "repeats-per-raid": REPEATS, "raid-each": f"{min(map(_each, urls))}s"}


def findings(log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
    """Why the mtg of this log still sends with its default, if it does. See Engine.findings()."""
    failures = [failure for failure in _failures(log) if failure.at >= started_at - _SLACK]
    if not failures:
        return []
    each = _each(failures[-1].url)
    if started_at and now:
        failed = Counter(max(0, int((failure.at - started_at) // each)) for failure in failures)
        # The raid under way may yet succeed.
        over = int((now - started_at - _RAID) // each) + 1
        if any(failed[raid] < REPEATS for raid in range(over)):
            return []
    if len(failures) < REPEATS:
        return []
    return [Problem("mtg.not_learned", {"url": failures[-1].url, "minutes": each // 60,
                                        "reason": failures[-1].reason})]


@dataclass(frozen=True)
class _Failure:
    """One download that failed. at: Unix seconds."""

    at: float
    url: str
    reason: str


def _failures(log: str) -> Iterator[_Failure]:
    for line in log.splitlines():
        if _FAILED not in line:
            continue
        try:
            told = json.loads(line)
            if told["message"] == _FAILED:
                # Go's words for it: Get "https://…": dial tcp …: connection refused
                _, url, reason = str(told["error"]).split('"', 2)
                yield _Failure(told["timestamp"] / 1000, url, reason.removeprefix(": "))
        except (ValueError, KeyError, TypeError):
            continue


def _each(url: str) -> int:
    """Our own nginx is named by its address: its host name would need a DNS server that knows it."""
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return FOREIGN_EACH
    return OWN_EACH
