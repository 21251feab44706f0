"""How fast a client's payload really arrives, in both directions, once the connection is warm.

What is measured is what was delivered: bytes that the client has read and checked,
and bytes that the test DC has received. Buffers on the way count for nothing.
"""

from __future__ import annotations

import asyncio
import socket
import time

from docker import APIClient

from tests.support.dc import DataCenter
from tests.support.stream import Stream

#: Seconds that don't count: the bucket's first burst, and TCP finding its window.
WARM_UP = 1.5

_PIECE = 1 << 14


def use_cubic(center: DataCenter) -> None:
    """Have the DC send as most servers and phones do.

    BBR, some machines' own choice, measures the round trip of an empty path: 50 us here,
    thousands of times less than on any real one, and it then starves itself behind any queue.
    """
    for server in center._servers:
        for each in server.sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")


def memory_in_use(api: APIClient, container: str) -> int:
    """Bytes, as `docker stats` counts them: without files that were read once."""
    told = api.stats(container, stream=False, one_shot=True)["memory_stats"]
    pages = told["stats"]
    return told["usage"] - pages.get("total_inactive_file", pages.get("inactive_file", 0))


def download_speed(link: str, expected: float, seconds: float = 3.0) -> float:
    """Bits per second of payload that reaches the client. expected: about how many those will be."""
    return asyncio.run(_download(link, expected, seconds))


def upload_speed(link: str, center: DataCenter, seconds: float = 3.0) -> float:
    """Bits per second of payload that reaches the DC, to which nobody else sends meanwhile."""
    return asyncio.run(_upload(link, center, seconds))


async def _open(link: str) -> Stream:
    stream = await Stream.open(link)
    stream._writer.get_extra_info("socket").setsockopt(
        socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    await stream.echo()
    return stream


async def _download(link: str, expected: float, seconds: float) -> float:
    stream = await _open(link)
    # Small pieces, and a second's worth of them asked for ahead: the DC never waits for the client.
    piece = int(min(1 << 18, max(4096, expected / 8 / 25)))
    for _ in range(max(8, int(expected / 8 / piece))):
        await stream.ask(piece)
    started, since, counted = time.monotonic(), 0.0, 0
    while True:
        size = await stream.read_pattern(0)
        now = time.monotonic()
        if since:
            counted += size
            if now - since >= seconds:
                break
        elif now - started >= WARM_UP:
            since = now
        await stream.ask(piece)
    stream.abort()
    return counted * 8 / (now - since)


async def _upload(link: str, center: DataCenter, seconds: float) -> float:
    stream = await _open(link)

    async def push() -> None:
        offset = 0
        while True:
            await stream.send_pattern(offset, _PIECE)
            offset += _PIECE

    def arrived() -> int:
        return sum(session.bytes_in for session in center.sessions)

    async def next_arrival() -> tuple[float, int]:
        """When the next bytes arrive, and how many there are by then: no piece is counted in part."""
        before = arrived()
        while (now := arrived()) == before:  # noqa: ASYNC110  what comes in sets no event
            await asyncio.sleep(0.002)
        return time.monotonic(), now

    pushing = asyncio.create_task(push())
    await asyncio.sleep(WARM_UP)
    since, before = await next_arrival()
    await asyncio.sleep(seconds)
    until, after = await next_arrival()
    pushing.cancel()
    await asyncio.wait([pushing])
    stream.abort()
    return (after - before) * 8 / (until - since)
