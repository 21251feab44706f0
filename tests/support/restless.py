"""People who never rest: each keeps a stream, opens it anew when it ends, and connects again and again beside it.

    python -m tests.support.restless [--pause SECONDS] [--round SECONDS]

is told by lines of JSON on standard input: {"links": {"Anna": ["tg://…", "tg://…"]}} are those that work now or in a
moment, and {"told": true} asks for what everybody has seen since then, as a line of JSON. It ends with its input. In a
process of its own, so that it costs what it looks at nothing but its share of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from app.mtproto.faketls_client import AnswerError
from tests.support.stream import Stream, StreamBroken

FAILURES = (OSError, TimeoutError, StreamBroken, AnswerError)
#: Bytes a second of a stream, each way, if rounds took no time.
SPEED = 40_000
#: Seconds that they wait for an answer: a machine that stands still for a moment is no proxy that is gone.
PATIENCE = 30.0


@dataclass
class Seen:
    """What one of them has seen since the links were told. served: new connections that got an answer. refused: those
    that no link served. down: seconds, the longest time in which no new connection was served. cut: streams that
    ended. moved: bytes between the proxy and Telegram, both ways, in all of the time; unsure: of these, those that were
    under way when a connection ended, which may not have got there. late: seconds by which the machine let them wait
    at most. in_a_row: refused tries with no other between them, at most: one alone may have been under way when its
    proxy ended. connections: those of now."""

    served: int = 0
    refused: int = 0
    down: float = 0.0
    cut: int = 0
    moved: int = 0
    unsure: int = 0
    late: float = 0.0
    in_a_row: int = 0
    connections: int = 0


@dataclass
class Person:
    """links: any of them will do. at: when the last connection was served, on time.monotonic(). stays: their stream.
    pause, round: seconds between two tries, and between two rounds of the stream. open: how many connections."""

    pause: float
    round: float
    links: list[str] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    at: float = 0.0
    stays: Stream | None = None
    open: int = 0

    def begin(self, links: list[str]) -> None:
        self.links, self.seen, self.at = links, Seen(moved=self.seen.moved, unsure=self.seen.unsure), time.monotonic()

    def told(self) -> Seen:
        """Being without an answer until now counts, too."""
        self.seen.down = max(self.seen.down, time.monotonic() - self.at)
        return replace(self.seen, moved=self.seen.moved + (self.stays.moved if self.stays else 0),
                       connections=self.open)

    async def connect(self) -> None:
        row = 0
        while True:
            try:
                stream = await self._open()
            except FAILURES:
                self.seen.refused, row = self.seen.refused + 1, row + 1
                self.seen.in_a_row = max(self.seen.in_a_row, row)
                await asyncio.sleep(self.pause / 4)
                continue
            row = 0
            now = time.monotonic()
            self.seen.down, self.at = max(self.seen.down, now - self.at), now
            self.seen.served += 1
            self._leave(stream)
            await asyncio.sleep(self.pause)
            self.seen.late = max(self.seen.late, time.monotonic() - now - self.pause)

    async def stream(self) -> None:
        while True:
            try:
                self.stays = await self._open()
                done = self.stays.moved
            except FAILURES:
                await asyncio.sleep(self.pause)
                continue
            try:
                while self.links:
                    async with asyncio.timeout(PATIENCE):
                        await self.stays.echo(round(SPEED * self.round))
                    done = self.stays.moved
                    await asyncio.sleep(self.round)
            except FAILURES:
                self.seen.cut += 1
                self.seen.unsure += self.stays.moved - done
            finally:
                self._leave(self.stays)
                self.stays = None

    async def _open(self) -> Stream:
        """By the first link that is answered."""
        failure: BaseException = OSError("no links")
        for link in self.links:
            try:
                stream = await Stream.open(link, timeout=PATIENCE)
            except FAILURES as error:
                failure = error
                continue
            self.open += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    await stream.req_pq()
                return stream
            except FAILURES as error:
                self.seen.unsure += stream.moved
                self._leave(stream)
                failure = error
        raise failure

    def _leave(self, stream: Stream) -> None:
        self.seen.moved += stream.moved
        self.open -= 1
        stream.abort()


async def _serve(pause: float, between: float) -> None:
    people: dict[str, Person] = {}
    tasks = []
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        said = json.loads(line)
        for name, links in said.get("links", {}).items():
            new = name not in people
            person = people.setdefault(name, Person(pause, between))
            person.begin(links)
            if new:
                tasks += [asyncio.create_task(person.connect()), asyncio.create_task(person.stream())]
        print(json.dumps({name: asdict(person.told()) for name, person in people.items()}), flush=True)
    for task in tasks:
        task.cancel()


class Restless:
    """The same from outside.

    with Restless(0.4) as people: people.use({"Anna": [link]}); …; people.told()["Anna"].down
    """

    def __init__(self, pause: float = 0.4, between: float = 0.2) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.restless", "--pause", str(pause), "--round", str(between)],
            cwd=Path(__file__).resolve().parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def use(self, links: Mapping[str, list[str]]) -> None:
        """From now on these people use these links, and what they see is counted from here."""
        self._say({"links": links})

    def told(self) -> dict[str, Seen]:
        return {name: Seen(**seen) for name, seen in self._say({"told": True}).items()}

    def wait(self, more: int = 2, seconds: float = 60) -> dict[str, Seen]:
        """told(), once everybody has been served so many times more. Raises TimeoutError."""
        before, end = self.told(), time.monotonic() + seconds
        while True:
            now = self.told()
            waiting = [name for name, seen in now.items() if seen.served < before[name].served + more]
            if not waiting:
                return now
            if time.monotonic() > end:
                raise TimeoutError(f"not served within {seconds:g} s: {', '.join(waiting)}")
            time.sleep(0.1)

    def rest(self, seconds: float = 60) -> None:
        """Returns when nobody has a connection any more, after use() with no links."""
        end = time.monotonic() + seconds
        while any(seen.connections for seen in self.told().values()):
            if time.monotonic() > end:
                raise TimeoutError(f"connections are there after {seconds:g} s")
            time.sleep(0.1)

    def _say(self, what: object) -> dict:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Restless:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pause", type=float, default=0.4)
    parser.add_argument("--round", type=float, default=0.2)
    told = parser.parse_args()
    asyncio.run(_serve(told.pause, told.round))
