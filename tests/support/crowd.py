"""Many clients that keep their connections and use them a little, as the phones of many people do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.mtproto.faketls_client import AnswerError
from tests.support.stream import Stream, StreamBroken

DOWN, UP = 6_000, 2_000


@dataclass
class Member:
    """One connection. rounds: each moved DOWN and UP bytes, every one of them checked. broken: why it ended
    before it was told to, "" if it did not."""

    link: str
    rounds: int = 0
    broken: str = ""


@dataclass
class Crowd:
    """`each` connections by each link, in a thread of their own; none is ever opened again.

    with Crowd(links, each=10) as crowd: …; assert not crowd.broken
    pause: seconds between two rounds of one connection.
    """

    links: Sequence[str]
    each: int
    pause: float = 0.5
    members: list[Member] = field(default_factory=list)

    def __enter__(self) -> Crowd:
        self.members = [Member(link) for link in self.links for _ in range(self.each)]
        self._end, self._inside = threading.Event(), threading.Semaphore(0)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="crowd", daemon=True)
        self._thread.start()
        for _ in self.members:
            assert self._inside.acquire(timeout=60), "the crowd did not connect within 60 s"
        return self

    def __exit__(self, *_: object) -> None:
        """Returns when everybody has ended the round that was under way."""
        self._end.set()
        self._thread.join(60)
        if self._thread.is_alive():
            raise RuntimeError("a round did not end within 60 s")

    @property
    def broken(self) -> list[str]:
        return [member.broken for member in self.members if member.broken]

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(number, member) for number, member in enumerate(self.members)))

    async def _one(self, number: int, member: Member) -> None:
        try:
            await asyncio.sleep(self.pause * number / len(self.members))  # not all at the same time
            stream = await Stream.open(member.link, timeout=60)
            await stream.req_pq()
            self._inside.release()
            while not self._end.is_set():
                async with asyncio.timeout(30):
                    await stream.download(DOWN)
                    await stream.upload(UP)
                member.rounds += 1
                await asyncio.sleep(self.pause)
            await stream.close()
        except (StreamBroken, AnswerError, OSError, TimeoutError) as error:
            member.broken = repr(error)
            self._inside.release()
