"""python -m tests.bench [--quick] [--mtg PATH] [--json FILE]: the built-in engine beside a plain TCP relay.

Everything in one run on one machine, on loopback: the test DC with its SOCKS5
server, the relay, each engine, and this client are processes of their own.

    relay    client - obfuscated2 - plain asyncio relay - DC
    builtin  client - FakeTLS - built-in engine - SOCKS5, obfuscated2 - DC
    mtg      the same through a real mtg, with its defaults, if its path is given

The relay has neither handshake nor encryption of its own: it is what Python and
asyncio cost for moving the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench import measure
from tests.bench.measure import Idle, Subject, Throughput, percentile
from tests.support.cover import Cover
from tests.support.dc import DataCenterProcess
from tests.support.engine import BUILTIN, ROOT, run_engine
from tests.support.stream import Stream

NOTES = """\
Handshake: TCP connect to resPQ; through an engine that is FakeTLS and SOCKS5 more than the relay.
Added per round trip: 64 bytes to the DC and back, less the same with nothing between.
Throughput: payload, every byte checked; downloads asked for in parts of 16 MB, uploads in records
of 2878 bytes, as TDLib sends them. CPU: user and system time of the relay or engine alone.
Ratio: to the relay. Target: of issue 3."""

MANY = 50
CROWD = 500
ASKED = 500_000_000


@dataclass
class Figures:
    """One column of the table."""

    handshake: list[float] = field(default_factory=list)
    round_trip: list[float] = field(default_factory=list)
    throughput: dict[str, Throughput] = field(default_factory=dict)
    idle: dict[int, Idle] = field(default_factory=dict)
    stalled: float = 0.0


@dataclass(kw_only=True)
class Effort(measure.Effort):
    """idle_seconds: for which the CPU of connections that say nothing is taken."""

    idle_seconds: float


QUICK = Effort(rounds=2, handshakes=25, echoes=300, seconds=1.5, idle_seconds=2)
FULL = Effort(rounds=8, handshakes=50, echoes=500, seconds=5, idle_seconds=6)


async def run(subjects: list[Subject], fresh: list[Subject], effort: Effort) -> dict[str, Figures]:
    """All measurements. Those of latency go round the subjects in turns, so that a noisy second hits all.

    fresh: the same subjects in processes that have done nothing yet: freed memory of
    an earlier measurement would hide, or swell, what a stalled reader costs.
    """
    figures = {subject.name: Figures() for subject in subjects}
    with_process = [subject for subject in subjects if subject.pid]
    for subject in with_process:
        say(f"{subject.name}: idle connections")
        mine = figures[subject.name]
        for count in (MANY, CROWD):
            mine.idle[count] = await measure.idle(subject, count, effort.idle_seconds)
    for turn in range(effort.rounds):
        say(f"latency, round {turn + 1} of {effort.rounds}")
        for subject in subjects:
            mine = figures[subject.name]
            mine.handshake += await measure.handshakes(subject, effort.handshakes)
            mine.round_trip += await measure.round_trips(subject, effort.echoes)
    for subject in with_process:
        for way in (measure.download, measure.upload):
            for count in (1, MANY):
                say(f"{subject.name}: {way.__name__}, {count} connections")
                result = await way(subject, count, effort.seconds)
                figures[subject.name].throughput[f"{way.__name__} {count}"] = result
    for subject in fresh:
        say(f"{subject.name}: a client that does not read")
        figures[subject.name].stalled = await measure.stalled_reader(subject, ASKED, max(3, effort.seconds))
    return figures


@dataclass
class Row:
    """One line of the table: how to read it from a column, and the target of the issue, if it has one."""

    title: str
    unit: str
    value: Callable[[Figures], float]
    target: str = ""
    met: Callable[[float], bool] | None = None


def rows(direct: Figures) -> list[Row]:
    def added(percent: float) -> Callable[[Figures], float]:
        return lambda f: percentile(f.round_trip, percent) - percentile(direct.round_trip, percent)

    table = [
        Row("handshake to resPQ, p50", "ms", lambda f: percentile(f.handshake, 50)),
        Row("handshake to resPQ, p99", "ms", lambda f: percentile(f.handshake, 99)),
        Row("added per round trip, p50", "ms", added(50), "< 0.5", lambda value: value < 0.5),
        Row("added per round trip, p99", "ms", added(99), "< 5", lambda value: value < 5),
    ]
    for way in ("download", "upload"):
        for count in (1, MANY):
            key = f"{way} {count}"
            target = ("> 1000", lambda value: value > 1000) if count == 1 else ("", None)
            title = f"{way}, {count} connection{'s' if count > 1 else ''}"
            table.append(Row(title, "Mbit/s", lambda f, k=key: f.throughput[k].mbit, *target))
            table.append(Row("    CPU for it", "s/GB", lambda f, k=key: f.throughput[k].cpu_per_gb))
    for count in (MANY, CROWD):
        target = ("< 100", lambda value: value < 100) if count == CROWD else ("", None)
        table.append(
            Row(f"{count} idle connections: memory", "MB", lambda f, n=count: f.idle[n].rss, *target)
        )
        table.append(Row("    CPU", "% of a core", lambda f, n=count: f.idle[n].cpu))
    title = f"{ASKED // 10**6} MB asked, none read: growth"
    table.append(Row(title, "MB", lambda f: f.stalled, "< 4", lambda value: value < 4))
    return table


def show(figures: dict[str, Figures]) -> str:
    names = [name for name in figures if name not in ("direct", "relay")]
    head = f"{'':38}{'unit':<13}{'relay':>10}"
    for name in names:
        head += f"{name:>11}{'ratio':>9}{'target':>8}{'':5}"
    lines = [head]
    for row in rows(figures["direct"]):
        base = row.value(figures["relay"])
        line = f"{row.title:38}{row.unit:<13}{base:>10.2f}"
        for name in names:
            value = row.value(figures[name])
            ratio = f"{value / base:.2f}" if base > 0 else "-"
            verdict = "" if row.met is None else "met" if row.met(value) else "NOT"
            line += f"{value:>11.2f}{ratio:>9}{row.target:>8} {verdict:4}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def relay_subject(stack: ExitStack, dc: DataCenterProcess) -> Subject:
    """A new relay to the DC itself, ended with the stack."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.relay", "--to", dc.direct],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.wait)
    stack.callback(process.stdin.close)
    address = json.loads(process.stdout.readline())["address"]
    return Subject("relay", lambda _: Stream.open_direct(address), process.pid)


