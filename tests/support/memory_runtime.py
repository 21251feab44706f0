"""A runtime that runs nothing: for tests of what decides over workloads.

It passes the same contract tests as the real ones (tests/runtimes/test_contract.py).
Beyond the verbs it offers what a test does to a machine: `machine.crash`,
`machine.occupy`, `machine.metrics`, `machine.network`, `machine.connect`, `machine.fail`, `machine.notices`.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from app.messages import Problem, text
from app.runtimes.base import (CREATED, EXITED, RUNNING, STOPPED, Devices, LegacyContainer, Notice, Observed, Place,
                               RuntimeFailure, Sample, Workload, live_hash)

SETTLED_AFTER = 60.0


@dataclass
class FakeProcess:
    """One workload on the machine."""

    workload: Workload
    state: str = CREATED
    run_id: str = ""
    started_at: float = 0.0
    exited_at: float = 0.0
    crashes: int = 0
    reason: Problem | None = None
    outdated: bool = False
    limit: int | None = None
    most: int = 0
    clients: tuple[str, ...] = ()
    refused: int = 0
    live: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


class Machine:
    """What outlives a panel: workloads, ports, clock. `calls` lists every verb with its workload."""

    def __init__(self) -> None:
        self.boxes: dict[str, FakeProcess] = {}
        self.taken: dict[int, str] = {}
        self.texts: dict[str, str] = {}
        self.counters: dict[str, tuple[int, int]] = {}
        self.failures: dict[tuple[str, str], str] = {}
        #: Whether one helper can go to many.
        self.many_at_once = True
        self.calls: list[tuple[str, str]] = []
        self.notices: list[Notice] = []
        self.changed = threading.Condition()
        self.ends = 0
        self.foreign: list[LegacyContainer] = []
        self.numbers = itertools.count(1)
        self.skipped = 0.0

    def now(self) -> float:
        return time.time() + self.skipped

    def pass_time(self, seconds: float) -> None:
        self.skipped += seconds

    def crash(self, name: str, reason: str = "it exited with code 1") -> None:
        """End a running workload unasked."""
        box = self.boxes[name]
        assert box.state == RUNNING, f"{name} does not run"
        with self.changed:
            settled = self.now() - box.started_at >= SETTLED_AFTER
            box.state, box.run_id, box.exited_at, box.reason = EXITED, "", self.now(), text(reason)
            box.crashes, box.limit, box.most = 0 if settled else box.crashes + 1, None, 0
            self.ends += 1
            self.changed.notify_all()

    def new_image(self) -> None:
        """The image that all workloads were made from is another one from now on."""
        for box in self.boxes.values():
            box.outdated = True

    def occupy(self, port: int, program: str = "nginx, pid 123") -> None:
        """Another program listens on this port from now on."""
        self.taken[port] = program

    def metrics(self, name: str, text: str) -> None:
        """What samples() reads from this workload; "" for one that does not answer."""
        self.texts[name] = text

    def connect(self, name: str, *addresses: str, refused: int = 0) -> None:
        """These have a connection to this workload from now on, and no others; so many more were refused."""
        box = self.boxes[name]
        box.clients, box.refused = addresses, box.refused + refused

    def network(self, name: str, received: int, sent: int) -> None:
        """What the network of a workload that does not answer has counted."""
        self.texts[name] = ""
        self.counters[name] = (received, sent)

    def fail(self, verb: str, name: str, message: str = "") -> None:
        """Let this verb fail for this workload until told again without a message."""
        self.failures[verb, name] = message


class MemoryRuntime:
    """Give it the Machine of another one to see what that one runs."""

    name = "memory"

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or Machine()
        self._ends_told = self.machine.ends

    def place(self, port: int, bind: str) -> Place:
        return Place(f"{bind or '0.0.0.0'}:{port}", f"127.64.{port >> 8}.{port & 255}:3129")

    def port_taken(self, port: int, bind: str) -> Problem | None:
        users = {b.workload.port: n for n, b in list(self.machine.boxes.items()) if b.state == RUNNING}
        culprit = self.machine.taken.get(port) or users.get(port)
        return Problem("port.taken", {"port": port, "owner": culprit}) if culprit else None

    def port_free(self, port: int, bind: str) -> bool:
        return self.port_taken(port, bind) is None

    def observe(self) -> list[Observed]:
        observed = []
        for name, box in sorted(self.machine.boxes.items()):
            settled = box.state == RUNNING and self.machine.now() - box.started_at >= SETTLED_AFTER
            observed.append(Observed(
                name, box.workload.user_id, box.workload.spec, box.state, box.run_id, box.started_at,
                box.exited_at, 0 if settled else box.crashes, box.reason, box.outdated,
                box.workload.settled_links, live_hash(box.live), box.workload.engine))
        return observed

    def create(self, workload: Workload) -> None:
        self._called("create", workload.name)
        self._end(workload.name)
        self.machine.boxes[workload.name] = FakeProcess(workload, live=dict(workload.live_files))

    def replace(self, workload: Workload, last_look: Callable[[str], None]) -> None:
        last_look(workload.name)
        self.create(workload)
        self.start(workload.name)

    def start(self, name: str) -> None:
        self._called("start", name)
        box = self.machine.boxes.get(name)
        if box is None:
            raise RuntimeFailure(f"there is no workload {name} that could be started")
        if box.state == RUNNING:
            return
        port = _port(box.workload)
        users = {_port(b.workload): b.workload.name for b in list(self.machine.boxes.values()) if b.state == RUNNING}
        culprit = port and (self.machine.taken.get(port) or users.get(port))
        if culprit:
            box.reason = Problem("port.taken", {"port": port, "owner": culprit})
            raise RuntimeFailure("runtime.not_started", name=name, reason=box.reason)
        box.state, box.reason, box.started_at = RUNNING, None, self.machine.now()
        box.run_id = f"run-{next(self.machine.numbers)}"
        box.log.append(f"listening on {box.workload.place.listen}")

    def update(self, name: str, live_files: Mapping[str, str]) -> None:
        self._called("update", name)
        box = self.machine.boxes.get(name)
        if box is None or box.live.keys() != live_files.keys():
            raise RuntimeFailure(f"{name} has no live files {', '.join(sorted(live_files))} that could be changed")
        box.live = dict(live_files)

    def held(self, name: str) -> Mapping[str, str]:
        box = self.machine.boxes.get(name)
        return dict(box.live) if box else {}

    def address(self, name: str) -> str:
        if name not in self.machine.boxes or self.machine.boxes[name].state != RUNNING:
            raise RuntimeFailure("runtime.no_address", name=name)
        return self.machine.boxes[name].workload.place.listen

    def sample(self, name: str) -> Sample | None:
        return next((sample for sample in self.samples() if sample.name == name and sample.network is None), None)

    def stop(self, name: str) -> None:
        self._called("stop", name)
        self._end(name)

    def remove(self, name: str) -> None:
        self._called("remove", name)
        self._end(name)
        self.machine.boxes.pop(name, None)
        self.machine.texts.pop(name, None)
        self.machine.counters.pop(name, None)

    def logs(self, name: str, tail: int = 200) -> str:
        box = self.machine.boxes.get(name)
        return "".join(f"{line}\n" for line in box.log[-tail:]) if box and tail > 0 else ""

    def samples(self) -> list[Sample]:
        """As in base.Runtime, but it trusts the machine that one with network counters never answered."""
        samples = []
        for name, box in sorted(self.machine.boxes.items()):
            text, counters = self.machine.texts.get(name, "memory_up 1\n"), self.machine.counters.get(name)
            if box.state == RUNNING and (text or counters):
                samples.append(Sample(name, box.run_id, text, None if text else counters))
        return samples

    def throttle(self, name: str, bits_per_second: int | None) -> None:
        self._called("throttle", name)
        box = self.machine.boxes.get(name)
        if box is None or box.state != RUNNING:
            raise RuntimeFailure(f"{name} is not running, so its speed can't be limited")
        box.limit = bits_per_second or None

    def throttled(self, name: str) -> int | None:
        box = self.machine.boxes.get(name)
        return box.limit if box else None

    def limit_devices(self, name: str, most: int) -> None:
        self._called("limit_devices", name)
        box = self.machine.boxes.get(name)
        if box is None or box.state != RUNNING:
            raise RuntimeFailure("runtime.addresses_not_running", name=name)
        if box.most != most:
            box.most, box.refused = most, 0

    def devices(self, name: str) -> Devices | None:
        self._called("devices", name)
        box = self.machine.boxes.get(name)
        return Devices(box.most, len(box.clients), box.refused, box.clients) if box and box.most else None

    def keep_devices(self, wanted: Mapping[str, int]) -> Mapping[str, Devices | None]:
        """By one helper, as far as each runs and can."""
        if not self.machine.many_at_once:
            return {}
        self.machine.calls.append(("keep_devices", ", ".join(wanted)))
        kept = {}
        for name, most in wanted.items():
            box = self.machine.boxes.get(name)
            if box and box.state == RUNNING and not self.machine.failures.get(("limit_devices", name)):
                if box.most != most:
                    box.most, box.refused = most, 0
                kept[name] = Devices(most, len(box.clients), box.refused, box.clients) if most else None
        return kept

    def wait(self, timeout: float) -> bool:
        with self.machine.changed:
            ended = self.machine.changed.wait_for(lambda: self.machine.ends > self._ends_told, timeout)
            self._ends_told = self.machine.ends
        return ended

    def merged_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> list[str]:
        wanted = None if users is None else set(users)
        return [f"[{name}] {line}" for name, box in sorted(self.machine.boxes.items())
                if wanted is None or box.workload.user_id in wanted for line in box.log][-tail:]

    def followed_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> Iterator[str]:
        seen = self.merged_logs(users, tail)
        yield from seen
        while True:
            now = self.merged_logs(users, 10**6)
            yield from now[len(seen):]
            seen = now
            time.sleep(0.01)

    def foreign(self) -> list[LegacyContainer]:
        return list(self.machine.foreign)

    def adopt(self, workload: Workload, old: LegacyContainer) -> None:
        self._called("adopt", workload.name)
        self.machine.foreign.remove(old)
        self.machine.taken.pop(old.port, None)
        self.create(workload)
        self.start(workload.name)

    def notes(self) -> list[Problem]:
        return []

    def notices(self) -> list[Notice]:
        told, self.machine.notices = self.machine.notices, []
        return told

    def _called(self, verb: str, name: str) -> None:
        self.machine.calls.append((verb, name))
        if message := self.machine.failures.get((verb, name)):
            raise RuntimeFailure(message)

    def _end(self, name: str) -> None:
        box = self.machine.boxes.get(name)
        if box is None:
            return
        with self.machine.changed:
            if box.state == RUNNING:
                box.state, box.run_id, box.exited_at = EXITED, "", self.machine.now()
            if box.state == EXITED:
                # A limit does not outlive the run it was put on: whoever relies on that finds out here.
                box.crashes, box.reason, box.limit, box.most = 0, STOPPED, None, 0


def _port(workload: Workload) -> int:
    """The port of the machine that it takes; 0 for one that listens in a network of its own and publishes none."""
    place = workload.place
    return workload.port if place.publish or place.listen.endswith(f":{workload.port}") else 0
