"""The test DC, its SOCKS5 server and the streaming client do notice what they are there to notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator

import pytest
from python_socks import ProxyError
from python_socks.sync import Proxy

from tests.support.dc import DataCenter, DataCenterProcess
from tests.support.relay import Relay
from tests.support.stream import Stream, StreamBroken


class FaultyRelay(Relay):
    """Relays to the DC, but once changes, drops or doubles one byte of what comes back, or hangs up."""

    def __init__(self, target: str, fault: str):
        super().__init__(target)
        self._fault = fault

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: bytearray
    ) -> None:
        with contextlib.suppress(OSError):
            await self._spoil(reader, writer)

    async def _spoil(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await reader.read(1 << 16):
            if passed < 3_000_000 <= passed + len(data):
                middle = len(data) // 2
                byte = data[middle : middle + 1]
                wrong = {"change": bytes([byte[0] ^ 1]), "drop": b"", "double": byte * 2, "hang up": None}
                if wrong[self._fault] is None:
                    writer.close()
                    return
                data = data[:middle] + wrong[self._fault] + data[middle + 1 :]
            passed += len(data)
            writer.write(data)
            await writer.drain()


@pytest.fixture(params=["change", "drop", "double", "hang up"])
def faulty(request: pytest.FixtureRequest, dc: DataCenter) -> Iterator[Relay]:
    relay = FaultyRelay(dc.direct, request.param).start()
    yield relay
    relay.stop()


def test_a_download_with_one_faulty_byte_is_noticed(faulty: Relay) -> None:
    async def go() -> None:
        stream = await Stream.open_direct(faulty.address)
        async with asyncio.timeout(60):
            await stream.download(10_000_000)

    with pytest.raises((StreamBroken, OSError)):
        asyncio.run(go())


def test_an_upload_with_one_faulty_byte_is_noticed(faulty: Relay) -> None:
    async def go() -> None:
        stream = await Stream.open_direct(faulty.address)
        async with asyncio.timeout(60):
            await stream.upload(10_000_000)

    with pytest.raises((StreamBroken, OSError)):
        asyncio.run(go())


def test_a_download_and_an_upload_without_a_fault_pass(dc: DataCenter) -> None:
    relay = Relay(dc.direct).start()

    async def go() -> None:
        stream = await Stream.open_direct(relay.address)
        await stream.download(10_000_000)
        await stream.upload(10_000_000)
        await stream.close()

    try:
        asyncio.run(go())
    finally:
        relay.stop()


@pytest.mark.parametrize("host", ["149.154.167.51", "2001:67c:4e8:f002::a", "dc.example.org"])
def test_the_socks5_server_takes_every_kind_of_address_and_notes_it(host: str, dc: DataCenter) -> None:
    # A name is to be looked up by the SOCKS5 server, which looks up nothing: nothing leaves the machine.
    Proxy.from_url(f"socks5://{dc.socks5}", rdns=True).connect(host, 443, timeout=60).close()
    assert [(session.host, session.port) for session in dc.sessions] == [(host, 443)]


def test_the_socks5_server_with_a_password_refuses_whoever_lacks_it() -> None:
    center = DataCenter(user="alice", password="secret").start()
    try:
        Proxy.from_url(f"socks5://alice:secret@{center.socks5}").connect("149.154.167.51", 443, timeout=60).close()
        for wrong in ("alice:guess@", "bob:secret@", ""):
            with pytest.raises((ProxyError, OSError)):
                Proxy.from_url(f"socks5://{wrong}{center.socks5}").connect("149.154.167.51", 443, timeout=60)
        assert center.refused_logins == 3
        assert len(center.sessions) == 1
    finally:
        center.stop()


def test_the_dc_as_a_process_of_its_own_counts_and_obeys() -> None:
    center = DataCenterProcess("--mode", "refuse")
    try:
        with pytest.raises(ProxyError):
            Proxy.from_url(f"socks5://{center.socks5}").connect("149.154.167.51", 443, timeout=60)
        center.stats("mode answer")
        asyncio.run(ask(center.direct))
        stats = center.stats()
        assert (stats["requests"], stats["connections"]) == (1, 2)
        assert json.dumps(stats["problems"]) == "[]"
    finally:
        center.stop()
    host, port = center.direct.rsplit(":", 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 60)


async def ask(address: str) -> None:
    stream = await Stream.open_direct(address)
    await stream.req_pq()
    await stream.close()
