"""The logs of many containers as one: each line with its container's name, ordered by time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from docker.types import CancellableStream

from app.runtimes.base import RuntimeFailure
from app.runtimes.docker_client import PATIENT, Connection

#: Seconds between looks for containers that are new, or run again, while following.
_LOOK = 2.0


@dataclass(frozen=True, order=True)
class Line:
    """stamp: Docker's time, "2026-11-21T08:24:00.123456789Z", which sorts as text."""

    stamp: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"[{self.name}] {self.text}"


def parse(name: str, logged: bytes) -> list[Line]:
    """The lines of one container's log that was asked for with timestamps."""
    lines = []
    for raw in logged.decode(errors="replace").splitlines():
        stamp, _, text = raw.partition(" ")
        if stamp[:1].isdigit():
            lines.append(Line(stamp, name, text))
    return lines


def merge(logs: Mapping[str, Iterable[Line]], tail: int) -> list[Line]:
    """The last `tail` lines of all, oldest first; lines of one container keep their order."""
    if tail <= 0:
        return []
    # By time alone: the sort is stable, and two lines of one moment stay as they were written.
    return sorted((line for name in sorted(logs) for line in logs[name]), key=lambda line: line.stamp)[-tail:]


def follow(connection: Connection, running: Callable[[], Mapping[str, str]],
           since: Mapping[str, str]) -> Iterator[Line]:
    """Lines as they are written, until the generator is closed.

    running: names of the containers to follow, by id. since: by name, the stamp of the
    last line that was seen already. One connection a container, as long as it runs.
    """
    lines: queue.Queue[Line] = queue.Queue()
    seen = dict(since)
    threads: dict[str, threading.Thread] = {}
    streams: dict[str, CancellableStream] = {}

    def read(identity: str, name: str) -> None:
        last = seen.get(name, "")
        try:
            with connection.api(None) as api:
                # Some lines too many: Docker knows no "after this line".
                stream = streams[identity] = api.logs(identity, stream=True, follow=True, timestamps=True, tail=1000)
                rest = b""
                for piece in stream:
                    *whole, rest = (rest + piece).split(b"\n")
                    for line in parse(name, b"\n".join(whole)):
                        if line.stamp > last:
                            last = seen[name] = line.stamp
                            lines.put(line)
        except RuntimeFailure:
            return  # looked for again in the next round

    try:
        while True:
            try:
                for identity, name in running().items():
                    if identity not in threads or not threads[identity].is_alive():
                        threads[identity] = threading.Thread(
                            target=read, args=(identity, name), name=f"log of {name}", daemon=True)
                        threads[identity].start()
            except RuntimeFailure:
                pass  # the engine is away: go on when it is back
            until = time.monotonic() + _LOOK
            while (left := until - time.monotonic()) > 0:
                try:
                    yield lines.get(timeout=left)
                except queue.Empty:
                    break
    finally:
        for stream in list(streams.values()):
            stream.close()


def tails(connection: Connection, names: Mapping[str, str], tail: int,
          each: Callable[[Callable[[str], list[Line]], Iterable[str]], Iterable[list[Line]]]) -> dict[str, list[Line]]:
    """The last lines of each container, by name. names: by id. each: runs a function over all, in parallel."""

    def read(identity: str) -> list[Line]:
        with connection.api(PATIENT) as api:
            return parse(names[identity], api.logs(identity, timestamps=True, tail=tail))

    return dict(zip(names.values(), each(read, names)))
