"""python -m tests.bench.engines [--quick] [--mtg PATH] [--telemt PATH] [--json FILE]: what each engine costs and does.

Every engine serves an installation of its own, as local processes on loopback, made by the panel's own parts: users
are added by its actions, links are those that it shows. Engines whose program is not named are left out. Latencies go
round the engines in turns, so that a noisy second hits all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.engines.base import ENGINE, RUNTIME, Engine
from app.engines.builtin import SPEED_FILE, Builtin
from app.engines.mtg.engine import Mtg
from app.engines.telemt.engine import Telemt
from app.mtproto.faketls_client import client_hello
from app.mtproto.links import parse_link
from app.runtimes.process.runtime import ProcessRuntime
from tests.bench import measure
from tests.bench.measure import Subject, Throughput, percentile
from tests.bench.processes import family
from tests.support.cover import Cover, free_port
from tests.support.dc import DataCenterProcess
from tests.support.docker_lab import patient
from tests.support.fleet import Fleet
from tests.support.stream import Stream

NOTES = """\
Key share: the group of the ServerHello that answers a hello which offers X25519MLKEM768 and X25519.
Handshake: TCP connect to resPQ. Round trip: 64 bytes to the DC and back on a connection that is there.
Speed: one connection, payload, every byte checked; downloads asked for in parts of 16 MB. mtg sends slowly by design;
on port 443 it learns another pace from nginx, which tests.bench.edge measures.
Memory: of all processes of the engine together, shared pages counted once (PSS), some seconds after the last user
was added, nobody connected, nothing moved yet.
Add a user: from the action to a link whose proxy runs; the mean of the last ten.
Interrupted: users whose proxy is replaced when the secret of one user is changed.\
"""

#: The groups that a server may choose, by their number in RFC 8446 and draft-ietf-tls-ecdhe-mlkem.
_GROUPS = {0x11EC: "X25519MLKEM768", 0x001D: "X25519"}


@dataclass(kw_only=True)
class Effort(measure.Effort):
    """users: the numbers at which memory is read."""

    users: tuple[int, ...]


QUICK = Effort(rounds=1, handshakes=20, echoes=100, seconds=1.5, users=(1, 10))
FULL = Effort(rounds=4, handshakes=50, echoes=250, seconds=5, users=(1, 50, 200))


@dataclass
class Figures:
    """One column. memory: MB by number of users; adding: seconds of each addition, in turn."""

    key_share: str = ""
    handshake: list[float] = field(default_factory=list)
    round_trip: list[float] = field(default_factory=list)
    download: Throughput | None = None
    upload: Throughput | None = None
    memory: dict[int, float] = field(default_factory=dict)
    adding: list[float] = field(default_factory=list)
    processes: int = 0
    interrupted: int = 0
    speed: str = ""
    devices: str = ""
    secrets: str = ""


class Installation:
    """One engine with its users. The first user's link is what is measured."""

    def __init__(self, folder: Path, engine: Engine, dc: DataCenterProcess, cover: Cover, first_port: int) -> None:
        self.engine = engine
        self.runtime = patient(ProcessRuntime(folder, SPEED_FILE))
        self.fleet = Fleet(folder, self.runtime, engine)
        self.fleet.set_settings({
            "engine": engine.name, "proxy_bind": "127.0.0.1", "server_ip": "127.0.0.1", "shared_port": free_port(),
            "proxy_port": first_port, "upstream_socks5": dc.socks5, "fake_tls_domain": cover.host,
            "domain_fronting_ip": cover.ip, "domain_fronting_port": cover.port})
        self.figures = Figures()

    def add(self) -> None:
        number = len(self.fleet.config().users) + 1
        began = time.perf_counter()
        user = self.fleet.add_user(f"user {number}")
        self.figures.adding.append(time.perf_counter() - began)
        if user.state != "running":
            raise SystemExit(f"{self.engine.name}: user {number} is {user.state}: {user.reason}")

    @property
    def link(self) -> str:
        return self.fleet.users()[0].tg_link

    def pids(self) -> list[int]:
        """Of all processes; a run's identity begins with its pid."""
        return [int(observed.run_id.partition(":")[0].partition("-")[0]) for observed in self.runtime.observe()]

    def memory(self) -> float:
        """MB of all processes together."""
        return sum(pss_mb(member) for pid in self.pids() for member in family(pid))

    def subject(self) -> Subject:
        link = self.link
        return Subject(self.engine.name, lambda hello: Stream.open(link, hello=hello), self.pids()[0],
                       parse_link(link).secret)

    def runs(self) -> set[str]:
        return {observed.run_id for observed in self.runtime.observe()}

    def close(self) -> None:
        for observed in self.runtime.observe():
            self.runtime.remove(observed.name)


