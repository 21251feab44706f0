"""data/bans: what the panel wants of fail2ban on this server, and what fail2ban does. See host/fail2ban/mtproto-bans.

The panel may be in a container, and can't run fail2ban's commands. It writes `wanted`, a file of plain lines that the
server reads with the panel's own rights, line by line, each against a pattern; the server writes `active`, and once a
minute `refused`, whom the firewall's limits refused, with the same rights. Each file has one writer, and is replaced as
a whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.lib.filelock import locked
from app.lib.files import put
from app.lib.place import place

FOLDER, WANTED, ACTIVE, REFUSED = "bans", "wanted", "active", "refused"
#: Requests at a time: more than that, and something is wrong on the server.
MOST_REQUESTS = 1000
#: Bytes of `active` that are read: some 40,000 bans.
_LARGEST = 2_000_000

#: What the server says of fail2ban: it runs with our jail; it runs without, or does not run; it is not installed.
State = Literal["running", "stopped", "missing"]
Verb = Literal["ban", "unban"]

_HEAD = re.compile(r"mtproto-bans 1 (running|stopped|missing) (\d{1,12}) (\d{1,15})")
_REQUEST = re.compile(r"(ban|unban) (\d{1,15}) ([0-9a-f.:]{2,39})")
_REFUSED_HEAD = re.compile(r"mtproto-refused 1 (\d{1,12})")
_REFUSED = re.compile(r"([0-9a-f.:]{2,39}) (\d{1,5})")
_BAN = re.compile(r"([0-9a-f.:]{2,39}) (\d{1,12}) (\d{1,12})")


@dataclass(frozen=True)
class Ban:
    """place: as in lib/place. since, until: Unix seconds; until is 0 for one without an end."""

    place: str
    since: int
    until: int


@dataclass(frozen=True)
class Request:
    """number: they are carried out in this order, each once."""

    verb: Verb
    number: int
    place: str


@dataclass(frozen=True)
class Active:
    """at: when the server wrote it, Unix seconds. done: the number of the last request that was carried out."""

    state: State
    at: int
    done: int
    bans: Sequence[Ban] = ()


@dataclass(frozen=True)
class Refusals:
    """Whom the firewall's limits refused in the minute before `at` (Unix seconds): ports by place."""

    at: int
    ports: Mapping[str, int]


@dataclass(frozen=True)
class Rules:
    """What the jail goes by. Times are seconds."""

    enabled: bool
    most: int
    window: int
    time: int
    ports: tuple[int, ...]

    @property
    def text(self) -> str:
        told = [("enabled", "yes" if self.enabled else "no"), ("maxretry", self.most), ("findtime", self.window),
                ("bantime", self.time), *(("ports", f"{first}-{last}") for first, last in ranges(self.ports))]
        return "".join(f"{name} {value}\n" for name, value in told)


def ranges(ports: Iterable[int]) -> list[tuple[int, int]]:
    """Ports as ranges that do not touch each other."""
    found: list[tuple[int, int]] = []
    for port in sorted(set(ports)):
        if found and port == found[-1][1] + 1:
            found[-1] = (found[-1][0], port)
        else:
            found.append((port, port))
    return found


class BansFolder:
    """data_dir: the data folder. All raise OSError where that can't be written."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FOLDER

    def want(self, rules: Rules) -> bool:
        """Let the jail go by these; whether that was news."""
        return self._change(rules, ())

    def ask(self, rules: Rules, verb: Verb, places: Iterable[str]) -> None:
        """Ask for a ban, or the end of one, of each of these."""
        self._change(rules, [(verb, place(each)) for each in places])

    def requests(self) -> list[Request]:
        """Those that the server has not carried out yet."""
        done = found.done if (found := self.active()) else 0
        return [each for each in self._written() if each.number > done]

    def active(self) -> Active | None:
        """What fail2ban does; None if the server has never said, or not in full."""
        head, lines = self._told(ACTIVE, _HEAD)
        if not head:
            return None
        bans: dict[str, Ban] = {}
        for line in lines:
            if found := _BAN.fullmatch(line):
                with suppress(ValueError):
                    ban = Ban(place(found[1]), int(found[2]), int(found[3]))
                    bans[ban.place] = ban
        state: State = head[1]  # type: ignore[assignment]
        return Active(state, int(head[2]), int(head[3]), tuple(bans.values()))

    def refused(self) -> Refusals | None:
        """Of the last minute in which there was anybody; None if the server has never said."""
        head, lines = self._told(REFUSED, _REFUSED_HEAD)
        if not head:
            return None
        ports: dict[str, int] = {}
        for line in lines:
            if found := _REFUSED.fullmatch(line):
                with suppress(ValueError):
                    ports[place(found[1])] = int(found[2])
        return Refusals(int(head[1]), ports)

    def _told(self, name: str, pattern: re.Pattern[str]) -> tuple[re.Match[str] | None, list[str]]:
        """The first line of what the server wrote, if it is as it should be, and the others."""
        try:
            with open(self.path / name, "rb") as file:
                lines = file.read(_LARGEST).decode(errors="replace").splitlines()
        except OSError:
            return None, []
        return pattern.fullmatch(lines[0]) if lines else None, lines[1:]

    def _written(self) -> list[Request]:
        with suppress(OSError):
            lines = (self.path / WANTED).read_text(errors="replace").splitlines()
            return [Request(found[1], int(found[2]), found[3])  # type: ignore[arg-type]
                    for line in lines if (found := _REQUEST.fullmatch(line))]
        return []

    def _change(self, rules: Rules, new: Sequence[tuple[Verb, str]]) -> bool:
        self.path.mkdir(mode=0o700, exist_ok=True)
        with locked(self.path / "wanted.lock"):
            waiting = self.requests()
            known = {(each.verb, each.place) for each in waiting}
            number = max([found.done if (found := self.active()) else 0, *(each.number for each in self._written())])
            for verb, address in new:
                if (verb, address) not in known and len(waiting) < MOST_REQUESTS:
                    number += 1
                    # The last word counts.
                    waiting = [each for each in waiting if each.place != address] + [Request(verb, number, address)]
            text = "mtproto-bans 1\n" + rules.text + "".join(
                f"{each.verb} {each.number} {each.place}\n" for each in waiting)
            path = self.path / WANTED
            with suppress(OSError):
                if path.read_text(errors="replace") == text:
                    return False
            put(path, text.encode())
            return True

    def forget(self) -> None:
        """Take `wanted` away: nobody on the server goes by it any more."""
        with suppress(FileNotFoundError):
            os.unlink(self.path / WANTED)
