"""telemt's Prometheus metrics, read as counters of links.

Users are called by the ids of their links there. Counters of a user who was idle for a day are dropped; as whoever is
served is named by other metrics, that is told as a count of zero, which the ledger takes for a fresh counter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.engines.base import Counters

#: Names that no link has, see live.py: of the file that telemt goes by, and of the speed of a link.
REVISION, SPEED = "!", "/bps"

_SAMPLE = re.compile(
    r"^telemt_(?:user_(connections_current|octets_from_client|octets_to_client|unique_ips_current|unique_ips_limit)"
    r'\{user="([^"\n]*)"\}|connections_bad_by_class_total\{class="([^"\n]*)"\}) (\d+)$', re.MULTILINE)
_LINK = re.compile(r"[0-9a-f]{12}")
#: It stands behind everything that is told of users; 1 says that telemt has left some of them out (beyond 4,096).
_LAST = "telemt_telemetry_user_series_suppressed"


@dataclass(frozen=True)
class Told:
    """What telemt tells. users: its metrics by their name without "telemt_user_" and by the user's. bad: connections
    turned away, by class."""

    users: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    bad: Mapping[str, int] = field(default_factory=dict)

    @property
    def links(self) -> set[str]:
        """Ids of all links that are, or were, served in this run."""
        return {user for user in self.users if _LINK.fullmatch(user)}

    @property
    def named(self) -> set[str]:
        """Ids of all links in the file that it goes by; few more, that have a session still."""
        return {link for link in self.links if "unique_ips_current" in self.users[link]}

    @property
    def limited(self) -> bool:
        """Whether any link may be used from so many addresses only."""
        return any(self.users[link].get("unique_ips_limit") for link in self.links)

    @property
    def connected(self) -> set[str]:
        """Ids of links that have a session."""
        return {link for link in self.links if self.users[link].get("connections_current")}


def told(metrics: str) -> Told:
    """Raises ValueError for a text that is not whole: half a reading must never pass for a small one."""
    if f"\n{_LAST} 0\n" not in metrics:
        raise ValueError(_LAST)
    users: dict[str, dict[str, int]] = defaultdict(dict)
    bad: dict[str, int] = {}
    for name, user, reason, value in _SAMPLE.findall(metrics):
        if name:
            users[user][name] = int(value)
        else:
            bad[reason] = int(value)
    return Told(users, bad)


def readings(metrics: str) -> Mapping[str, Counters]:
    """See Engine.readings()."""
    now = told(metrics)
    return {link: Counters(
        down=counted.get("octets_to_client", 0),
        up=counted.get("octets_from_client", 0),
        connections=counted.get("connections_current", 0),
        clients=counted.get("connections_current", 0),
        bits_per_second=now.users.get(link + SPEED, {}).get("unique_ips_limit"),
        addresses=counted.get("unique_ips_current", 0),
    ) for link, counted in now.users.items() if _LINK.fullmatch(link)}
