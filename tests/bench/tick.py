"""python -m tests.bench.tick [COUNT ...] [--image NAME] [--profile]: what one tick of the monitor costs.

With 10, 100 and 200 real containers, if no COUNT is given. A tick is what the panel does every ten
seconds: read all counters, account them, carry out resets, compare what runs with what is
declared. Before each one every user has exchanged a message with the test DC, so there is
something to count for everybody. CPU is that of the panel's own process. Beside it, in the same
run on the same containers, the way of the older panels: `container.stats` one after the other,
asked of three containers and multiplied. Without --image, the image's mtg is the built-in engine.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from docker import APIClient

from app.control.monitor import Monitor
from app.engines.mtg.engine import MtgImage
from app.runtimes.docker import counters as docker_counters
from app.runtimes.docker.runtime import DockerRuntime
from tests.bench.docker import declare
from tests.docker import images
from tests.support.cover import free_port
from tests.support.dc import DataCenter
from tests.support.docker_lab import installation
from tests.support.fleet import Fleet
from tests.support.stream import Stream

TURNS = 9
#: Containers asked the old way: each takes seconds.
OLD_WAY = 3
#: Seconds to wait, at most, until the machine has started all containers and is calm again.
CALM_SECONDS, CALM = 90, 0.15
#: What is to be reached with so many containers.
TARGET_COUNT, TARGET_WALL, TARGET_CPU = 200, 0.5, 0.2


def cost(verb: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    verb()
    return time.perf_counter() - wall, time.process_time() - cpu


def busy_share(seconds: float) -> float:
    """Part of all processors' time that the machine was busy in the next so many seconds."""

    def read() -> tuple[int, int]:
        with open("/proc/stat") as stat:
            spent = [int(word) for word in stat.readline().split()[1:9]]  # proc(5): the line of all
        return sum(spent), spent[3] + spent[4]

    before = read()
    time.sleep(seconds)
    after = read()
    return 1 - (after[1] - before[1]) / (after[0] - before[0])


def calm_down() -> None:
    deadline = time.monotonic() + CALM_SECONDS
    while (busy := busy_share(2)) > CALM and time.monotonic() < deadline:
        pass
    print(f"  the machine is {busy:.0%} busy with other things")


def median(costs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(wall for wall, _ in costs), statistics.median(cpu for _, cpu in costs)


def row(title: str, spent: tuple[float, float], note: str = "") -> None:
    print(f"  {title:58}{spent[0]:10.3f}{spent[1]:10.3f}{note and '   ' + note}", flush=True)


def greet(links: list[str]) -> None:
    """One message to the DC and back through each link, a few at a time."""

    async def all_of_them() -> None:
        gate = asyncio.Semaphore(8)

        async def one(link: str) -> None:
            async with gate, asyncio.timeout(30):
                stream = await Stream.open(link)
                await stream.req_pq()
                await stream.close()

        await asyncio.gather(*map(one, links))

    asyncio.run(all_of_them())


def measure(fleet: Fleet, runtime: DockerRuntime, api: APIClient, count: int, profile: bool) -> None:
    monitor, links = Monitor(fleet), [view.tg_link for view in fleet.users()]
    runtime.wait(0.2)  # as the monitor does: from here on, events tell what has changed
    monitor.tick()
    calm_down()
    before = sum(total.down for total in fleet.ledger.traffic.totals().values())
    ticks, parts = [], {"of it: read and account": fleet.sample, "of it: resets": fleet.carry_out_resets,
                        "of it: reconcile": lambda: fleet.reconcile(respect_backoff=True)}
    spent: dict[str, list[tuple[float, float]]] = {title: [] for title in parts}
    for _turn in range(TURNS):
        greet(links)
        time.sleep(0.5)
        ticks.append(cost(monitor.tick))
        for title, part in parts.items():
            spent[title].append(cost(part))
    views = fleet.users()
    moved = sum(view.bytes_down for view in views) - before
    if any(view.state != "running" or view.estimated for view in views) or moved < count * TURNS * 50:
        raise SystemExit("the ticks have not counted what was moved")
    wall, cpu = median(ticks)
    verdict = ""
    if count == TARGET_COUNT:
        met = wall < TARGET_WALL and cpu < TARGET_CPU
        verdict = f"to reach: {TARGET_WALL:g} and {TARGET_CPU:g}: {'reached' if met else 'NOT reached'}"
    row(f"a tick, median of {TURNS}", (wall, cpu), verdict)
    row("a tick, the slowest", max(ticks))
    for title, costs in spent.items():
        row(title, median(costs))
    compare(runtime, api, count)
    if profile:
        show_profile(monitor)


def compare(runtime: DockerRuntime, api: APIClient, count: int) -> None:
    """Other ways to read the counters of all, which tell only estimates."""
    told = [c for c in runtime._look(runtime._containers.summaries()) if c]
    row("network counters of all, from the kernel", cost(
        lambda: docker_counters.read_all(runtime._engine, told)))
    asked = told[:OLD_WAY]
    wall, cpu = cost(lambda: [api.stats(c.id, stream=False) for c in asked])
    row(f"container.stats one after the other (from {len(asked)})",
        (wall / len(asked) * count, cpu / len(asked) * count))


def show_profile(monitor: Monitor) -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(5):
        monitor.tick()
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.bench.tick",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", metavar="COUNT", nargs="*", type=int, default=(10, 100, TARGET_COUNT))
    parser.add_argument("--image", help="a local image of mtg instead of the built-in engine's")
    parser.add_argument("--profile", action="store_true", help="where the time goes, after each table")
    arguments = parser.parse_args()
    images.ensure_engine()
    api = APIClient(version="auto")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, installation("tick") as runtime:
        runtime.place(1, "")
        gateway = api.inspect_network(runtime.network)["IPAM"]["Config"][0]["Gateway"]
        center = DataCenter(host=gateway).start()
        fleet = Fleet(Path(folder) / "data", runtime, MtgImage())
        fleet.set_settings({
            "proxy_image": arguments.image or images.build_mtg_custom(), "server_ip": "127.0.0.1",
            "proxy_bind": "127.0.0.1", "upstream_socks5": center.socks5,
            "proxy_port": str(free_port() // 2 + 10_000)})
        print(f"  {'':58}{'wall, s':>10}{'CPU, s':>10}")
        for count in sorted(arguments.counts):
            print(f"{count} containers")
            declare(fleet, count - len(fleet.users()))
            fleet.reconcile()
            measure(fleet, runtime, api, count, arguments.profile)
        center.stop()
    api.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
