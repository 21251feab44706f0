"""What a container of MTProxy tells: lines of `key<TAB>value` of its `/stats`, and of its network's counters.

MTProxy counts no bytes and nothing by secret. So what is known of one link is known only where it is the only one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.engines.base import Counters

#: That is asked for in the container; host/images/mtproxy/metrics answers.
PATH = "/stats"


@dataclass(frozen=True)
class Stats:
    """One container, since its start. uptime: seconds. connections: clients that are there now; created: that there
    were. workers: 0 if the one process does all. received, sent: bytes of its network, both sides of the relay."""

    uptime: int
    connections: int
    created: int
    workers: int
    received: int
    sent: int


def parse(text: str) -> Stats:
    """Raises ValueError for text that is no whole answer."""
    told = dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)
    try:
        return Stats(uptime=_count(told["uptime"]), connections=_count(told["ext_connections"]),
                     created=_count(told["ext_connections_created"]), workers=_count(told.get("workers", "0")),
                     received=_count(told["net_received"]), sent=_count(told["net_sent"]))
    except KeyError as error:
        raise ValueError(f"{error} is missing") from None


def _count(text: str) -> int:
    number = int(text.split()[0])
    if not 0 <= number < 2 ** 63:
        raise ValueError(text)
    return number


def readings(links: Sequence[str], text: str) -> Mapping[str, Counters]:
    """Counters by link id: of the only link, or none, as nobody knows which of several has moved what.

    A relay receives each byte once and sends it once, so half of all is what was moved, and as the directions can't be
    told apart, each is given half of that: as for every proxy that tells nothing (control/sampling). As long as nobody
    has ever connected, it was MTProxy talking to Telegram.
    """
    stats = parse(text)
    if len(links) != 1:
        return {}
    moved = (stats.received + stats.sent) // 2 if stats.created else 0
    return {links[0]: Counters(down=moved - moved // 2, up=moved // 2, connections=stats.connections, estimated=True)}
