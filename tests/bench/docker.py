"""python -m tests.bench.docker [--full] [--image NAME]: what a change costs on the Docker engine.

Through the fleet, as the panel does it: from the request until the new proxy accepts clients.
Beside it, in the same run on the same containers, the way of the older panels: all containers
are stopped and started one after the other for every change, and asked for their statistics
one after the other. Without --image, the image's mtg is the built-in engine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from docker import APIClient

from app.config.model import User, new_id
from app.engines.mtg.engine import MtgImage
from app.mtproto.secret import Secret
from tests.bench.processes import rss_mb
from tests.docker import images
from tests.support.cover import free_port
from tests.support.docker_lab import installation
from tests.support.fleet import Fleet

#: Containers asked and restarted the old way, at most: each takes seconds.
OLD_WAY = 10


def seconds(verb: Callable[[], object]) -> float:
    began = time.perf_counter()
    verb()
    return time.perf_counter() - began


def row(title: str, value: float, unit: str, target: float | None = None) -> None:
    verdict = "" if target is None else f"   target < {target:g}: {'met' if value < target else 'NOT met'}"
    print(f"  {title:58}{value:9.3f} {unit}{verdict}", flush=True)


def declare(fleet: Fleet, count: int) -> None:
    """Users of whom nothing runs yet."""
    with fleet.file.edit() as config:
        port = max([fleet.config().proxy_port, *(u.port for u in config.users)])
        for _number in range(count):
            port += 1
            secret = Secret.generate("www.example.com").hex
            config.users.append(User(id=new_id({u.id for u in config.users}), name=f"declared {port}",
                                     port=port, secret=secret))


def measure_adds(fleet: Fleet, turns: int) -> None:
    times = []
    for number in range(turns):
        views = []
        times.append(seconds(lambda n=number: views.append(fleet.add_user(f"timed {n}"))))
        if views[0].state != "running":
            raise SystemExit(f"a user could not be added: {views[0].reason}")
        fleet.remove(views[0].id)
    row(f"add, request to accepting proxy, p50 of {turns}", statistics.median(times), "s", 0.6)
    row("add, slowest", max(times), "s")


def measure_idle(fleet: Fleet, turns: int = 9) -> None:
    fleet.runtime.wait(0.2)  # as the monitor does: from here on, events tell what has changed
    fleet.reconcile()
    row("reconcile with nothing to do, p50", statistics.median(
        seconds(fleet.reconcile) for _ in range(turns)), "s", 0.1)
    row("counters of all, p50", statistics.median(seconds(fleet.runtime.samples) for _ in range(turns)), "s")


def measure_memory(fleet: Fleet, api: APIClient) -> None:
    pids = [api.inspect_container(o.name)["State"]["Pid"] for o in fleet.runtime.observe()]
    row("memory per container (its processes, resident), p50", statistics.median(map(rss_mb, pids)), "MB")


def measure_old_way(fleet: Fleet, api: APIClient) -> None:
    """One change, and one reading of the counters, as the older panels did them."""
    names = [o.name for o in fleet.runtime.observe()]
    some = names[:OLD_WAY]
    stop = seconds(lambda: [api.stop(name) for name in some])
    start = seconds(lambda: [api.start(name) for name in some])
    stats = seconds(lambda: [api.stats(name, stream=False) for name in some[:3]])
    share = "" if len(some) == len(names) else f" (from {len(some)})"
    row(f"old way: stop all, start all{share}", (stop + start) / len(some) * len(names), "s")
    row("old way: statistics one after the other (from 3)", stats / len(some[:3]) * len(names), "s")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        prog="python -m tests.bench.docker")
    parser.add_argument("--full", action="store_true", help="100 and 200 others, too")
    parser.add_argument("--image", help="a local image of mtg instead of the built-in engine's")
    arguments = parser.parse_args()
    images.ensure_engine()
    api = APIClient(version="auto")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, installation("bench") as runtime:
        fleet = Fleet(Path(folder) / "data", runtime, MtgImage())
        fleet.set_settings({
            "proxy_image": arguments.image or images.build_mtg_custom(), "server_ip": "127.0.0.1",
            "proxy_bind": "127.0.0.1", "proxy_port": str(free_port() // 2 + 10_000)})
        for others in (0, 30, 100, 200) if arguments.full else (0, 30):
            print(f"{others} others running")
            if missing := others - len(fleet.users()):
                declare(fleet, missing)
                took = seconds(fleet.reconcile)
                row(f"cold start of {missing} users, each", took / missing, "s", 0.3)
            measure_adds(fleet, 9)
            measure_idle(fleet)
            if others:
                measure_memory(fleet, api)
                measure_old_way(fleet, api)
                fleet.reconcile()
        row("memory of this process, which is the panel's part of it", rss_mb(os.getpid()), "MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
