"""users.toml: what telemt takes over while it runs - who is served, how fast, until when, and from how many addresses.

telemt looks at the file whenever it changes (inotify, and every three seconds) and takes it over as a whole or not at
all. It no longer serves whoever is taken out, but does not end their sessions, and a session keeps the speed that it
began with. It ends the sessions of whoever it is told is disabled. So a change is written in two steps where
somebody's sessions must end: first with those disabled, and then as it should be. So it is where somebody is added:
telemt writes the link of whoever comes into its log, at any level. They come disabled, with a key that is nobody's, and
get their own one in the second step: of a change of the key it tells the name only.

Nothing tells which file telemt goes by, but its metrics tell the limits on addresses that are in force, for any name.
A name that no user can have carries the hash of the file, and one for each speed limit its speed.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache

from app.engines.telemt.metrics import REVISION, SPEED, Told, told
from app.engines.toml import render
from app.rules.links import UserLink

FILE = "users.toml"

#: Levels of its log.
NORMAL, VERBOSE = "normal", "verbose"

#: A name that no user has.
_NOBODY = "nobody"

_REVISION = re.compile(rf'^"{REVISION}([0-9a-f]{{16}})" = ', re.MULTILINE)


@dataclass(frozen=True)
class Live:
    """What the file holds, by link id. users: keys (32 hex digits). expires: times (RFC 3339). addresses: how many
    at a time. speeds: bits per second, each direction. disabled: whose sessions end. level: how much it logs, NORMAL
    or VERBOSE."""

    users: Mapping[str, str]
    expires: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, int] = field(default_factory=dict)
    speeds: Mapping[str, int] = field(default_factory=dict)
    disabled: Collection[str] = ()
    level: str = NORMAL

    def text(self) -> str:
        """It follows the lines of telemt's table [general], as it is included there."""
        limits: dict[str, object] = dict(sorted(self.addresses.items()))
        limits |= {f'"{link}{SPEED}"': bits for link, bits in sorted(self.speeds.items())}
        tables: dict[str, Mapping[str, object]] = {
            "": {"log_level": self.level},
            "access": {"user_max_unique_ips_mode": "active_window"},
            "access.users": dict(sorted(self.users.items())),
            "access.user_expirations": dict(sorted(self.expires.items())),
            "access.user_max_unique_ips": limits,
            "access.user_enabled": dict.fromkeys(sorted(self.disabled), False),
            "access.user_rate_limits": {link: {"up_bps": bits, "down_bps": bits}
                                        for link, bits in sorted(self.speeds.items())},
        }
        revision = hashlib.sha256(render(tables).encode()).hexdigest()[:16]
        tables["access.user_max_unique_ips"] = {f'"{REVISION}{revision}"': 1, **limits}
        return render({name: table for name, table in tables.items() if table})


def of(links: Iterable[UserLink]) -> Live:
    """What should be served."""
    links = list(links)
    expires = {link.id: min(filter(None, (link.user.expires_at, link.until)), default=None) for link in links}
    return Live(
        users={link.id: link.secret.key.hex() for link in links},
        expires={link: _moment(at) for link, at in expires.items() if at},
        addresses={link.id: link.max_unique_ips for link in links if link.max_unique_ips},
        speeds={link.id: link.bits_per_second for link in links if link.bits_per_second},
    )


def with_level(text: str, level: str) -> str:
    """The same file with another level of its log; with VERBOSE it also tells why connections are turned away."""
    found = parse(text)
    return replace(found, level=level).text() if found else text


@lru_cache(maxsize=4)
def parse(text: str) -> Live | None:
    """The file as it is; None if a hand has broken it."""
    try:
        file = tomllib.loads(text)
        access = file["access"]
        return Live(
            users={str(user): str(key) for user, key in access["users"].items()},
            speeds={str(user): int(limits["down_bps"]) for user, limits in access.get("user_rate_limits", {}).items()},
            expires=access.get("user_expirations", {}),
            addresses={user: limit for user, limit in access.get("user_max_unique_ips", {}).items()
                       if not user.startswith(REVISION) and not user.endswith(SPEED)},
            disabled=[user for user, enabled in access.get("user_enabled", {}).items() if not enabled],
            level=file["log_level"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def steps(held: str, wanted: str, metrics: str) -> Sequence[str]:
    """The texts to write, one after the other; see Engine.steps()."""
    before, after = parse(held), parse(wanted)
    if after is None:
        raise ValueError(FILE)
    serving = told(metrics) if metrics else Told()
    known = set(serving.links) if before is None else {*before.users, *serving.connected}
    there = known if before is None else set(before.users)
    added = after.users.keys() - (there & serving.named if metrics else there)
    ending = known - after.users.keys()
    if before:
        ending |= {link for link in before.users.keys() & after.users.keys()
                   if (before.users[link], before.speeds.get(link)) != (after.users[link], after.speeds.get(link))}
    if before is None or before.text() != held:
        # By hand, and telemt may go by it, under the hash of another text: that of the first step is a new one.
        ending = ending or {_NOBODY}
    if not (ending or added):
        return [wanted]
    users = {link: _nobodys(link) if link in added else key for link, key in after.users.items()}
    # Who is new to the file alone, as after an edit by hand, keeps the sessions they have.
    return [replace(after, users=users, disabled={*ending, *(added - serving.connected)}).text(), wanted]


def holds(text: str, metrics: str) -> bool:
    """Whether telemt goes by this text, and whoever should not be served has no session; see Engine.holds()."""
    revision, live = _REVISION.search(text), parse(text)
    if not revision or live is None or f'"{REVISION}{revision[1]}"' not in metrics:
        return False
    return told(metrics).connected <= live.users.keys() - set(live.disabled)


def _nobodys(link: str) -> str:
    """A key to be known by until the real one follows. It opens nothing: whoever has it is disabled."""
    return hashlib.sha256(f"{_NOBODY} {link}".encode()).hexdigest()[:32]


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
