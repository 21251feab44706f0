"""What a limit on addresses costs at nginx, beside a link without one: in turns, in one run."""

from __future__ import annotations

import asyncio
import statistics
import time

from app.edge.base import EdgeConfig
from app.engines.base import NO_INGRESS, IngressSpec
from app.lib import portmap
from app.mtproto.links import tg_link
from tests.bench import flood, measure
from tests.bench.edge_setup import Bench, row, say, start_engine
from tests.bench.measure import Subject, percentile
from tests.bench.processes import cpu_seconds, family
from tests.support.edge_backend import client_hello
from tests.support.stream import Stream

PLAIN, LIMITED, OTHER = "no limit", "limit of 3", "another without"
COUNT = 1000


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
    beside = {"nobody": "", OTHER: names[OTHER], LIMITED: names[LIMITED]}
    times = asyncio.run(floods(bench, subjects[0], beside, (bench.lab.ip, 443)))
    report(f"{PLAIN}: first answer beside {flood.PER_SECOND}/s to", times)
    by_kernel(bench)
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
        flood.knock(bench.lab.ip, 443, hello)
    return (spent() - before) / COUNT * 1000


def by_kernel(bench: Bench) -> None:
    """The same without nginx: the kernel keeps the limit, in the network of the engine's container."""
    hosts, secrets = zip(*(start_engine(bench, port, bench.image, NO_INGRESS) for port in (3810, 3811, 3812)))
    bench.runtime.limit_devices("mtg-proxy-3812", 3)
    link = tg_link(hosts[0], portmap.CLIENTS, secrets[0])
    subject = Subject(PLAIN, lambda hello: Stream.open(link, hello=hello), 0, secrets[0])
    times: dict[str, list[float]] = {"nobody": [], OTHER: [], LIMITED: []}
    for _ in range(2 if bench.quick else 5):
        for name, host in zip(times, ("", *hosts[1:])):
            times[name] += asyncio.run(beside_one(subject, host, portmap.CLIENTS, secrets[1].domain))
    report(f"ports of their own: first answer beside {flood.PER_SECOND}/s to", times)


async def floods(bench: Bench, subject: Subject, beside: dict[str, str], at: tuple[str, int]) -> dict[str, list[float]]:
    """ms until the first answer of this one, while others are flooded, by the flooded one's name."""
    times: dict[str, list[float]] = {name: [] for name in beside}
    for _ in range(2 if bench.quick else 5):
        for name, sni in beside.items():
            times[name] += await beside_one(subject, at[0] if sni else "", at[1], sni)
    return times


async def beside_one(subject: Subject, host: str, port: int, sni: str) -> list[float]:
    if not host:
        return (await opening([subject], 40))[subject.name]
    with flood.flood(host, port, sni) as done:
        times = (await opening([subject], 40))[subject.name]
    say(f"{done[0]:.0f} connections a second")
    return times


def report(title: str, times: dict[str, list[float]]) -> None:
    base = percentile(times["nobody"], 50)
    for name, each in times.items():
        row(f"{title} {name}", percentile(each, 50), f"ms  ({percentile(each, 50) / base:.2f} of nobody's)")
