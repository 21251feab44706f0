"""The measurements: each takes a way to open a stream and says what came out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.mtproto.faketls_client import client_hello
from app.mtproto.secret import Secret
from tests.bench.processes import cpu_seconds, rss_mb
from tests.support import wire
from tests.support.stream import UPLOAD_FRAME, Stream, StreamBroken

#: Its argument is a ClientHello made beforehand, or b"" to make one.
Opener = Callable[[bytes], Awaitable[Stream]]
#: Asked for at a time, as clients ask for a file in parts: a proxy must not be given more to queue up.
PART = 16_000_000


@dataclass(kw_only=True)
class Effort:
    """How long each measurement takes. rounds: of latency. seconds: of each way of a speed test."""

    rounds: int
    handshakes: int
    echoes: int
    seconds: float


@dataclass
class Subject:
    """What is measured. connect: opens a connection through it; pid: its process, 0 if there is
    none between; secret: of its FakeTLS, None without."""

    name: str
    connect: Opener
    pid: int
    secret: Secret | None = None

    async def open(self) -> Stream:
        return await self.connect(b"")


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def handshakes(subject: Subject, count: int) -> list[float]:
    """Milliseconds from the TCP connect to the resPQ, one connection after the other."""
    times = []
    for _ in range(count):
        hello = client_hello(subject.secret, time.time()) if subject.secret else b""
        started = time.perf_counter()
        stream = await subject.connect(hello)
        await stream.req_pq()
        times.append((time.perf_counter() - started) * 1000)
        await stream.close()
    return times


async def round_trips(subject: Subject, count: int) -> list[float]:
    """Milliseconds of 64-byte messages to the DC and back, one after the other on one connection."""
    stream = await subject.open()
    for _ in range(20):
        await stream.echo()
    times = [await stream.echo() for _ in range(count)]
    await stream.close()
    return times


@dataclass
class Throughput:
    """mbit: payload, in Mbit/s, all connections together. cpu_per_gb: CPU seconds per 10^9 payload bytes."""

    mbit: float
    cpu_per_gb: float


@asynccontextmanager
async def _connections(subject: Subject, count: int):
    streams: list[Stream] = []
    try:
        while len(streams) < count:
            batch = min(25, count - len(streams))
            streams += await asyncio.gather(*(_ready(subject) for _ in range(batch)))
        yield streams
    finally:
        for stream in streams:
            stream.abort()
        await asyncio.sleep(0.2)


async def _ready(subject: Subject) -> Stream:
    stream = await subject.open()
    await stream.req_pq()
    return stream


async def download(subject: Subject, connections: int, seconds: float) -> Throughput:
    """Every byte is checked. Counted is what arrives between two moments under full load."""
    counts = [0] * connections

    async def one(number: int, stream: Stream) -> None:
        # The next part is asked for before the last one is there, as apps do: telemt may keep the end of what it was
        # given until something follows it.
        await stream.ask(PART)
        while True:
            await stream.ask(PART)
            offset = 0
            while offset < PART:
                size = await stream.read_pattern(offset)
                offset += size
                counts[number] += size

    async with _connections(subject, connections) as streams:
        tasks = [asyncio.create_task(one(number, stream)) for number, stream in enumerate(streams)]
        await asyncio.sleep(0.5)
        result = await _window(subject, seconds, lambda: sum(counts))
        for task in tasks:
            if task.done():
                raise StreamBroken(f"{subject.name}: a download ended early") from task.exception()
            task.cancel()
    return result


async def upload(subject: Subject, connections: int, seconds: float) -> Throughput:
    """Sent for `seconds`; the time runs until the DC has confirmed the last byte and the checksum of all."""
    async with _connections(subject, connections) as streams:
        started, cpu = time.perf_counter(), _cpu(subject)

        async def one(stream: Stream) -> tuple[int, int, int]:
            sent = 0
            while not sent or time.perf_counter() < started + seconds:
                await stream.send_pattern(sent, UPLOAD_FRAME)
                sent += UPLOAD_FRAME
            return (sent, *await stream.end_upload())

        results = await asyncio.gather(*(one(stream) for stream in streams))
        elapsed, cpu = time.perf_counter() - started, _cpu(subject) - cpu
    for sent, count, crc in results:
        if count != sent or crc != wire.pattern_crc(sent):
            raise StreamBroken(f"{subject.name}: {count} bytes arrived of {sent}, or they were changed")
    total = sum(sent for sent, _, _ in results)
    return Throughput(total * 8 / elapsed / 1e6, cpu / (total / 1e9))


async def _window(subject: Subject, seconds: float, counted: Callable[[], int]) -> Throughput:
    before, started, cpu = counted(), time.perf_counter(), _cpu(subject)
    await asyncio.sleep(seconds)
    while counted() == before:  # on a busy machine the first whole piece may take longer than that
        if time.perf_counter() - started > 60:
            raise StreamBroken(f"{subject.name}: nothing arrived in 60 s")
        await asyncio.sleep(0.05)
    total, elapsed, cpu = counted() - before, time.perf_counter() - started, _cpu(subject) - cpu
    return Throughput(total * 8 / elapsed / 1e6, cpu / (total / 1e9))


def _cpu(subject: Subject) -> float:
    return cpu_seconds(subject.pid) if subject.pid else 0.0


@dataclass
class Idle:
    """rss: MB resident. cpu: percent of one core, while the connections say nothing."""

    rss: float
    cpu: float


async def idle(subject: Subject, connections: int, seconds: float) -> Idle:
    """Connections that have shaken hands, got one resPQ, and then say nothing."""
    async with _connections(subject, connections):
        await asyncio.sleep(1)
        cpu, started = cpu_seconds(subject.pid), time.perf_counter()
        await asyncio.sleep(seconds)
        cpu, elapsed = cpu_seconds(subject.pid) - cpu, time.perf_counter() - started
        return Idle(rss_mb(subject.pid), 100 * cpu / elapsed)


async def stalled_reader(subject: Subject, size: int, seconds: float) -> float:
    """Growth of the resident memory, in MB, while a client that asked for `size` bytes reads none of them."""
    warm = await subject.open()
    await warm.download(20_000_000)
    await warm.close()
    await asyncio.sleep(0.5)
    before = peak = rss_mb(subject.pid)
    stream = await subject.open()
    await stream.ask(size)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await asyncio.sleep(0.1)
        peak = max(peak, rss_mb(subject.pid))
    stream.abort()
    return peak - before
