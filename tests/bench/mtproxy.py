"""python -m tests.bench.mtproxy [--quick] [--program PATH] [--image IMAGE] [--json FILE]: what MTProxy costs and does.

MTProxy, without --program the stand-in of the tests, serves `dd` links with one worker, and `ee` links without, as the
panel starts it. It, the middle proxy, the test DC and this client are processes of their own, on loopback:

    direct   client - DC
    dd, ee   client - MTProxy - middle proxy (Python, of the tests) - DC

The middle proxy's own time is in the figures of MTProxy, which are so no better than they are. --image: a container of
this image is killed, and Docker starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.mtproto.links import parse_link
from tests.bench import measure
from tests.bench.measure import Effort, Idle, Subject, Throughput, percentile
from tests.engines.test_mtproxy_program import EE, KEYS, config_of
from tests.support import mtproxy_lab as lab
from tests.support.cover import free_port
from tests.support.dc import DataCenterProcess
from tests.support.middle import MiddleProxy
from tests.support.stream import Stream, trouble

QUICK = Effort(rounds=1, handshakes=10, echoes=100, seconds=1)
FULL = Effort(rounds=4, handshakes=25, echoes=250, seconds=4)
IDLE, CLIENTS = 50, 100
#: Bytes that are sent before a confirmation is awaited.
PART = 4_000_000


@dataclass
class Figures:
    """One column. at_once: seconds until all CLIENTS have their answer, none having failed; memory: MB with them. back:
    seconds from a kill to the next answer."""

    handshake: list[float] = field(default_factory=list)
    round_trip: list[float] = field(default_factory=list)
    download: Throughput | None = None
    upload: Throughput | None = None
    idle: Idle | None = None
    at_once: float = 0.0
    memory: float = 0.0
    back: float = 0.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bench:
    """What all columns share."""

    def __init__(self, folder: Path, which: str, stack: ExitStack, host: str = "127.0.0.1") -> None:
        self.folder, self.which = folder, which
        self.center = DataCenterProcess()
        stack.callback(self.center.stop)
        secret = os.urandom(128)
        (folder / "secret").write_bytes(secret)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.middle", self.center.direct, folder / "secret", host], cwd=lab.ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(process.communicate)
        assert process.stdout
        self.middle = MiddleProxy(secret, self.center.direct, host, json.loads(process.stdout.readline())["address"])

    def start(self, secret: str, name: str) -> lab.Program:
        words = lab.words(config_of((secret,)), free_port(), self.folder, self.middle)
        program = lab.Program(self.which, self.folder / name, words, self.middle).ready()
        lab.wait_for(lambda: not trouble(program.link(secret), 4))
        return program


def subject_of(name: str, program: lab.Program, secret: str) -> Subject:
    link = program.link(secret)
    parsed = parse_link(link).secret
    return Subject(name, lambda hello: Stream.open(link, hello=hello), program.process.pid,
                   parsed if parsed.domain else None)


async def upload(subject: Subject, seconds: float) -> Throughput:
    """In parts that are confirmed before the next is sent, as apps do it: MTProxy holds nobody back who sends faster
    than Telegram takes it, but ends the connection once 32 MB wait."""
    stream = await measure._ready(subject)
    began, cpu, sent = time.perf_counter(), measure._cpu(subject), 0
    while time.perf_counter() < began + seconds:
        await stream.upload(PART)
        sent += PART
    took, cpu = time.perf_counter() - began, measure._cpu(subject) - cpu
    stream.abort()
    return Throughput(sent * 8 / took / 1e6, cpu / (sent / 1e9))


async def all_at_once(subject: Subject) -> tuple[float, float]:
    """Seconds until each of CLIENTS who come at the same moment has an answer, and the memory then. Raises what one of
    them met."""
    began = time.perf_counter()
    streams = await asyncio.gather(*(measure._ready(subject) for _ in range(CLIENTS)))
    took, memory = time.perf_counter() - began, measure.rss_mb(subject.pid)
    for stream in streams:
        stream.abort()
    return took, memory


def collect(bench: Bench, effort: Effort) -> dict[str, Figures]:
    secrets = {"dd": "dd" + KEYS[0], "ee": EE}
    with ExitStack() as stack:
        stack.enter_context(lab.CoverSite(bench.folder))
        programs = {}
        for name, secret in secrets.items():
            programs[name] = bench.start(secret, name)
            stack.callback(programs[name].stop)
        subjects = [Subject("direct", lambda _: Stream.open_direct(bench.center.direct), 0),
                    *(subject_of(name, programs[name], secrets[name]) for name in secrets)]
        figures = {subject.name: Figures() for subject in subjects}
        for number in range(effort.rounds):
            for subject in subjects:
                say(f"latency of {subject.name}, round {number + 1} of {effort.rounds}")
                figures[subject.name].handshake += asyncio.run(measure.handshakes(subject, effort.handshakes))
                figures[subject.name].round_trip += asyncio.run(measure.round_trips(subject, effort.echoes))
        for subject in subjects:
            found = figures[subject.name]
            say(f"speed of {subject.name}")
            found.download = asyncio.run(measure.download(subject, 1, effort.seconds))
            found.upload = asyncio.run(upload(subject, effort.seconds))
            if subject.pid:
                say(f"connections of {subject.name}")
                found.idle = asyncio.run(measure.idle(subject, IDLE, max(2.0, effort.seconds * 2)))
                found.at_once, found.memory = asyncio.run(all_at_once(subject))
        for name, secret in secrets.items():
            say(f"a kill of {name}")
            programs[name].stop(signal.SIGKILL)
            began = time.perf_counter()
            again = bench.start(secret, f"{name}-again")
            figures[name].back = time.perf_counter() - began
            again.stop()
    return figures


@contextmanager
def container(folder: Path, image: str, bench: Bench, network: str) -> Iterator[tuple[str, str]]:
    """(name, link) of a container as the panel makes it, as far as its restart goes."""
    secret, port = "dd" + KEYS[0], free_port()
    config = folder / "config"
    config.mkdir(mode=0o755)
    words = lab.words(config_of((secret,)), 3128, folder, bench.middle)
    (config / "arguments").write_text("".join(f"{word}\n" for word in words))
    (config / "proxy-multi.conf").write_bytes(bench.middle.conf())
    encoded = subprocess.run(["base64", "-w0"], input=bench.middle.secret, capture_output=True, check=True).stdout
    (config / "proxy-secret.b64").write_bytes(encoded)
    for path in (folder, config, *config.iterdir()):
        path.chmod(0o755)
    name = f"mtproxy-bench-{os.getpid()}"
    subprocess.run(["docker", "run", "-d", "--name", name, "--network", network, "--restart", "unless-stopped",
                    "--cap-drop", "ALL", "--read-only", "--pids-limit", "256", "--memory", "512m", "-v",
                    f"{config}:/config:ro", "-p", f"127.0.0.1:{port}:3128", image, "/config"],
                   check=True, capture_output=True)
    try:
        yield name, lab.tg_link("127.0.0.1", port, lab.Secret.parse(secret))
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)


def restarted(folder: Path, which: str, image: str) -> float:
    """Seconds from the death of a container's program to the next answer: Docker starts it again by itself."""
    network = f"mtproxy-bench-{os.getpid()}"
    with ExitStack() as stack:
        subprocess.run(["docker", "network", "create", network], check=True, capture_output=True)
        stack.callback(lambda: subprocess.run(["docker", "network", "rm", network], check=True, capture_output=True))
        gateway = subprocess.run(["docker", "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", network],
                                 check=True, capture_output=True, text=True).stdout.strip()
        bench = Bench(folder, which, stack, gateway)
        with container(folder, image, bench, network) as (name, link):
            lab.wait_for(lambda: not trouble(link, 4))
            pid = subprocess.run(["docker", "inspect", "-f", "{{.State.Pid}}", name], check=True, capture_output=True,
                                 text=True).stdout.strip()
            os.kill(int(pid), signal.SIGKILL)
            began = time.perf_counter()
            lab.wait_for(lambda: not trouble(link, 4), 120)
            return time.perf_counter() - began


