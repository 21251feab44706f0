"""Bytes through the engine: none lost, none changed, in every packet encoding, both directions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from app.mtproto.secret import PLAIN, Secret
from tests.support import wire
from tests.support.dc import DataCenter
from tests.support.engine import Engine
from tests.support.stream import BackgroundStream, Stream, StreamBroken

SIZE = 30_000_000


async def exchange(link: str, tag: bytes = b"") -> None:
    stream = await Stream.open(link, tag=tag)
    await stream.req_pq()
    await stream.download(SIZE)
    await stream.upload(SIZE)
    for size in (0, 1, 4, 1000, 300_000):
        await stream.echo(size)
    await stream.close()


@pytest.mark.parametrize("tag", wire.TAGS, ids=["abridged", "intermediate", "padded"])
def test_a_plain_secret_carries_every_byte_in_each_encoding(
    tag: bytes, start_engine: Callable[..., Engine], dc: DataCenter
) -> None:
    engine = start_engine(secret=Secret(PLAIN, os.urandom(16)))
    asyncio.run(exchange(engine.link, tag))
    assert dc.problems == []


@pytest.mark.parametrize("tag", wire.TAGS, ids=["abridged", "intermediate", "padded"])
def test_faketls_carries_every_byte_in_each_encoding(tag: bytes, engine: Engine, dc: DataCenter) -> None:
    asyncio.run(exchange(engine.link, tag))
    assert dc.problems == []


def test_many_connections_at_once_do_not_mix_their_bytes(engine: Engine, dc: DataCenter) -> None:
    async def one(number: int) -> None:
        stream = await Stream.open(engine.link)
        await stream.download(200_000 + number)
        await stream.upload(100_000 + number)
        await stream.close()

    async def crowd() -> None:
        await asyncio.gather(*(one(number) for number in range(60)))

    asyncio.run(crowd())
    assert dc.problems == []
    assert len(dc.sessions) == 60


def test_an_upstream_that_goes_away_ends_the_clients_connection(engine: Engine, dc: DataCenter) -> None:
    async def go() -> bool:
        stream = await Stream.open(engine.link)
        await stream.req_pq()
        dc.cut()
        return await stream.ended(60)

    assert asyncio.run(go())


def test_upstream_credentials_are_used_and_wrong_ones_reach_nothing(
    start_engine: Callable[..., Engine],
) -> None:
    guarded = DataCenter(user="proxy user", password="p@ss:w/rd").start()
    try:
        good = start_engine(upstream=f"proxy%20user:p%40ss%3Aw%2Frd@{guarded.socks5}")
        asyncio.run(exchange_req_pq(good.link))
        assert guarded.requests == 1
        bad = start_engine(upstream=f"proxy%20user:wrong@{guarded.socks5}")
        with pytest.raises((OSError, StreamBroken), match="closed|reset"):
            asyncio.run(exchange_req_pq(bad.link))
        assert guarded.requests == 1 and guarded.refused_logins >= 1
    finally:
        guarded.stop()


async def exchange_req_pq(link: str) -> float:
    stream = await Stream.open(link)
    try:
        return await stream.req_pq()
    finally:
        stream.abort()


def test_a_background_stream_tells_when_its_connection_is_cut(engine: Engine, dc: DataCenter) -> None:
    with BackgroundStream(engine.link) as untouched:
        report = untouched.finish()
        assert report.broken == "" and report.rounds >= 1 and report.down >= 200_000
    with BackgroundStream(engine.link) as cut:
        dc.cut()
        assert cut.wait_until_broken(60)
        assert cut.finish().broken
