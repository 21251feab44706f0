"""100,000 random and mutated inputs for every parser of the wire, and 2,000 over real sockets.

What is done to the inputs is seeded (FUZZ_SEED in the environment chooses another seed); the
hellos themselves are new each time.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator

from app.builtin.proxyprotocol import ProxyHeaderError, make_header, read_header
from app.mtproto import faketls, obfuscated2
from app.mtproto.faketls import NotAHello, Refused
from app.mtproto.faketls_client import AnswerError, check_answer, client_hello
from app.mtproto.records import RecordError, RecordReader, StreamEnd, frame
from tests.mtproto.parts import SECRET, CoverHost, Engine
from tests.support.dc import DataCenter

NOW = 1_800_000_000
SEED = int(os.environ.get("FUZZ_SEED", "20260101"))


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The data with a few bytes changed, cut out, doubled, cut off or put in."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        action = rng.randrange(6)
        if action == 0 and at < len(out):
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif action == 1 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif action == 2:
            del out[at : at + rng.randint(1, 40)]
        elif action == 3:
            out[at:at] = out[at : at + rng.randint(1, 40)]
        elif action == 4:
            out[at:at] = rng.randbytes(rng.randint(1, 20))
        elif rng.random() < 0.3:
            del out[at:]
    return bytes(out)


def inputs(rng: random.Random, count: int, samples: list[bytes]) -> Iterator[bytes]:
    """One random input for every three mutated ones. Early bytes are the ones parsers hang on."""
    for number in range(count):
        sample = rng.choice(samples)
        if number % 4 == 0:
            keep = rng.randrange(min(len(sample), 12))
            yield sample[:keep] + rng.randbytes(rng.randrange(300))
        elif number % 4 == 1:
            head = rng.randrange(1, min(len(sample), 200) + 1)
            yield mutated(rng, sample[:head]) + sample[head:]
        else:
            yield mutated(rng, sample)


def in_records(hello: bytes, size: int) -> bytes:
    pieces = [hello[5:][start : start + size] for start in range(0, len(hello) - 5, size)]
    return b"".join(hello[:3] + struct.pack(">H", len(piece)) + piece for piece in pieces)


def test_40000_hellos_are_clients_strangers_or_nothing_and_no_exception_escapes() -> None:
    rng = random.Random(SEED)
    originals = [client_hello(SECRET, NOW, bool(number % 2)) for number in range(6)]
    samples = originals + [in_records(hello, 150) for hello in originals]
    seen = {"none": 0, "not a hello": 0, "refused": 0}
    for data in inputs(rng, 40_000, samples):
        try:
            hello = faketls.read_hello(data)
            if hello is None:
                seen["none"] += 1
                continue
            assert len(faketls.answer(hello, SECRET.key, 2500)) > 2500
            faketls.check_hello(hello, SECRET, NOW, 3)
            # Nothing in it was changed but the time, by no more than is tolerated: it has no proof.
            assert hello.record[:39] + hello.record[43:] in {one[:39] + one[43:] for one in originals}
        except NotAHello:
            seen["not a hello"] += 1
        except Refused:
            seen["refused"] += 1
    assert min(seen.values()) > 1000, seen


def test_25000_streams_of_records_give_payload_or_an_error() -> None:
    rng = random.Random(SEED + 1)
    samples = [b"\x14\x03\x03\x00\x01\x01" + frame(rng.randbytes(size)) for size in (1, 64, 700, 17_000)]
    ended = {"payload": 0, "error": 0, "alert": 0}
    for data in inputs(rng, 25_000, samples):
        reader, at, got = RecordReader(), 0, 0
        try:
            while at < len(data):
                step = rng.choice((1, 3, 5, 64, 5000, 20_000))
                got += len(reader.feed(memoryview(data)[at : at + step]))
                at += step
            assert got <= len(data)
            ended["payload"] += 1
        except RecordError:
            ended["error"] += 1
        except StreamEnd:
            ended["alert"] += 1
    assert ended["payload"] > 1000 and ended["error"] > 1000 and ended["alert"] > 5, ended


def test_20000_obfuscated2_headers_are_opened_or_refused() -> None:
    rng = random.Random(SEED + 2)
    samples = [obfuscated2.connect(tag, 2, SECRET.key)[0] for tag in obfuscated2.TAGS]
    opened = 0
    for data in inputs(rng, 20_000, samples):
        try:
            streams = obfuscated2.accept(data[:64], SECRET.key)
        except obfuscated2.HeaderError:
            continue
        opened += 1
        assert streams.tag in obfuscated2.TAGS and -32768 <= streams.dc <= 32767
        assert len(streams.incoming.update(data[64:])) == len(data[64:])
    # Changes in the noise, the DC id or behind the header leave it valid.
    assert 0 < opened < 10_000


def test_8000_proxy_protocol_headers_are_read_or_refused() -> None:
    rng = random.Random(SEED + 3)
    samples = [
        make_header(("192.0.2.1", 1), ("192.0.2.2", 2)),
        make_header(("2001:db8::1", 1), ("192.0.2.2", 2)),
        b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\nmore",
        b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
    ]
    read = 0
    for data in inputs(rng, 8_000, samples):
        try:
            header = read_header(data) if data else None
        except ProxyHeaderError:
            continue
        if header:
            read += 1
            assert 0 < header.wire_bytes <= len(data)
    assert 500 < read < 7_500


def test_7000_answers_are_the_proxys_or_not() -> None:
    rng = random.Random(SEED + 4)
    record = client_hello(SECRET, NOW)
    answer = faketls.answer(faketls.read_hello(record), SECRET.key, 2500)
    believed = 0
    for data in inputs(rng, 7_000, [answer]):
        try:
            end = check_answer(data, record, SECRET.key)
        except AnswerError:
            continue
        if end is not None:
            believed += 1
            assert data[:end] == answer
    assert believed < 700


def test_2000_broken_connections_leave_nothing_behind(
    engine: Callable[..., Engine], cover_host: Callable[..., CoverHost], dc: DataCenter
) -> None:
    rng = random.Random(SEED + 5)
    proxy = engine(cover_port=cover_host().port, upstream=[f"socks5://{dc.socks5}"], handshake="300ms")

    async def visit(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        if number % 3 == 0:  # now: a connection that the engine has reset has no socket any more
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            async with asyncio.timeout(rng.choice((0.02, 0.05, 0.5))):
                hello = client_hello(SECRET, time.time(), bool(number % 3))
                if number % 2:
                    writer.write(mutated(rng, rng.choice((hello, in_records(hello, 300)))))
                else:
                    writer.write(hello)
                    await reader.readexactly(2000)
                    header = obfuscated2.connect(obfuscated2.PADDED, rng.choice((2, -4, 99)), SECRET.key)[0]
                    data = b"\x14\x03\x03\x00\x01\x01" + frame(header) + frame(rng.randbytes(200))
                    writer.write(data if number % 4 else mutated(rng, data))
                if number % 5 == 0:
                    writer.write_eof()
                while await reader.read(65536):
                    pass
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        writer.close()

    async def crowd() -> None:
        gate = asyncio.Semaphore(60)

        async def one(number: int) -> None:
            async with gate:
                await visit(number)

        await asyncio.gather(*(one(number) for number in range(2_000)))

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))

    before = descriptors()
    asyncio.run(crowd())
    proxy.wait_until_idle()
    proxy.wait_for(lambda: descriptors() <= before + 1)
    assert proxy.metric("mtg_domain_fronting") > 500
    assert "fault of the engine" not in proxy.log()
