"""The logs of local processes as one stream, from the files that they write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from app.mtproto.masking import mask
from app.runtimes.loglines import Line, merge, stamped
from app.runtimes.process.folder import Folder

#: Seconds between looks for new lines.
LOOK = 0.5


class ProcessLogs:
    """folders: workload name -> folder, for the users with these ids, or for all (None)."""

    def __init__(self, folders: Callable[[set[str] | None], dict[str, Folder]]) -> None:
        self._folders = folders

    def merged(self, users: Iterable[str] | None, tail: int) -> list[str]:
        """See Runtime.merged_logs."""
        return [str(line) for line in merge(self._tails(_set(users), tail), tail)]

    def followed(self, users: Iterable[str] | None, tail: int) -> Iterator[str]:
        """See Runtime.followed_logs."""
        wanted = _set(users)
        followers = {name: Follower(folder.log) for name, folder in self._folders(wanted).items()}
        yield from map(str, merge(self._tails(wanted, tail), tail))
        while True:
            time.sleep(LOOK)
            for name, folder in self._folders(wanted).items():
                followers.setdefault(name, Follower(folder.log, from_start=True))
            fresh = {name: stamped(name, follower.fresh()) for name, follower in followers.items()}
            yield from map(str, merge(fresh, sum(map(len, fresh.values()))))

    def _tails(self, users: set[str] | None, tail: int) -> dict[str, list[Line]]:
        return {name: stamped(name, folder.tail(tail).splitlines())
                for name, folder in self._folders(users).items()}


class Follower:
    """What is written to a log from now on (or from_start), in whole lines; a rotation is noticed."""

    def __init__(self, log: Path, from_start: bool = False) -> None:
        self._log = log
        self._at = 0 if from_start or not log.exists() else log.stat().st_size
        self._rest = b""

    def fresh(self) -> list[str]:
        """The lines that were completed since the last call."""
        try:
            with open(self._log, "rb") as file:
                if file.seek(0, os.SEEK_END) < self._at:
                    self._at, self._rest = 0, b""
                file.seek(self._at)
                added = file.read()
        except FileNotFoundError:
            return []
        self._at += len(added)
        *whole, self._rest = (self._rest + added).split(b"\n")
        return [mask(line.decode(errors="replace")) for line in whole]


def _set(users: Iterable[str] | None) -> set[str] | None:
    return None if users is None else set(users)
