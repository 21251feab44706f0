"""What a limit on addresses costs at nginx, beside a link without one: in turns, in one run."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Iterator

from app.edge.base import EdgeConfig
from app.engines.base import IngressSpec
from app.lib import portmap
from tests.bench import measure
from tests.bench.edge_setup import Bench, row, say, start_engine
from tests.bench.measure import Subject, percentile
from tests.bench.processes import cpu_seconds, family
from tests.support.edge_backend import client_hello
from tests.support.stream import Stream

PLAIN, LIMITED, OTHER = "no limit", "limit of 3", "another without"
FLOOD, COUNT = 200, 1000


def limits(bench: Bench) -> None:
    subjects: list[Subject] = []
    routes: dict[str, str] = {}
    names: dict[str, str] = {}
    for port, name in ((3800, PLAIN), (3801, LIMITED), (3802, OTHER)):
        _, secret = start_engine(bench, port, bench.image, IngressSpec(proxy_protocol=True))
        routes[secret.domain] = f"mtg-proxy-{port}:{portmap.CLIENTS}"
        link = bench.link(secret)
        subjects.append(Subject(name, lambda hello, to=link: Stream.open(to, hello=hello),
                                bench.pid(bench.lab.container), secret))
        names[name] = secret.domain
    bench.lab.nginx.apply(EdgeConfig(routes=routes, device_limits={names[LIMITED]: 3}))
    asyncio.run(compare(subjects[:2], bench.quick))
    beside: dict[str, list[float]] = {LIMITED: [], OTHER: []}
    for _ in range(2 if bench.quick else 5):
        for name, times in beside.items():
            with flood(bench, names[name]) as done:
                times += asyncio.run(opening(subjects[:1], 40))[PLAIN]
            say(f"{done[0]:.0f} connections a second to: {name}")
    for name, times in beside.items():
        row(f"{PLAIN}: first answer beside {FLOOD} connections/s to: {name}", percentile(times, 50), "ms")
    spent: dict[str, list[float]] = {LIMITED: [], OTHER: []}
    for _ in range(2 if bench.quick else 5):
        for name, each in spent.items():
            each.append(cost(bench, names[name]))
    for name, each in spent.items():
        row(f"{name}: CPU of nginx for a connection", statistics.median(each), "ms")
    began = time.perf_counter()
    bench.lab.nginx.devices()
    row("asking nginx who is there", (time.perf_counter() - began) * 1000, "ms")


async def opening(subjects: list[Subject], count: int) -> dict[str, list[float]]:
    """ms from the TCP connect to the first answer of the DC."""
    times: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for _ in range(count // 10):
        for subject in subjects:
            times[subject.name] += await measure.handshakes(subject, 10)
    return times


async def compare(subjects: list[Subject], quick: bool) -> None:
    mbit: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for turn in range(2 if quick else 5):
        say(f"limits, round {turn + 1}")
        for subject in subjects:
            mbit[subject.name].append((await measure.download(subject, 4, 2.0)).mbit)
    times = await opening(subjects, 100 if quick else 500)
    for name, each in times.items():
        row(f"{name}: first answer, p50", percentile(each, 50), "ms")
        row(f"{name}: first answer, p99", percentile(each, 99), "ms")
    for name, values in mbit.items():
        row(f"{name}: download, 4 connections", statistics.median(values), "Mbit/s")


def cost(bench: Bench, name: str) -> float:
    """ms of CPU that nginx takes for one of many connections that end at once."""
    def spent() -> float:
        return sum(map(cpu_seconds, family(bench.pid(bench.lab.container))))

    before, hello = spent(), client_hello(name)
    for _ in range(COUNT):
        knock(bench, hello)
    return (spent() - before) / COUNT * 1000


def knock(bench: Bench, hello: bytes) -> None:
    """A connection that gets as far as the engine, or is reset on its way there."""
    with contextlib.suppress(OSError), socket.create_connection((bench.lab.ip, 443), 10) as stream:
        stream.sendall(hello)


@contextlib.contextmanager
def flood(bench: Bench, name: str) -> Iterator[list[float]]:
    """FLOOD connections a second, each ended at once; its value: how many it came to."""
    done, ended, hello = [0.0], threading.Event(), client_hello(name)

    def run() -> None:
        began, count = time.perf_counter(), 0
        while not ended.is_set():
            knock(bench, hello)
            count += 1
            done[0] = count / (time.perf_counter() - began)
            ended.wait(max(0.0, began + count / FLOOD - time.perf_counter()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join()
