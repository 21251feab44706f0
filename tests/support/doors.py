"""Which ports something listens on, looked at all the time, by a process of its own.

with Doors() as doors: doors.watch({"Anna": [2443, 8443]}); …; doors.shut()["Anna"]
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

#: Seconds between two looks.
LOOK = 0.02
_LISTEN = "0A"


class Doors:
    def __enter__(self) -> Doors:
        here, there = multiprocessing.Pipe()
        self._line = here
        self._process = multiprocessing.get_context("spawn").Process(target=_look, args=(there,), daemon=True)
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.send(None)
        self._process.join()

    def watch(self, doors: Mapping[str, Sequence[int]]) -> None:
        """From now on each of them has these TCP ports of IPv4, and any of them will do."""
        self._line.send({name: list(ports) for name, ports in doors.items()})

    def shut(self) -> dict[str, float]:
        """The longest time in which nothing listened on any of one's ports, seconds; 0.0 if something always did."""
        self._line.send(True)
        return self._line.recv()


def _look(line: Connection) -> None:
    doors: dict[str, list[int]] = {}
    since: dict[str, float] = {}
    worst: dict[str, float] = {}
    while True:
        while line.poll(LOOK if doors else None):
            said = line.recv()
            if said is None:
                return
            if said is True:
                line.send(worst)
            else:
                doors, since, worst = said, {}, dict.fromkeys(said, 0.0)
        now, open_now = time.monotonic(), _listening()
        for name, ports in doors.items():
            if open_now.isdisjoint(ports):
                worst[name] = max(worst[name], now - since.setdefault(name, now))
            else:
                since.pop(name, None)


def _listening() -> set[int]:
    """The kernel lists listeners first, so connections, however many, are not read."""
    found = set()
    with Path("/proc/net/tcp").open() as table:
        next(table)
        for row in table:
            fields = row.split(None, 4)
            if fields[3] != _LISTEN:
                break
            found.add(int(fields[1].rpartition(":")[2], 16))
    return found
