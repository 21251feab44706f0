"""Workloads as Docker containers: one per user, and only that user's is ever touched."""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from docker import APIClient
from docker.errors import APIError, ImageNotFound, NotFound

from app.runtimes import docker_logs, docker_shaper, docker_spec, docker_state, ports
from app.runtimes.base import (EXITED, RUNNING, Notice, Observed, Place, RuntimeFailure, RuntimeUnavailable, Sample,
                               Workload)
from app.runtimes.docker_adoption import Foreign, foreign
from app.runtimes.docker_client import PATIENT, Connection
from app.runtimes.docker_events import Watcher
from app.runtimes.docker_images import Images
from app.runtimes.docker_spec import INSTANCE, KEEP_RUNNING, MANAGED, METRICS, NAME, SPEC, STAY_STOPPED, USER
from app.runtimes.docker_state import SETTLED_AFTER, Told, told
from app.runtimes.scrape import KeptConnections, ScrapeFailure, scrape

#: Inside every container, which has an address of its own.
LISTEN_PORT, METRICS_PORT = 3128, 3129
NETWORK = "mtproto-net"

#: A replacement under construction; it takes the workload's name when the old one is gone.
_BEING_MADE = ".new"
_AT_ONCE = 8

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class _Run:
    """What Docker does not remember of a workload: crashes before its last start by us.

    before: those. settled: of Docker's restarts, how many don't count any more.
    refused: why the last start failed, in more words than Docker's.
    """

    id: str
    before: int = 0
    settled: int = 0
    refused: str = ""


