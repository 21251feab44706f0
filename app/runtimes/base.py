"""Where workloads run: the words every runtime shares, and the verbs it must offer.

A runtime knows nothing of users, limits or links. It is given workloads, and
tells what it sees. Every verb may be repeated: "already there" and "already
gone" are outcomes, not errors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Protocol

from app.messages import Problem
from app.messages.errors import Coded

#: The name every runtime gives a user's proxy, and the one seen in `docker ps`.
NAME_PREFIX = "mtg-proxy-"

#: Where a workload that is made of an image finds its files.
IMAGE_FOLDER = "/config"
#: In it, a folder that the program itself may write into: there is one in containers only.
OWN_FOLDER = "own"

#: The fields of a workload that its spec is made from.
_HASHED = frozenset({"name", "user_id", "engine", "image", "command", "files", "port", "place", "metrics_path", "env",
                     "memory_mb"})

#: The built-in engine's module had this name when proxies that still run were started: no update restarts them.
_HASHED_AS = {"app.builtin.server": "app.mtproto.server"}


class RuntimeFailure(Coded):
    """A verb could not be carried out. It says what failed, for which workload, and what a person can do about it."""


class RuntimeUnavailable(RuntimeFailure):
    """The runtime itself does not answer (a Docker engine that is stopped, a socket that is
    missing or forbidden). The message says what to do; the next call tries again."""


class ImageMissing(RuntimeFailure):
    """The image of a workload is not on the machine and can't be fetched: the reason, and the ways out."""


@dataclass(frozen=True)
class Place:
    """What the runtime says about the addresses of a workload, before it exists.

    listen: "ip:port" (IPv6 in brackets) that the engine binds.
    metrics: "ip:port" that the engine binds for its Prometheus metrics.
    publish: "ip:port" under which the runtime makes `listen` reachable, ":port" for all
    addresses of the machine, IPv4 and IPv6; "" where the engine itself is reachable.
    """

    listen: str
    metrics: str
    publish: str = ""


