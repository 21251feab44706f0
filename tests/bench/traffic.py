"""python -m tests.bench.traffic [--quick]: what counting costs.

A year of 1,000 users who all move something in every hour: one sample a day until the hourly
history begins, one an hour until the last hour, and then one every 10 seconds - which leaves the
same rows as a year of samples every 10 seconds. --quick: 100 users and ten days.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from app.config.model import User, new_id
from app.control.monitor import Monitor
from app.engines.builtin import Builtin
from app.ledger import history
from app.ledger.history import DAY, HOUR, TEN_SECONDS
from app.ledger.ledger import Ledger
from app.ledger.traffic import Reading
from app.mtproto.secret import Secret
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime

END = 1_900_000_000 // DAY * DAY


def row(title: str, value: float, unit: str, target: float | None = None) -> None:
    verdict = "" if target is None else f"   target < {target:g}: {'met' if value < target else 'NOT met'}"
    print(f"  {title:62}{value:10.3f} {unit}{verdict}", flush=True)


def cost(verb: Callable[[], object], turns: int) -> tuple[float, float]:
    """(wall, CPU) seconds of one call: the median of so many."""
    walls, cpus = [], []
    for _ in range(turns):
        wall, cpu = time.perf_counter(), time.process_time()
        verb()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


class Crowd:
    """Users whose counters only grow."""

    def __init__(self, count: int):
        self.luck = random.Random(6)
        self.counters = [[0, 0] for _ in range(count)]
        self.ids = [f"{number:08x}" for number in range(count)]

    def readings(self, scale: int) -> Iterator[Reading]:
        for number, counter in enumerate(self.counters):
            counter[0] += self.luck.randrange(1, scale * 50_000)
            counter[1] += self.luck.randrange(1, scale * 5_000)
            yield Reading(self.ids[number], f"link {number}", "1", *counter, 0, 1)


def moments(days: int) -> Iterator[tuple[int, int]]:
    """(when, seconds since the sample before) over the simulated time."""
    at = END - days * DAY
    while at < END:
        left = END - at
        step = TEN_SECONDS if left <= HOUR else HOUR if left <= 90 * DAY else DAY
        at += step
        yield at, step


def measure_year(users: int, days: int) -> None:
    print(f"{users} users over {days} days")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ledger, crowd = Ledger(Path(folder)), Crowd(users)
        times: dict[int, list[float]] = {step: [] for step in (TEN_SECONDS, HOUR, DAY)}
        began = time.perf_counter()
        for at, step in moments(days):
            readings = list(crowd.readings(step))
            before = time.perf_counter()
            ledger.traffic.account(readings, at)
            times[step].append(time.perf_counter() - before)
        row("all of it", time.perf_counter() - began, "s")
        for step, title in ((TEN_SECONDS, "a sample in the last hour"), (HOUR, "an hourly sample")):
            row(f"{title}, p50", statistics.median(times[step]) * 1000, "ms")
        slowest = max(map(max, filter(None, times.values())))
        row("the slowest sample", slowest * 1000, "ms")
        pages, size = (ledger.database.query(f"PRAGMA {name}")[0][0] for name in ("page_count", "page_size"))
        points = ledger.database.query("SELECT count(*) FROM points")[0][0]
        row("size of panel.db", pages * size / 1e6, "MB")
        row("points in it", points / 1e6, "million")
        wal = Path(folder, "panel.db-wal")
        row("write-ahead log beside it", wal.stat().st_size / 1e6, "MB")
        someone = crowd.ids[users // 2]
        for who, name in ((someone, "one user"), (None, "everybody")):
            for step, title in ((TEN_SECONDS, "last hour"), (HOUR, "90 days in hours"), (DAY, "all days")):
                since = END - min(history.KEPT[step], days * DAY)
                shown = len(ledger.traffic.history(who, since, step))
                wall, _ = cost(lambda w=who, s=since, p=step: ledger.traffic.history(w, s, p), 15)
                row(f"chart of {name}: {title} ({shown} points)", wall * 1000, "ms", 20)
        for hours, step in ((24, HOUR), (30 * 24, HOUR)):
            wall, _ = cost(lambda h=hours, p=step: ledger.traffic.sums(END - h * HOUR, p), 3)
            row(f"sums of every user, {hours} hours", wall * 1000, "ms")
        row("totals of every user", cost(ledger.traffic.totals, 15)[0] * 1000, "ms")
        row("forget a user", cost(lambda: ledger.traffic.forget(someone), 1)[0] * 1000, "ms")


def measure_account(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ledger, crowd = Ledger(Path(folder)), Crowd(count)
        at = float(END)

        def account() -> None:
            nonlocal at
            at += 10
            ledger.traffic.account(batch.pop(), at)

        batch = [list(crowd.readings(10)) for _ in range(21)]
        wall, cpu = cost(account, 21)
        row(f"account(), {count} readings, wall", wall * 1000, "ms")
        row(f"account(), {count} readings, CPU", cpu * 1000, "ms")


def measure_tick(count: int) -> None:
    """Sample, resets and reconcile with proxies in memory: all of a tick but the waiting for engines."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        machine = Machine()
        fleet = Fleet(Path(folder), MemoryRuntime(machine), Builtin())
        with fleet.file.edit() as config:
            for port in range(2443, 2443 + count):
                secret = Secret.generate("www.example.com").hex
                config.users.append(User(id=new_id({u.id for u in config.users}), name=f"u{port}", port=port,
                                         secret=secret, reset_cycle="monthly 1", traffic_limit_gb=100))
        fleet.reconcile()
        monitor, moved = Monitor(fleet), 0

        def tick() -> None:
            nonlocal moved
            moved += 100_000
            for name in machine.boxes:
                machine.metrics(name, f'mtg_telegram_traffic{{dc="2",direction="to_client"}} {moved}\n'
                                      f'mtg_telegram_traffic{{dc="2",direction="from_client"}} {moved}\n'
                                      f'mtg_telegram_connections{{dc="2"}} 3\nmtg_client_connections 3\n')
            monitor.tick()

        wall, cpu = cost(tick, 7)
        if fleet.status().bytes_down != count * moved:
            raise SystemExit("the tick has not counted what was moved")
        row(f"a tick, {count} proxies, wall", wall, "s", 0.5 if count == 200 else None)
        row(f"a tick, {count} proxies, CPU", cpu, "s", 0.2 if count == 200 else None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.traffic", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 users and ten days, not 1,000 and 365")
    quick = parser.parse_args().quick
    print("one tick")
    for count in (10, 100, 200):
        measure_account(count)
        measure_tick(count)
    measure_year(*((100, 10) if quick else (1000, 365)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