class DockerRuntime:
    """Runtime whose workloads are containers of one Docker engine.

    instance: short id of the installation; containers of another one are never touched.
    network: name of the proxies' network, made when it is missing. url: the engine's
    address, "" for the usual one. Constructing it asks the engine nothing.
    """

    name = "docker"
    start_timeout = 15.0  # seconds until a started container must serve its metrics
    unreachable_after = 1.5  # seconds of a running container whose address can't be reached from here
    scrape_timeout = 2.0  # seconds

    def __init__(self, instance: str, network: str = NETWORK, url: str = "") -> None:
        self.instance = instance
        self.network = network
        self._engine = Connection(url)
        self._images = Images(self._engine)
        self._watcher = Watcher(self._engine, instance)
        self._kept = KeptConnections()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="docker")
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, int, Told]] = {}
        self._runs: dict[str, _Run] = {}
        self._limits: dict[str, tuple[str, int | None]] = {}
        self._inside: str | None = None

    # -- looking -------------------------------------------------------------------------------------

    def place(self, port: int, bind: str) -> Place:
        """As in base.Runtime, but the first call looks whether the proxies' network has IPv6."""
        try:
            ip = str(ipaddress.ip_address(bind.strip("[]"))) if bind else ""
        except ValueError:
            raise RuntimeFailure(f"{bind!r} is no address to listen on: an IPv4 or IPv6 address of the machine "
                                 "that Docker runs on is allowed, or nothing for all of them") from None
        if self._inside is None:
            self._inside = "::" if self._network()["EnableIPv6"] else "0.0.0.0"
        return Place(ports.join(self._inside, LISTEN_PORT), ports.join(self._inside, METRICS_PORT),
                     ports.join(ip, port) if ip else f":{port}")

    def port_taken(self, port: int, bind: str) -> str:
        with self._engine.api() as api:
            holder = next((c["Names"][0].lstrip("/") for c in api.containers()
                           if any(p.get("PublicPort") == port and p["Type"] == "tcp" and _meet(bind, p.get("IP", ""))
                                  for p in c["Ports"])), "")
        if holder:
            return f"port {port} is taken by another program (the container {holder})"
        if self._engine.on_this_machine:
            return ports.obstacle(ports.join(bind or "0.0.0.0", port))
        return ""

    def list(self) -> list[Observed]:
        """As in base.Runtime. A container that was renamed by hand gets its name back here."""
        summaries = self._summaries()
        network = self._network()["Id"] if summaries else ""
        observed = []
        for summary, container in zip(summaries, self._look(summaries)):
            if container:
                observed.append(self._observed(self._own_name(container), container, _cut_off(
                    summary, self.network, network)))
        return sorted(observed, key=lambda each: each.name)

    def logs(self, name: str, tail: int = 200) -> str:
        if tail <= 0:
            return ""
        with self._engine.api(PATIENT) as api:
            if not (container := self._find(api, name)):
                return ""
            return api.logs(container.id, tail=tail).decode(errors="replace")

    def merged_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> list[str]:
        """The last `tail` lines of all containers, or of those of these users (ids): "[mtg-proxy-2443] …"."""
        names = self._names(users, running=False)
        return [str(line) for line in docker_logs.merge(
            docker_logs.tails(self._engine, names, tail, self._each), tail)]

    def followed_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> Iterator[str]:
        """merged_logs(), and then each line as it is written, until the generator is closed."""
        users = None if users is None else set(users)
        logs = docker_logs.tails(self._engine, self._names(users, running=False), tail, self._each)
        yield from map(str, docker_logs.merge(logs, tail))
        since = {name: lines[-1].stamp for name, lines in logs.items() if lines}
        yield from map(str, docker_logs.follow(self._engine, lambda: self._names(users, running=True), since))

    def samples(self) -> list[Sample]:
        before = {s["Id"]: s for s in self._summaries() if s["State"] == "running"}
        targets = {identity: target for identity, s in before.items() if (target := self._metrics(s))}
        texts = self._kept.scrape_all(targets, self.scrape_timeout)
        # An address may have gone to another container in the meantime: a text counts only for
        # one that has it before and after.
        after = [s for s in self._summaries() if s["Id"] in texts and s["State"] == "running"
                 and self._metrics(s) == targets[s["Id"]]]
        return [Sample(container.name, container.start, texts[container.id])
                for container in self._look(after) if container and container.state == RUNNING]

    def wait(self, timeout: float) -> bool:
        self._watcher.begin()
        return self._watcher.wait(timeout)

    def notices(self) -> list[Notice]:
        return self._watcher.notices()

    def close(self) -> None:
        """Leave the engine alone from now on; containers keep running."""
        self._watcher.close()
        self._pool.shutdown(wait=False)
        self._kept.close()

    # -- changing ------------------------------------------------------------------------------------

    def create(self, workload: Workload) -> None:
        with self._engine.api(PATIENT) as api:
            self._network()
            made, provisional = self._make(api, workload, workload.name)
            if provisional:
                # Only now does the old one end: an image that is missing has cost nobody a connection.
                self._destroy(api, self._find(api, workload.name))
                api.rename(made, workload.name)
            self._sweep(api, workload.name)
        with self._lock:
            self._runs[workload.name] = _Run(made)

    def start(self, name: str) -> None:
        with self._engine.api(PATIENT) as api:
            container = self._find(api, name)
            if container is None:
                raise RuntimeFailure(f"there is no container {name} of this installation that could be started")
            if container.status == "running":
                return
            self._watcher.expect_life(container.id)
            if container.status == "paused":
                api.unpause(container.id)
                return
            run = self._run(name, container)
            run.before, run.settled, run.refused = self._crashes(name, container), 0, ""
            if container.status == "restarting":
                self._end(api, container)  # Docker's own pause is over, too
            if not container.wanted or container.status == "restarting":
                api.update_container(container.id, restart_policy={"Name": KEEP_RUNNING})
            try:
                api.start(container.id)
            except APIError as error:
                run.refused = self._refusal(str(error.explanation), container)
                raise RuntimeFailure(f"{name} can't be started: {run.refused}") from error
            finally:
                self._forget(container.id)
            self._await_metrics(api, name, container.id)

    def stop(self, name: str) -> None:
        with self._engine.api(PATIENT) as api:
            container = self._find(api, name)
            if container is None:
                return
            if container.wanted:
                # First: no list() beside us takes the end for a crash, and no reboot starts it again.
                api.update_container(container.id, restart_policy={"Name": STAY_STOPPED})
            self._end(api, container)
        with self._lock:
            self._runs[name] = _Run(container.id)

    def remove(self, name: str) -> None:
        with self._engine.api(PATIENT) as api:
            self._destroy(api, self._find(api, name))
            self._sweep(api, name)
        with self._lock:
            self._runs.pop(name, None)
            self._limits.pop(name, None)

    def throttle(self, name: str, bits_per_second: int | None) -> None:
        with self._engine.api(PATIENT) as api:
            container = self._find(api, name)
            if container is None or container.state != RUNNING:
                raise RuntimeFailure(f"{name} is not running, so its speed can't be limited")
            self._limits.pop(name, None)
            in_force = docker_shaper.shape(api, container, bits_per_second or None)
            self._limits[name] = (container.start, in_force)
            if in_force != (bits_per_second or None):
                raise RuntimeFailure(f"{name} was told to keep to {bits_per_second or 0} bit/s (0 is no limit), but "
                                     f"the kernel keeps it to {in_force or 0}")

    def throttled(self, name: str) -> int | None:
        """As in base.Runtime; what this runtime has read back once holds until the container's next start."""
        with self._engine.api(PATIENT) as api:
            container = self._find(api, name)
            if container is None or container.state != RUNNING:
                return None
            start, limit = self._limits.get(name, ("", None))
            if start != container.start:
                limit = docker_shaper.read(api, container)
                self._limits[name] = (container.start, limit)
            return limit

    # -- containers of an older installation ------------------------------------------------------------

    def list_foreign(self) -> list[Foreign]:
        """Proxy containers that no installation of ours made: mtg-proxy-<port>, and the single mtg-proxy."""
        with self._engine.api() as api:
            ids = [c["Id"] for c in api.containers(all=True, filters={"name": ["^/?mtg-proxy"]})
                   if MANAGED not in (c["Labels"] or {})]
        return foreign(inspected for inspected in self._each(self._inspect, ids) if inspected)

    def adopt(self, workload: Workload, old: Foreign) -> None:
        """Replace a foreign container by ours, running: its end and our start are a moment apart.

        If ours does not start, the old one runs again, and the RuntimeFailure says why.
        """
        with self._engine.api(PATIENT) as api:
            self._network()
            made, _ = self._make(api, workload, workload.name + _BEING_MADE)
            try:
                api.kill(old.id) if old.running else None
                if old.name == workload.name:
                    api.rename(old.id, f"{old.name}.old")
                api.rename(made, workload.name)
                with self._lock:
                    self._runs[workload.name] = _Run(made)
                self.start(workload.name)
            except (APIError, RuntimeFailure) as error:
                self._watcher.expect_end(made)
                api.remove_container(made, force=True, v=True)
                if old.name == workload.name:
                    _attempt(lambda: api.rename(old.id, old.name))
                if old.running:
                    _attempt(lambda: api.start(old.id))
                raise RuntimeFailure(f"{old.name} of the older installation was left as it is: {error}") from error
            # Its files are the operator's: volumes stay.
            api.remove_container(old.id, force=True)

    # -- the parts of the verbs ----------------------------------------------------------------------------

    def _summaries(self) -> list[dict[str, Any]]:
        with self._engine.api() as api:
            return api.containers(all=True, filters=docker_spec.label_filter(self.instance))

    def _look(self, summaries: list[dict[str, Any]]) -> list[Told | None]:
        """Each container in full; asked for only what has changed, as far as events tell. None: gone."""
        trusted = self._watcher.connected

        def look(summary: dict[str, Any]) -> Told | None:
            identity, count = summary["Id"], self._watcher.count(summary["Id"])
            state, seen, container = self._known.get(identity, ("", -1, None))
            if trusted and state == summary["State"] and seen == count:
                return container
            inspected = self._inspect(identity)
            if inspected is None:
                self._known.pop(identity, None)
                return None
            container = told(inspected)
            self._known[identity] = (container.status, count, container)
            return container

        stale = [s for s in summaries if not (trusted and s["Id"] in self._known)]
        if len(stale) > 1:
            fresh = dict(zip((s["Id"] for s in stale), self._each(look, stale)))
            return [fresh[s["Id"]] if s["Id"] in fresh else look(s) for s in summaries]
        return [look(s) for s in summaries]

    def _inspect(self, identity: str) -> dict[str, Any] | None:
        with self._engine.api() as api:
            try:
                return api.inspect_container(identity)
            except NotFound:
                return None

    def _each(self, verb: Callable[[T], R], things: Iterable[T]) -> list[R]:
        return list(self._pool.map(verb, things))

    def _find(self, api: APIClient, name: str) -> Told | None:
        """The container of this name if it is of this installation."""
        try:
            container = told(api.inspect_container(name))
        except NotFound:
            return None
        return container if container.labels.get(INSTANCE) == self.instance else None

    def _names(self, users: Iterable[str] | None, running: bool) -> dict[str, str]:
        """Names of the containers of these users (None: of all), by id."""
        wanted = None if users is None else set(users)
        return {s["Id"]: s["Labels"][NAME] for s in self._summaries()
                if (wanted is None or s["Labels"][USER] in wanted) and (not running or s["State"] == "running")}

    def _observed(self, name: str, container: Told, cut_off: bool) -> Observed:
        crashes, run = self._crashes(name, container), self._run(name, container)
        spec, reason = container.labels.get(SPEC, ""), ""
        if container.state != RUNNING:
            last = self._last_line(container) if container.state == EXITED and not container.stopped else ""
            reason = run.refused or docker_state.reason(container, last)
        if cut_off or container.status in ("dead", "removing"):
            # No start helps: another spec than the wanted one has it replaced.
            spec, reason = "", reason or f"it was cut off from the network {self.network}"
        return Observed(name, container.labels.get(USER, ""), spec, container.state, container.start,
                        container.started_at, container.exited_at, crashes, reason)

    def _run(self, name: str, container: Told) -> _Run:
        with self._lock:
            run = self._runs.get(name)
            if run is None or run.id != container.id:
                run = self._runs[name] = _Run(container.id)
            return run

    def _crashes(self, name: str, container: Told) -> int:
        """Unasked-for ends in a row: those that Docker has repaired itself, and those before our last start."""
        run = self._run(name, container)
        if container.stopped:
            run.before, run.settled = 0, container.restarts
        if container.stopped or container.trouble or container.status in ("created", "paused"):
            return run.before
        ended = container.status != "running"
        lived = container.lived if ended else time.time() - container.started_at
        # Docker counts a restart when it decides on it: a container that waits for one is counted.
        ends = container.restarts + (ended and container.status != "restarting")
        if lived >= SETTLED_AFTER:
            run.before, run.settled = 0, ends
        return run.before + max(0, ends - run.settled)

    def _own_name(self, container: Told) -> str:
        """The name the container should have; given back if somebody changed it."""
        name = container.labels.get(NAME, container.name)
        if container.name == name:
            return name
        try:
            with self._engine.api() as api:
                api.rename(container.id, name)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure:
            return container.name  # another one has it by now
        finally:
            self._forget(container.id)
        return name

    def _last_line(self, container: Told) -> str:
        with self._engine.api() as api:
            try:
                lines = api.logs(container.id, tail=5).decode(errors="replace").split("\n")
            except NotFound:
                return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _network(self) -> dict[str, Any]:
        """The proxies' network, made if it is missing."""
        with self._engine.api() as api:
            found = [n for n in api.networks(names=[self.network]) if n["Name"] == self.network]
            if not found:
                try:
                    # check_duplicate: two panels that start at once make one network.
                    api.create_network(self.network, driver="bridge", check_duplicate=True,
                                       labels={MANAGED: "1"})
                except APIError as error:
                    if error.status_code != 409:
                        raise
                found = [n for n in api.networks(names=[self.network]) if n["Name"] == self.network]
            if not found:
                raise RuntimeFailure(f"the network {self.network} was removed in the moment it was made")
            return found[0]

    def _make(self, api: APIClient, workload: Workload, name: str) -> tuple[str, bool]:
        """(id of a new container with its files, whether it has a provisional name)."""
        body = docker_spec.container(workload, self.instance, self.network)

        def make(name: str) -> str:
            try:
                return api.create_container_from_config(body, name)["Id"]
            except ImageNotFound:
                self._images.fetch(workload.image)
                return api.create_container_from_config(body, name)["Id"]

        provisional = False
        try:
            made = make(name)
        except APIError as error:
            if error.status_code != 409:
                raise
            holder = self._find(api, name)
            if holder is None and self._inspect(name) is not None:
                raise RuntimeFailure(f"the name {name} belongs to a container that this installation did not make: "
                                     "remove or rename it (docker rename), or let the panel take it over") from error
            provisional = not name.endswith(_BEING_MADE)
            if provisional:
                return self._make(api, workload, name + _BEING_MADE)[0], True
            self._destroy(api, holder)  # left behind by a panel that was killed in between
            made = make(name)
        try:
            if not api.put_archive(made, docker_spec.FOLDER, docker_spec.archive(workload.files)):
                raise RuntimeFailure(f"{workload.name}: its files could not be put into the container")
        except (APIError, RuntimeFailure):
            self._watcher.expect_end(made)
            api.remove_container(made, force=True, v=True)
            raise
        return made, provisional

    def _end(self, api: APIClient, container: Told) -> None:
        if container.status not in ("running", "paused", "restarting"):
            return
        self._watcher.expect_end(container.id)
        try:
            api.kill(container.id)
            if container.status == "restarting":
                api.stop(container.id, timeout=0)  # kill() does not wait for one between two runs
        except APIError as error:
            if error.status_code not in (404, 409):  # gone, or ended just now
                raise
        finally:
            self._forget(container.id)

    def _destroy(self, api: APIClient, container: Told | None) -> None:
        if container is None:
            return
        self._watcher.expect_end(container.id)
        self._forget(container.id)
        try:
            api.remove_container(container.id, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != 409:
                raise
            # Somebody else is removing it: gone in a moment.
            deadline = time.monotonic() + 10
            while self._inspect(container.id) is not None:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _sweep(self, api: APIClient, name: str) -> None:
        """Remove volumes that a container left behind when somebody removed it by hand: they hold a secret."""
        left = api.volumes(filters={"dangling": True, **docker_spec.label_filter(self.instance, name=name)})
        for volume in left["Volumes"] or []:
            try:
                api.remove_volume(volume["Name"])
            except APIError as error:
                if error.status_code not in (404, 409):
                    raise

    def _await_metrics(self, api: APIClient, name: str, identity: str) -> None:
        """Return once the engine serves its metrics: mtg opens the clients' port in the same moment.

        That port itself is not tried, as a connection there counts as a probe.
        """
        began, unreachable = time.monotonic(), 0
        while True:
            inspected = api.inspect_container(identity)
            container = told(inspected)
            if container.status != "running" or container.restarts:
                raise RuntimeFailure(f"{name} could not be started: "
                                     f"{docker_state.reason(container, self._last_line(container)) or 'it ended'}")
            target = self._metrics(inspected)
            age = time.monotonic() - began
            try:
                if target:
                    scrape(*target, min(self.scrape_timeout, self.unreachable_after))
                    return
            except ScrapeFailure as failure:
                unreachable += not isinstance(failure.__cause__, ConnectionError)
            if unreachable and age > self.unreachable_after:
                log.warning("%s runs, but its metrics at %s can't be reached from here: no traffic will be counted",
                            name, target and target[0])
                return
            if age > self.start_timeout:
                line = self._last_line(container)
                raise RuntimeFailure(f"{name} was started, but did not serve metrics within {self.start_timeout:.0f} s"
                                     + (f"; its last line: {line}" if line else ""))
            time.sleep(0.02)

    def _metrics(self, container: Mapping[str, Any]) -> tuple[str, str] | None:
        """(address, path) of a container's metrics, from either of Docker's forms; None without an address."""
        labels = container.get("Labels") or container.get("Config", {}).get("Labels") or {}
        ip = (container["NetworkSettings"]["Networks"].get(self.network) or {}).get("IPAddress", "")
        port, slash, path = labels.get(METRICS, "").partition("/")
        return (ports.join(ip, int(port)), slash + path) if ip and port else None

    def _refusal(self, trouble: str, container: Told) -> str:
        """Why Docker could not start it; a busy port with whoever has it."""
        port = docker_state.busy_port(trouble)
        if port is not None and (who := self.port_taken(port, "")):
            return who
        return docker_state.refusal(trouble, container.image)

    def _forget(self, identity: str) -> None:
        self._known.pop(identity, None)


def _cut_off(summary: Mapping[str, Any], network: str, current: str) -> bool:
    """Whether the container hangs on no network, or on one of that name that is no more."""
    there = summary["NetworkSettings"]["Networks"].get(network)
    # Before its first start Docker has not looked the network up, and tells no id.
    return there is None or (there["NetworkID"] or current) != current


def _meet(bind: str, ip: str) -> bool:
    """Whether two listeners, of which one is Docker's, would be in each other's way."""
    wildcards = ("", "0.0.0.0", "::")
    return bind in wildcards or ip in wildcards or ip == bind


def _attempt(verb: Callable[[], object]) -> None:
    """Of a repair that may fail, and then must not hide why it was needed."""
    try:
        verb()
    except APIError as error:
        log.warning("the older container could not be brought back: %s", error.explanation)