def pss_mb(pid: int) -> float:
    """Proportional set size of a process, in MB of 10^6 bytes: pages that several share are divided among them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"no Pss of {pid}")


async def key_share(link: str) -> str:
    """The group that the server of this link chooses, of a hello that offers the post-quantum one first."""
    target = parse_link(link)
    reader, writer = await asyncio.open_connection(target.server, target.port)
    writer.write(client_hello(target.secret, time.time(), post_quantum=True))
    header = await reader.readexactly(5)
    record = await reader.readexactly(int.from_bytes(header[3:], "big"))
    writer.close()
    return chosen_group(record)


def chosen_group(server_hello: bytes) -> str:
    """The group in the key_share extension of a ServerHello message (RFC 8446, 4.1.3 and 4.2.8)."""
    at = 4 + 2 + 32
    at += 1 + server_hello[at] + 2 + 1
    end = at + 2 + int.from_bytes(server_hello[at : at + 2], "big")
    at += 2
    while at < end:
        kind = int.from_bytes(server_hello[at : at + 2], "big")
        size = int.from_bytes(server_hello[at + 2 : at + 4], "big")
        if kind == 51:
            group = int.from_bytes(server_hello[at + 4 : at + 6], "big")
            return _GROUPS.get(group, f"{group:04x}")
        at += 4 + size
    return "none"


@contextmanager
def installations(folder: Path, engines: list[Engine]) -> Iterator[list[Installation]]:
    with ExitStack() as stack:
        dc = DataCenterProcess()
        stack.callback(dc.stop)
        cover = Cover(folder / "cover").start()
        stack.callback(cover.stop)
        made = []
        for number, engine in enumerate(engines):
            # Apart: to step over ports that somebody else has takes a new user's time.
            made.append(Installation(folder / engine.name, engine, dc, cover, 21_000 + 1_000 * number))
            stack.callback(made[-1].close)
        yield made


async def speeds(made: list[Installation], effort: Effort) -> None:
    subjects = [(each.figures, each.subject()) for each in made]
    for each in made:
        each.figures.key_share = await key_share(each.link)
    for turn in range(effort.rounds):
        say(f"latency, round {turn + 1} of {effort.rounds}")
        for figures, subject in subjects:
            figures.handshake += await measure.handshakes(subject, effort.handshakes)
            figures.round_trip += await measure.round_trips(subject, effort.echoes)
    for figures, subject in subjects:
        say(f"{subject.name}: speed of one connection")
        figures.download = await measure.download(subject, 1, effort.seconds)
        figures.upload = await measure.upload(subject, 1, effort.seconds)


def users(each: Installation, effort: Effort) -> None:
    """Memory by number of users, and what a change of one of them does to the others."""
    for count in effort.users:
        say(f"{each.engine.name}: {count} users")
        while len(each.fleet.config().users) < count:
            each.add()
        time.sleep(2)
        each.figures.memory[count] = each.memory()
    each.figures.processes = len(each.pids())
    before = each.runs()
    each.fleet.rotate(each.fleet.users()[0].id)
    gone = len(before - each.runs())
    # A shared process serves all of them.
    each.figures.interrupted = gone * (effort.users[-1] if each.engine.capabilities.shared else 1)


def collect(engines: list[Engine], effort: Effort) -> dict[str, Figures]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, installations(Path(folder), engines) as made:
        for each in made:
            each.add()
            can = each.engine.capabilities
            each.figures.speed = {ENGINE: "the engine", RUNTIME: "the runtime"}.get(can.speed, "nobody")
            each.figures.devices = {ENGINE: "the engine", RUNTIME: "the runtime"}.get(can.devices, "nobody")
            each.figures.secrets = ", ".join(sorted(can.secrets))
        # Before anything else: a process that has moved 100 MB keeps some of it.
        for each in made:
            users(each, effort)
        asyncio.run(speeds(made, effort))
    return {each.engine.name: each.figures for each in made}


def rows(figures: dict[str, Figures]) -> Iterator[tuple[str, list[str]]]:
    """Title and one cell an engine."""
    all_of = list(figures.values())

    def line(title: str, cells: list[str]) -> tuple[str, list[str]]:
        return title, cells

    yield line("key share of its answer", [f.key_share for f in all_of])
    for percent in (50, 99):
        yield line(f"handshake, p{percent} (ms)", [f"{percentile(f.handshake, percent):.2f}" for f in all_of])
    for percent in (50, 99):
        yield line(f"round trip, p{percent} (ms)", [f"{percentile(f.round_trip, percent):.2f}" for f in all_of])
    for way in ("download", "upload"):
        results = [getattr(f, way) for f in all_of]
        yield line(f"{way}, one connection (Mbit/s)", [f"{result.mbit:.0f}" for result in results])
        yield line("    CPU for it (s/GB)", [f"{result.cpu_per_gb:.1f}" for result in results])
    for count in all_of[0].memory:
        yield line(f"memory, {count} user{'s' if count > 1 else ''} (MB)", [f"{f.memory[count]:.0f}" for f in all_of])
    yield line("processes then", [str(f.processes) for f in all_of])
    yield line("add a user (s)", [f"{sum(f.adding[-10:]) / len(f.adding[-10:]):.2f}" for f in all_of])
    yield line("interrupted by a change of one", [str(f.interrupted) for f in all_of])
    yield line("speed is limited by", [f.speed for f in all_of])
    yield line("devices are limited by", [f.devices for f in all_of])
    yield line("secrets that it takes", [f.secrets for f in all_of])


def show(figures: dict[str, Figures]) -> str:
    lines = [f"{'':34}" + "".join(f"{name:>24}" for name in figures)]
    lines += [f"{title:34}" + "".join(f"{cell:>24}" for cell in cells) for title, cells in rows(figures)]
    return "\n".join(lines)


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     prog="python -m tests.bench.engines")
    parser.add_argument("--quick", action="store_true", help="about a minute; the numbers are rougher")
    parser.add_argument("--mtg", metavar="PATH", default=os.environ.get("MTG_BIN", ""), help="a program of mtg")
    parser.add_argument("--telemt", metavar="PATH", default=os.environ.get("TELEMT_BIN", ""),
                        help="a program of telemt")
    parser.add_argument("--json", metavar="FILE", help="also write all raw numbers there")
    arguments = parser.parse_args()
    engines: list[Engine] = [Builtin()]
    if arguments.mtg:
        engines.insert(0, Mtg(str(Path(arguments.mtg).resolve())))
    if arguments.telemt:
        engines.append(Telemt(str(Path(arguments.telemt).resolve())))
    load = os.getloadavg()[0]
    figures = collect(engines, QUICK if arguments.quick else FULL)
    print(NOTES)
    print(f"Machine: {os.cpu_count()} cores, load average {load:.1f} at the start (best near 0).\n")
    print(show(figures))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({name: asdict(f) for name, f in figures.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
