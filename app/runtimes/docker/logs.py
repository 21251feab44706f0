"""Reading the logs of containers, each line with Docker's own time, and without secrets."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from docker import APIClient
from docker.errors import APIError
from docker.types import CancellableStream

from app.mtproto.masking import mask
from app.runtimes.base import RuntimeFailure
from app.runtimes.docker.client import PATIENT, Connection
from app.runtimes.loglines import Line

#: Seconds between looks for containers that are new, or run again, while following.
_LOOK = 2.0


def parse(name: str, logged: bytes) -> list[Line]:
    """The lines of one container's log that was asked for with timestamps."""
    lines = []
    for raw in logged.decode(errors="replace").splitlines():
        stamp, _, text = raw.partition(" ")
        if stamp[:1].isdigit():
            lines.append(Line(stamp, name, mask(text)))
    return lines


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

    def attach(identity: str, name: str) -> None:
        last = seen.get(name, "")
        try:
            with connection.api(None) as api:
                # Some lines too many: Docker knows no "after this line".
                stream = api.logs(identity, stream=True, follow=True, timestamps=True, tail=1000)
                streams[identity], rest = stream, b""
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
                            target=attach, args=(identity, name), name=f"log of {name}", daemon=True)
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


def read(connection: Connection, identity: str, name: str, tail: int) -> list[Line]:
    """The last lines of one container; none if it is gone. Raises RuntimeFailure."""
    with connection.api(PATIENT) as api:
        return parse(name, text(api, identity, timestamps=True, tail=tail).encode())


def text(api: APIClient, identity: str, **how: object) -> str:
    """What one container has logged, its secrets hidden; "" if it is gone, or just being removed. Raises APIError."""
    try:
        return mask(api.logs(identity, **how).decode(errors="replace"))
    except APIError as error:
        if error.status_code not in (404, 409):
            raise
        return ""
