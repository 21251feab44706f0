"""An offence: what it is, and its line in data/logs/offenders.log, which fail2ban reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

#: The fixed words of a line. A wrong key: a TLS hello for a link's name, proved by no key of that link. A replay: the
#: handshake of somebody else, sent again. Noise: the right key, or a link without TLS, and then no MTProto. A flood:
#: more connections at a time than nginx allows one address. Too often: a minute in which it went on opening connections
#: beyond the firewall's limit (docs/firewall.md).
WRONG_KEY, REPLAY, NOISE, FLOOD, TOO_OFTEN = "wrong-key", "replay", "no-mtproto", "flood", "too-often"
REASONS = (WRONG_KEY, REPLAY, NOISE, FLOOD, TOO_OFTEN)

_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ([0-9a-f.:]{2,39}) (\d{1,5}) (" + "|".join(REASONS) + ")")


@dataclass(frozen=True)
class Offence:
    """at: Unix seconds. place: as in app/lib/place. port: that clients connect to."""

    at: float
    place: str
    port: int
    reason: str

    @property
    def line(self) -> str:
        """Nothing in it is a client's own words: a time, an address, a number and a word of ours."""
        when = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{when} {self.place} {self.port} {self.reason}\n"


def parse(line: str) -> Offence | None:
    """The offence of a line; None for a line that is cut off, or none of ours."""
    found = _LINE.fullmatch(line.strip())
    if not found:
        return None
    at = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return Offence(at.timestamp(), found[2], int(found[3]), found[4])