def collect(effort: Effort, mtg: str = "") -> dict[str, Figures]:
    """Start everything, measure, end everything. mtg: path of an mtg binary to measure too."""
    commands = {"builtin": BUILTIN}
    if mtg:
        commands["mtg"] = (str(Path(mtg).resolve()), "run")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        dc = DataCenterProcess()
        stack.callback(dc.stop)
        cover = Cover(folder / "cover").start()
        stack.callback(cover.stop)

        def start(turn: str) -> list[Subject]:
            started = [relay_subject(stack, dc)]
            for name, command in commands.items():
                target = (cover.host, cover.ip, cover.port)
                engine = run_engine(folder / f"{name}{turn}", dc.socks5, target, command=command)
                stack.callback(engine.stop)
                started.append(
                    Subject(
                        name,
                        lambda hello, link=engine.link: Stream.open(link, hello=hello),
                        engine.pid,
                        engine.secret,
                    )
                )
            return started

        direct = Subject("direct", lambda _: Stream.open_direct(dc.direct), 0)
        return asyncio.run(run([direct, *start("")], start("-fresh"), effort))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        prog="python -m tests.bench",
    )
    parser.add_argument("--quick", action="store_true", help="about a minute; the numbers are rougher")
    parser.add_argument("--mtg", metavar="PATH", default="", help="also measure this mtg binary")
    parser.add_argument("--json", metavar="FILE", help="also write all raw numbers there")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = os.getloadavg()[0]
    figures = collect(QUICK if arguments.quick else FULL, arguments.mtg)
    print(__doc__.split("\n\n", 1)[1])
    print(NOTES)
    nothing = [percentile(figures["direct"].round_trip, percent) for percent in (50, 99)]
    print("With nothing between, a round trip takes {:.2f} ms (p50), {:.2f} ms (p99).".format(*nothing))
    print(f"Machine: {os.cpu_count()} cores, load average {load:.1f} at the start (best near 0).\n")
    print(show(figures))
    if arguments.json:
        Path(arguments.json).write_text(
            json.dumps({name: asdict(f) for name, f in figures.items()}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