@dataclass(frozen=True)
class Workload:
    """One process or container that should run.

    files: file name -> text, laid into the workload's own folder; {folder} in the
    command stands for its path, {config} for that of "config.toml" there.
    port: the TCP port on which clients reach it. metrics_path: HTTP path.
    env: extra environment. memory_mb: what it may use, in MB of 1024^2 bytes; 0 is no limit.
    live_files: as files, but what they hold may be changed while it runs, see Runtime.update.
    keeps: names of files that its program makes beside its own, and that outlive a replacement.
    links: ids of the links that it serves, by which its counters are accounted.
    unhashed: lines of its files that are no reason to restart what has not got them, as earlier versions did not write
    them: they come with the next replacement.
    healthcheck: a command that ends with 0 where it is well, for a runtime that asks: run beside it, as the command is.
    Everything but the links, what it keeps and what is in the live files is part of the spec hash, so whatever must
    not cause a restart (names, notes, limits) stays outside.
    """

    name: str
    user_id: str
    engine: str
    image: str
    command: tuple[str, ...]
    files: Mapping[str, str]
    port: int
    place: Place
    metrics_path: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    memory_mb: int = 0
    links: tuple[str, ...] = ()
    live_files: Mapping[str, str] = field(default_factory=dict)
    keeps: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    unhashed: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """As in Observed.shared."""
        return not self.user_id

    @property
    def settled_links(self) -> tuple[str, ...]:
        """As in Observed.links."""
        return () if self.shared and self.live_files else self.links

    @property
    def live(self) -> str:
        """Hash of its live files, as in Observed.live."""
        return live_hash(self.live_files)

    @cached_property
    def spec(self) -> str:
        """Hash of what it is made from (16 hex digits): another spec, another workload.

        What is hashed, and how, stays as it is for ever: with another hash, every proxy would be made anew.
        """
        described: dict[str, object] = {key: getattr(self, key) for key in _HASHED}
        described |= {"files": {name: self._hashed(text) for name, text in self.files.items()}, "env": dict(self.env),
                      "place": asdict(self.place)}
        if self.live_files:
            described["live_files"] = sorted(self.live_files)
        if self.healthcheck:
            described["healthcheck"] = list(self.healthcheck)
        described["command"] = [_HASHED_AS.get(word, word) for word in self.command]
        text = json.dumps(described, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _hashed(self, text: str) -> str:
        if not self.unhashed:
            return text
        return "".join(line for line in text.splitlines(keepends=True) if line.rstrip("\n") not in self.unhashed)


def live_hash(files: Mapping[str, str]) -> str:
    """Hash of live files by their names (16 hex digits); "" for none."""
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()[:16] if files else ""


@dataclass(frozen=True)
class SpeedFile:
    """How a program limits its own speed: as a file says that it looks at again and again.

    name: of the file, beside its config.toml. text: what that holds, {bits} standing for bits per second, 0 for no
    limit. metric, label, value: the metric that tells the limit it keeps, and by which label it is that one.
    """

    name: str
    text: str
    metric: str
    label: str
    value: str


#: Observed.state
RUNNING, EXITED, CREATED = "running", "exited", "created"

#: Observed.reason of a workload whose end was asked for.
STOPPED = Problem("ended.stopped")


@dataclass(frozen=True)
class Observed:
    """One workload as the runtime sees it now.

    run_id: identity of this run (container id + StartedAt, or pid + kernel
    start time); counters restart from zero whenever it changes. "" if not running.
    crashes: unasked-for exits in a row, each within a minute of its start.
    exited_at: Unix seconds of the last exit, 0.0 if none. reason: why it is not
    running; None if it runs. outdated: whether the image of its name is another one by now than the
    one that it was made from. links: as in Workload; () if it does not tell, as one that was made before links
    had ids, or one that is shared, whose live files may be those of other links by now. live: live_hash() of the
    live files that are there, "" if it has none. engine: as in Workload, "" if it is not known.
    """

    name: str
    user_id: str
    spec: str
    state: str
    run_id: str = ""
    started_at: float = 0.0
    exited_at: float = 0.0
    crashes: int = 0
    reason: Problem | None = None
    outdated: bool = False
    links: tuple[str, ...] = ()
    live: str = ""
    engine: str = ""

    @property
    def shared(self) -> bool:
        """Whether it serves links of several users, as its live files say, or, without any, as it tells."""
        return not self.user_id and bool(self.live or self.links)


@dataclass(frozen=True)
class Sample:
    """One reading of a workload's counters, as they stand in that run.

    text: its metrics, in Prometheus' form. network: instead of them, for an engine that serves none, the
    bytes (received, sent) that its network interfaces have counted: a relay's traffic twice, with every
    header, probe and failed attempt.
    """

    name: str
    run_id: str
    text: str = ""
    network: tuple[int, int] | None = None


@dataclass(frozen=True)
class Devices:
    """A limit on how many addresses use a link at a time, as it was read back from whoever enforces it.

    limit: so many at most. now: how many there are. refused: connections of further ones, since it began to count.
    addresses: those that there are, where it tells; an IPv6 one as its /64.
    """

    limit: int
    now: int
    refused: int
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class LegacyContainer:
    """A proxy that an older installation left running: no workload of ours, but on a port of ours.

    port: the TCP port of the machine that it serves, 0 if none.
    """

    id: str
    name: str
    port: int
    running: bool


@dataclass(frozen=True)
class Notice:
    """Something that happened to a workload unasked, for the user's history.

    code: what happened, as the audit log has it; detail: more about it, None for nothing.
    """

    name: str
    user_id: str
    code: str
    detail: Problem | None = None


class Runtime(Protocol):
    """The verbs. All of them raise RuntimeFailure, and only that, when they fail."""

    name: str

    def place(self, port: int, bind: str) -> Place:
        """Addresses for the workload of a user's `port`; bind "" means all addresses. Pure."""

    def port_taken(self, port: int, bind: str) -> Problem | None:
        """Why a workload could not listen on this port, e.g. "port 2443 is taken by another program
        (nginx, pid 123)"; None if it could. A workload of this runtime that listens there takes it too."""

    def port_free(self, port: int, bind: str) -> bool:
        """Whether a workload could listen on this port. To find out who has a port takes much longer: port_taken()
        is for those that people are told of."""

    def observe(self) -> list[Observed]:
        """Every workload this installation owns, running or not."""

    def create(self, workload: Workload) -> None:
        """Lay out the workload without starting it; one of the same name is replaced."""

    def replace(self, workload: Workload, last_look: Callable[[str], None]) -> None:
        """create() and start() for one whose name is there already. last_look: called with the name under which the
        old one can be sampled, just before that ends.

        Where both can be reached by one name, and serve the same links, the old one ends only after the new one
        accepts connections, and stays if that does not."""

    def start(self, name: str) -> None:
        """Start it, and return once it accepts connections."""

    def update(self, name: str, live_files: Mapping[str, str]) -> None:
        """Let the workload's live files, all of them, hold this from now on; whether it runs or not, and without a
        restart. Which they are was settled when it was created. Whoever reads one in that moment may find it
        missing or cut short, so an engine takes nothing from a file that is not whole."""

    def held(self, name: str) -> Mapping[str, str]:
        """What its live files hold now, whoever wrote it; without those that are missing, none if it has none."""

    def address(self, name: str) -> str:
        """"ip:port" under which this program reaches the running workload where clients do."""

    def sample(self, name: str) -> Sample | None:
        """Its metrics now, as in samples(); None if it does not run, or does not answer."""

    def stop(self, name: str) -> None:
        """Stop it at once: its live connections end before this returns."""

    def remove(self, name: str) -> None:
        """Stop it and forget it, files and logs included."""

    def logs(self, name: str, tail: int = 200) -> str:
        """The last `tail` lines it wrote, oldest first; "" if there are none."""

    def merged_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> list[str]:
        """The last `tail` lines of all workloads, or of those of these users (ids), ordered by time, each
        with its workload's name before it: "[mtg-proxy-2443] …"."""

    def followed_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> Iterator[str]:
        """merged_logs(), and then each line as it is written, until the generator is closed."""

    def samples(self) -> list[Sample]:
        """Metrics of every running workload, read in parallel; one that does not answer is left out.

        One that has never answered since its start is told by its network's counters, where the runtime
        can read them; a start whose metrics were read once never is."""

    def throttle(self, name: str, bits_per_second: int | None) -> None:
        """Limit the workload's total speed, each direction; None lifts it. Restarts nothing."""

    def throttled(self, name: str) -> int | None:
        """The limit in force, read back from the running workload; None if there is none."""

    def limit_devices(self, name: str, most: int) -> None:
        """Let at most so many addresses have connections to the workload at a time, an IPv6 one with its /64; 0 lifts
        the limit. Restarts nothing. With another limit than before, connections that are there may end, so that
        whoever comes back is counted."""

    def devices(self, name: str) -> Devices | None:
        """The limit on addresses in force, read back from the running workload; None if there is none."""

    def keep_devices(self, wanted: Mapping[str, int]) -> Mapping[str, Devices | None]:
        """limit_devices() where that is not in force, and devices(), for many workloads at once, by name; what is in
        force then. Left out is each that can't be done so, or went wrong: the two verbs say why."""

    def wait(self, timeout: float) -> bool:
        """Sleep until something this runtime runs has changed unasked; False after `timeout` seconds.

        What changed since the last call ends it at once: from the first call on, nothing is missed."""

    def foreign(self) -> list[LegacyContainer]:
        """Proxies that an older installation left on this machine."""

    def adopt(self, workload: Workload, old: LegacyContainer) -> None:
        """Replace a foreign proxy by this workload, running. If that fails, the old one runs on."""

    def notes(self) -> list[Problem]:
        """What people should know of how it does its work on this machine, in sentences without a full stop."""

    def notices(self) -> list[Notice]:
        """What happened unasked since the last call, oldest first. Seen only while somebody waits."""


class NoDoor:
    """The part of a runtime that does not stand between a workload and its clients, so it can't count them."""

    def limit_devices(self, name: str, most: int) -> None:
        """As in Runtime."""
        if most:
            raise RuntimeFailure("runtime.addresses_not_here", name=name)

    def devices(self, name: str) -> Devices | None:
        """As in Runtime."""
        return None

    def keep_devices(self, wanted: Mapping[str, int]) -> Mapping[str, Devices | None]:
        """As in Runtime."""
        return {}
