"""python -m tests.bench.edge [--quick] [--only PART]: what nginx on port 443 costs, and what mtg gains by it.

Everything in containers on this machine, in one run: the real nginx as docker-compose.yml runs it, the
engines behind it and beside it, a test DC, and this client. If MTG_BIN names an mtg program, it is
measured too: with the timing that it has by itself, and with the one that it learns from nginx.

    speed    throughput and round trips, each engine alone and through nginx, in turns
    routers  nginx, and Traefik before nginx: throughput, latency, memory, and when a new route works
    adding   from "add a user" until the user's link works on port 443
    reloads  nginx's processes and memory after 200 reloads, with 100 connections open meanwhile
    limits   what a limit on the addresses of a link costs, beside a link without one
    mtg      the real one: what a prober meets; a start without nginx, and what becomes of it (6 minutes)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.config.model import User, new_id
from app.edge.base import EdgeConfig
from app.engines.base import NO_INGRESS, IngressSpec
from app.engines.mtg.engine import MtgImage
from app.lib import portmap
from app.mtproto.links import tg_link
from app.mtproto.secret import Secret
from tests.bench import measure
from tests.bench.edge_devices import limits
from tests.bench.edge_mtg import learning
from tests.bench.edge_routers import routers
from tests.bench.edge_setup import Bench, row, say, start_engine, started
from tests.bench.measure import Subject, percentile
from tests.bench.processes import family, own_mb
from tests.support.fleet import Fleet
from tests.support.stream import Stream, StreamBroken

PARTS = ("speed", "routers", "adding", "reloads", "limits", "mtg")
RELOADS, OPEN = 200, 100


# Speed

@dataclass
class Figures:
    """Mbit/s of each round by what was moved, round trips in ms, and CPU seconds per GB downloaded: of nginx
    if it is there, else of the engine."""

    mbit: dict[str, list[float]] = field(default_factory=dict)
    cpu: list[float] = field(default_factory=list)
    trips: list[float] = field(default_factory=list)


def start_subjects(bench: Bench) -> list[Subject]:
    """Each engine alone, and another one of the same behind nginx."""
    kinds = [("builtin", bench.image, NO_INGRESS)]
    if bench.mtg:
        kinds += [("mtg, its own timing", bench.mtg, NO_INGRESS), ("mtg, ours", bench.mtg, bench.learning())]
    bench.lab.nginx.apply(EdgeConfig())  # mtg learns at its start
    subjects = [Subject("direct", lambda _: Stream.open_direct(bench.center.direct), 0)]
    routes: dict[str, str] = {}
    for number, (name, image, front) in enumerate(kinds):
        ip, secret = start_engine(bench, 3000 + 2 * number, image, front)
        alone = tg_link(ip, portmap.CLIENTS, secret)
        subjects.append(Subject(name, lambda hello, to=alone: Stream.open(to, hello=hello),
                                bench.pid(f"mtg-proxy-{3000 + 2 * number}"), secret))
        port = 3001 + 2 * number
        _, secret = start_engine(bench, port, image, replace(front, proxy_protocol=True))
        routes[secret.domain] = f"mtg-proxy-{port}:{portmap.CLIENTS}"
        behind = bench.link(secret)
        subjects.append(Subject(f"{name} + nginx", lambda hello, to=behind: Stream.open(to, hello=hello),
                                bench.pid(bench.lab.container), secret))
    bench.lab.nginx.apply(EdgeConfig(routes=routes))
    return subjects


async def measure_speed(bench: Bench, subjects: list[Subject]) -> dict[str, Figures]:
    """In turns, so that a noisy second hits all."""
    rounds, seconds, echoes = (2, 1.5, 200) if bench.quick else (5, 3.0, 500)
    figures = {subject.name: Figures() for subject in subjects}
    for turn in range(rounds):
        say(f"speed, round {turn + 1} of {rounds}")
        for subject in subjects:
            figures[subject.name].trips += await measure.round_trips(subject, echoes)
        for subject in subjects[1:]:
            for way in (measure.download, measure.upload):
                for count in (1, 8):
                    result = await way(subject, count, seconds)
                    figures[subject.name].mbit.setdefault(f"{way.__name__} {count}", []).append(result.mbit)
                    if way is measure.download:
                        figures[subject.name].cpu.append(result.cpu_per_gb)
    return figures


def speed(bench: Bench) -> None:
    subjects = start_subjects(bench)
    time.sleep(1)
    figures = asyncio.run(measure_speed(bench, subjects))
    direct = figures.pop("direct")
    ways = ("download 1", "download 8", "upload 1", "upload 8")
    heads = "".join(f"{each + ' c.':>16}" for each in ways)
    print(f"{'':28}{heads}{'trip p50':>12}{'p99':>9}{'added p50':>11}{'CPU':>9}")
    print(f"{'':28}" + f"{'Mbit/s':>16}" * 4 + f"{'ms':>12}{'ms':>9}{'ms':>11}{'s/GB':>9}")
    for name, mine in figures.items():
        alone = figures.get(name.removesuffix(" + nginx"))
        line = f"{name:28}"
        for way in ways:
            value = statistics.median(mine.mbit[way])
            share = "" if alone is mine else f" ({value / statistics.median(alone.mbit[way]):.2f})"
            line += f"{f'{value:.0f}{share}':>16}"
        base = direct if alone is mine else alone
        added = percentile(mine.trips, 50) - percentile(base.trips, 50)
        print(f"{line}{percentile(mine.trips, 50):>12.2f}{percentile(mine.trips, 99):>9.2f}{added:>11.2f}"
              f"{statistics.median(mine.cpu):>9.2f}")
    print("(In brackets: share of the same engine alone. Added, CPU: of the engine, or of nginx. The client and\n"
          " the DC, which are Python, take their share of the cores, too: where all of them are busy, nginx costs\n"
          " throughput.)")
    for name in ("builtin + nginx", "mtg, ours + nginx"):
        if name in figures:
            with_nginx, alone = figures[name], figures[name.removesuffix(" + nginx")]
            ratio = (statistics.median(with_nginx.mbit["download 1"])
                     / statistics.median(alone.mbit["download 1"]))
            row(f"{name}: share of the throughput, download", ratio, "", ">= 0.9", ratio >= 0.9)
            added = percentile(with_nginx.trips, 50) - percentile(alone.trips, 50)
            row(f"{name}: added round trip, p50", added, "ms", "< 1", added < 1)
    if bench.mtg:
        for name in ("mtg, ours", "mtg, ours + nginx"):
            mbit = statistics.median(figures[name].mbit["download 1"])
            tail = percentile(figures[name].trips, 99)
            row(f"{name}: one connection", mbit, "Mbit/s", ">= 200", mbit >= 200)
            row(f"{name}: round trip, p99", tail, "ms", "< 2", tail < 2)


# From "add a user" to a link that works

def open_fleet(bench: Bench, name: str) -> Fleet:
    fleet = Fleet(bench.folder / name, bench.runtime, MtgImage(), edge=bench.lab.nginx)
    fleet.set_settings({
        "proxy_image": bench.image, "upstream_socks5": bench.center.socks5, "server_ip": bench.lab.ip,
        "port_443_mode": "true"})
    return fleet


def works(link: str, seconds: float = 20) -> float:
    """Seconds until a client gets an answer from the DC by this link."""
    async def ask() -> None:
        stream = await Stream.open(link)
        await stream.req_pq()
        await stream.close()

    began = time.perf_counter()
    while True:
        try:
            asyncio.run(ask())
            return time.perf_counter() - began
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            if time.perf_counter() - began > seconds:
                raise SystemExit(f"the link does not work: {error}") from error
            time.sleep(0.01)


def adding(bench: Bench) -> None:
    fleet = open_fleet(bench, "adding")
    turns = 5 if bench.quick else 9
    for others in (0, 30):
        declare(fleet, others)
        fleet.reconcile()
        answered, working = [], []
        for number in range(turns):
            began = time.perf_counter()
            view = fleet.add_user(f"timed {number}", domain=f"timed{number}.example.org")
            answered.append(time.perf_counter() - began)
            works(view.tg_link)
            working.append(time.perf_counter() - began)
            fleet.remove(view.id)
        row(f"{others} others: add answered, p50 of {turns}", statistics.median(answered), "s")
        row(f"{others} others: the link works on 443, p50 of {turns}", statistics.median(working), "s")
        row(f"{others} others: the same, slowest", max(working), "s")
    clear(fleet)


def declare(fleet: Fleet, count: int) -> None:
    """Users of whom nothing runs yet."""
    with fleet.file.edit() as config:
        for number in range(count):
            config.users.append(User(
                id=new_id({u.id for u in config.users}), name=f"declared {number}", port=4000 + number,
                secret=Secret.generate(f"declared{number}.example.org").hex))


def clear(fleet: Fleet) -> None:
    for view in fleet.users():
        fleet.remove(view.id)


# Reloads

def reloads(bench: Bench) -> None:
    asyncio.run(measure_reloads(bench))


async def measure_reloads(bench: Bench) -> None:
    """Once with all connections opened before, as they would be in an evening; once with one more after
    every other reload, so that as many old workers as possible have something left to do."""
    _, secret = start_engine(bench, 3900, bench.image, IngressSpec(proxy_protocol=True))
    route = {secret.domain: f"mtg-proxy-3900:{portmap.CLIENTS}"}
    bench.lab.nginx.apply(EdgeConfig(routes=route))
    report_nginx(bench, "before")
    for title, before in (("opened before", OPEN), ("one opened after every other reload", 0)):
        say(f"{RELOADS} reloads, {OPEN} connections: {title}")
        streams = [await talking(bench.link(secret)) for _ in range(before)]
        times = []
        for number in range(RELOADS):
            routes = {**route, f"reload{number}.example.net": "mtg-proxy-3900:1"}
            began = time.perf_counter()
            await asyncio.to_thread(bench.lab.nginx.apply, EdgeConfig(routes=routes))
            times.append(time.perf_counter() - began)
            if len(streams) < min(OPEN, number // 2 + 1):
                streams.append(await talking(bench.link(secret)))
        report_nginx(bench, f"{OPEN} connections, {title}, {RELOADS} reloads")
        row("a reload, checked and seen to be served, p50", statistics.median(times), "s")
        alive = sum([await answers(stream) for stream in streams])
        row("connections that are still alive", alive, "", f"= {OPEN}", alive == OPEN)
        for stream in streams:
            stream.abort()
        await asyncio.sleep(2)
        report_nginx(bench, "after they were closed")


async def talking(link: str) -> Stream:
    stream = await Stream.open(link)
    await stream.echo()
    return stream


async def answers(stream: Stream) -> bool:
    try:
        async with asyncio.timeout(10):
            await stream.echo()
    except (StreamBroken, OSError, TimeoutError):
        return False
    return True


def report_nginx(bench: Bench, title: str) -> None:
    processes = family(bench.pid(bench.lab.container))
    print(f"  {title:58}{len(processes) - 1:10d} workers, {sum(map(own_mb, processes)):.1f} MB", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        prog="python -m tests.bench.edge")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; the numbers are rougher")
    parser.add_argument("--only", choices=PARTS, help="this part alone")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[Bench], None]] = {
        "speed": speed, "routers": routers, "adding": adding, "reloads": reloads, "limits": limits, "mtg": learning}
    load = os.getloadavg()[0]
    print(f"Machine: {os.cpu_count()} cores, load average {load:.1f} at the start (best near 0).")
    with started(arguments.quick) as bench:
        for name in PARTS:
            if arguments.only in (None, name):
                print(f"\n{name}", flush=True)
                parts[name](bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