#: Of the document: what must be met, by the words of the row.
def rows(figures: dict[str, Figures]) -> Iterator[tuple[str, list[str], str, list[bool]]]:
    """Name, a cell for each column, the target, and whether each column of MTProxy meets it."""
    direct, *others = figures.values()

    def spread(name: str) -> list[str]:
        return [" / ".join(f"{percentile(getattr(each, name), part):.2f}" for part in (50, 95, 99))
                for each in figures.values()]

    def added(each: Figures) -> float:
        return percentile(each.round_trip, 50) - percentile(direct.round_trip, 50)

    yield "handshake, ms (p50 / p95 / p99)", spread("handshake"), "", []
    yield "round trip, ms (p50 / p95 / p99)", spread("round_trip"), "", []
    yield ("added to a round trip, ms (p50)", ["", *(f"{added(each):.2f}" for each in others)], "under 10",
           [added(each) < 10 for each in others])
    for name in ("download", "upload"):
        speeds = [getattr(each, name) for each in figures.values()]
        yield (f"{name}, Mbit/s", [f"{each.mbit:.0f} ({each.mbit / speeds[0].mbit:.2f} of direct)" if number else
                                   f"{each.mbit:.0f}" for number, each in enumerate(speeds)],
               "100 a worker", [each.mbit >= 100 for each in speeds[1:]])
        yield (f"CPU per GB of {name}, s", ["", *(f"{each.cpu_per_gb:.1f}" for each in speeds[1:])], "", [])
    yield (f"CPU with {IDLE} idle connections, % of a core", ["", *(f"{each.idle.cpu:.1f}" for each in others)],
           "under 5", [each.idle.cpu < 5 for each in others])
    yield (f"memory with {CLIENTS} connections, MB", ["", *(f"{each.memory:.0f}" for each in others)], "under 100",
           [each.memory < 100 for each in others])
    yield (f"{CLIENTS} clients at once: all answered after, s", ["", *(f"{each.at_once:.2f}" for each in others)],
           "all", [each.at_once > 0 for each in others])
    yield ("program killed and started again, s", ["", *(f"{each.back:.1f}" for each in others)], "under 30",
           [each.back < 30 for each in others])


def show(figures: dict[str, Figures]) -> str:
    lines = ["| | " + " | ".join(figures) + " | target | met |", "|---|" + "---|" * (len(figures) + 2)]
    for name, cells, target, met in rows(figures):
        lines.append(f"| {name} | {' | '.join(cells)} | {target} | {('yes' if all(met) else 'NO') if target else ''} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--program", default=os.environ.get("MTPROXY_BIN", ""))
    parser.add_argument("--image", default="")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    lab.REAL = told.program
    which = "mtproxy" if told.program else "stand-in"
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        figures = collect(Bench(folder, which, stack), QUICK if told.quick else FULL)
    said = lab.version(told.program) if told.program else "the stand-in of the tests"
    print(f"{said or told.program}\n\n{show(figures)}")
    if told.image:
        with tempfile.TemporaryDirectory() as name:
            took = restarted(Path(name), which, told.image)
        print(f"\nA container of {told.image}, its program killed: the next client has an answer after {took:.1f} s.")
    if told.json:
        told.json.write_text(json.dumps({name: asdict(each) for name, each in figures.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
