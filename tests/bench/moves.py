"""python -m tests.bench.moves [--users N] [--mtg PATH] [--telemt PATH] [--json FILE]: how long a move takes links away.

Everybody is moved mtg -> telemt -> builtin -> mtg, as local processes on loopback, by what the panel does. Meanwhile
each of them keeps a stream and connects again and again (tests/support/restless.py), by the link from before the move
or the one after it: standard mode gives a shared engine a port of its own. Without a program of mtg or telemt, it is
what the tests take for it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from app.control.moving import Moving, waiting_moves
from app.engines.base import by_name
from app.engines.builtin import SPEED_FILE, Builtin
from app.engines.mtg.engine import Mtg
from app.engines.telemt.engine import Telemt
from app.mtproto.links import parse_link, tg_link
from app.runtimes.process.runtime import ProcessRuntime
from tests.support.cover import Cover, free_port
from tests.support.dc import DataCenterProcess
from tests.support.docker_lab import patient
from tests.support.doors import Doors
from tests.support.fleet import Fleet
from tests.support.restless import Restless
from tests.support.telemt_lab import builtin_as_mtg, program

ROUND = ("telemt", "builtin", "mtg")
NOTES = """\
Down: the longest time, of each link, in which no new connection was served; between two tries of one person are 0.4 s,
which is in it. Shut: the longest time, of each link, in which nothing listened where it leads (looked at every 0.02 s):
what a move itself costs; the rest of it is waiting for this machine. Late: by which the machine let those people
themselves wait, at most: they need a core, too. At rest: the same while nobody is moved. Refused: tries that no link
served. Bill: the largest difference, of any user, between what was billed and what went through their connections.\
"""


@dataclass
class Step:
    """A move of all. seconds: it took. down, shut: seconds, of each link."""

    name: str
    seconds: float
    down: list[float]
    shut: list[float]
    refused: int
    cut: int
    late: float


@contextmanager
def installation(folder: Path, mtg: str, telemt: str) -> Iterator[Fleet]:
    center = DataCenterProcess()
    cover = Cover(folder / "cover").start()
    runtime = patient(ProcessRuntime(folder / "data", SPEED_FILE))
    fleet = Fleet(folder / "data", runtime, by_name(Mtg(mtg), Builtin(), Telemt(telemt)))
    try:
        fleet.set_settings({
            "proxy_bind": "127.0.0.1", "server_ip": "127.0.0.1", "shared_port": free_port(), "proxy_port": 23_000,
            "upstream_socks5": center.socks5, "fake_tls_domain": cover.host, "domain_fronting_ip": cover.ip,
            "domain_fronting_port": cover.port, "move_changes_links": True, "engine": "mtg"})
        yield fleet
    finally:
        for observed in runtime.observe():
            runtime.remove(observed.name)
        cover.stop()
        center.stop()


def links(fleet: Fleet) -> dict[str, list[str]]:
    """Of each user, on the port of their own and on the shared one."""
    return {user.name: [tg_link("127.0.0.1", port, parse_link(user.tg_link).secret)
                        for port in (user.port, fleet.config().shared_port)] for user in fleet.users()}


def ports(fleet: Fleet) -> dict[str, list[int]]:
    return {user.name: [user.port, fleet.config().shared_port] for user in fleet.users()}


def move(fleet: Fleet, people: Restless, doors: Doors, engine: str) -> Step:
    people.use(links(fleet))
    doors.watch(ports(fleet))
    fleet.set_settings({"engine": engine})
    began, moving = time.monotonic(), Moving(fleet)
    while waiting_moves(fleet, fleet.config()):
        if not (outcomes := moving.step(respect_backoff=False)):
            raise SystemExit(f"to {engine}: " + "; ".join(str(hint) for user in fleet.users() for hint in user.hints))
        if failed := [outcome for outcome in outcomes if not outcome.ok]:
            raise SystemExit(f"to {engine}: {failed[0]}")
        say(f"{engine}: {len(waiting_moves(fleet, fleet.config()))} left after {time.monotonic() - began:.1f} s")
    took = time.monotonic() - began
    return step(f"to {engine}", took, people, doors)


def step(name: str, seconds: float, people: Restless, doors: Doors) -> Step:
    seen = people.wait().values()
    return Step(name, seconds, [each.down for each in seen], [*doors.shut().values()],
                sum(each.refused for each in seen), sum(each.cut for each in seen), max(each.late for each in seen))


def collect(fleet: Fleet, users: int, rest: float) -> tuple[list[Step], list[float]]:
    """The moves, and by how much each user's bill is wrong, as a share of it."""
    for number in range(users):
        if (user := fleet.add_user(f"user {number}")).state != "running":
            raise SystemExit(f"user {number} is {user.state}: {user.reason}")
    with Restless() as people, Doors() as doors:
        people.use(links(fleet))
        people.wait()
        people.use(links(fleet))
        doors.watch(ports(fleet))
        time.sleep(rest)
        steps = [step("at rest", rest, people, doors)]
        for engine in ROUND:
            steps.append(move(fleet, people, doors, engine))
            fleet.sample()
            time.sleep(rest)
        people.use({name: [] for name in links(fleet)})
        people.rest()
        moved = {name: seen.moved - seen.unsure for name, seen in people.told().items()}
        fleet.sample()
        billed = {user.name: user.bytes_down + user.bytes_up for user in fleet.users()}
    return steps, [billed[name] / moved[name] - 1 for name in moved]


def show(steps: list[Step], wrong: list[float]) -> str:
    titles = ("took (s)", "down, most (s)", "median", "shut, most (s)", "median", "late (s)", "refused", "streams cut")
    lines = [" " * 12 + "".join(f"{title:>{len(title) + 2}}" for title in titles)]
    lines += [f"{each.name:12}{each.seconds:>10.1f}{max(each.down):>16.2f}{statistics.median(each.down):>8.2f}"
              f"{max(each.shut):>16.2f}{statistics.median(each.shut):>8.2f}"
              f"{each.late:>10.2f}{each.refused:>9}{each.cut:>13}" for each in steps]
    return "\n".join([*lines, "", f"Bill: {100 * min(wrong):+.2f} % to {100 * max(wrong):+.2f} %"])


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     prog="python -m tests.bench.moves")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--rest", type=float, default=10.0, metavar="SECONDS", help="between two moves")
    parser.add_argument("--mtg", metavar="PATH", default=os.environ.get("MTG_BIN", ""), help="a program of mtg")
    parser.add_argument("--telemt", metavar="PATH", default=os.environ.get("TELEMT_BIN", ""),
                        help="a program of telemt")
    parser.add_argument("--json", metavar="FILE", help="also write all raw numbers there")
    arguments = parser.parse_args()
    os.environ["MTPROTO_TIME_SITES"] = "none"
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder)
        mtg = os.path.abspath(arguments.mtg) if arguments.mtg else builtin_as_mtg(path)
        telemt = os.path.abspath(arguments.telemt) if arguments.telemt else program("stand-in", path)
        with installation(path, mtg, telemt) as fleet:
            steps, wrong = collect(fleet, arguments.users, arguments.rest)
    print(f"{NOTES}\nMachine: {os.cpu_count()} cores, load average {load:.1f} at the start; {arguments.users} users.\n")
    print(show(steps, wrong))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"steps": [asdict(s) for s in steps], "bill": wrong}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
