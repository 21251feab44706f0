"""Workloads as Docker containers: one per user, and only that user's is ever touched."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from typing import Any, TypeVar

from docker.errors import APIError

from app.lib import portmap
from app.runtimes import loglines, ports
from app.runtimes.docker import adoption, counters, logs, metrics, state, succession
from app.runtimes.base import (EXITED, RUNNING, Devices, LegacyContainer, Notice, Observed, Place, RuntimeFailure,
                               RuntimeUnavailable, Sample, Workload, live_hash)
from app.runtimes.docker.client import PATIENT, Connection
from app.runtimes.docker.containers import BEING_LEFT, Containers, cut_off, name_of
from app.runtimes.docker.events import Watcher
from app.runtimes.docker.limits import Limits
from app.messages import Problem
from app.runtimes.docker.spec import ENGINE, KEEP_RUNNING, LINKS, LIVE, NAME, SPEC, STAY_STOPPED, USER
from app.runtimes.docker.state import CrashState, ContainerInfo, container_info
from app.runtimes.scrape import KeptConnections, ScrapeFailure, scrape

NETWORK = "mtproto-net"

_AT_ONCE = 8

T = TypeVar("T")
R = TypeVar("R")


class DockerRuntime:
    """Runtime whose workloads are containers of one Docker engine.

    instance: short id of the installation; containers of another one are never touched.
    network: name of the proxies' network, made when it is missing. url: the engine's
    address, "" for the usual one. Constructing it asks the engine nothing.
    """

    name = "docker"
    start_timeout = 15.0  # seconds until a started container must serve metrics or clients
    metrics_timeout = 3.0  # seconds until one that serves clients is taken for one without metrics
    unreachable_after = 1.5  # seconds of a running container whose address can't be reached from here
    scrape_timeout = 2.0  # seconds
    estimate_after = 30.0  # seconds without metrics since the start, until the network's counters stand in
    silence_pause = 60.0  # seconds between two attempts to read metrics that were never there
    list_good_for = 1.0  # seconds in which a list still tells whom to ask for samples
    images_good_for = 5.0  # seconds in which a name is believed to mean the same image
    name_good_for = 2.5  # seconds in which whoever has asked for a container's address may go there still: nginx, 2
    foreign_pause = 30.0  # seconds between looks for an older installation's containers

    def __init__(self, instance: str, network: str = NETWORK, url: str = "") -> None:
        self.instance = instance
        self.network = network
        self._engine = Connection(url)
        self._watcher = Watcher(self._engine, instance)
        self._containers = Containers(self._engine, self._watcher, instance, network)
        self._limits = Limits(self._engine, self._containers)
        self._kept = KeptConnections()
        self._metrics_known = metrics.MetricsAvailability()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="docker")
        self._known: dict[str, tuple[str, int, ContainerInfo]] = {}
        self._runs: dict[str, CrashState] = {}
        self._listed: tuple[float, list[dict[str, Any]]] = (float("-inf"), [])
        self._inside: str | None = None
        self._images: tuple[float, dict[str, str]] = (float("-inf"), {})
        self._none_foreign_until = 0.0
        self._replacing = threading.Lock()

    # -- looking ---------------------------------------------------------------------------------

    def place(self, port: int, bind: str) -> Place:
        """As in base.Runtime, but the first call asks the engine whether the proxies' network has IPv6."""
        try:
            ip = str(ipaddress.ip_address(bind.strip("[]"))) if bind else ""
        except ValueError:
            raise RuntimeFailure("docker.bind_there", bind=bind) from None
        if self._inside is None:
            self._inside = "::" if self._containers.the_network()["EnableIPv6"] else "0.0.0.0"
        return Place(ports.join(self._inside, portmap.CLIENTS), ports.join(self._inside, portmap.METRICS),
                     ports.join(ip, port) if ip else f":{port}")

    def port_taken(self, port: int, bind: str) -> Problem | None:
        if container := self._containers.publishing(port, bind):
            return Problem("port.taken", {"port": port, "owner": Problem("port.container", {"name": container})})
        return ports.bind_error(ports.join(bind or "0.0.0.0", port)) if self._engine.on_this_machine else None

    def port_free(self, port: int, bind: str) -> bool:
        if self._engine.on_this_machine and not ports.is_free(ports.join(bind or "0.0.0.0", port)):
            return False
        return not self._containers.publishing(port, bind)

    def observe(self) -> list[Observed]:
        """As in base.Runtime. A container that was renamed by hand gets its name back here."""
        summaries = self._containers.summaries()
        self._listed = (time.monotonic(), summaries)
        network = self._containers.the_network()["Id"] if summaries else ""
        observed = [
            self._observed(container, cut_off(summary, self.network, network), summary["ImageID"])
            for summary, container in zip(summaries, self._look(summaries)) if container]
        return sorted(observed, key=lambda each: each.name)

    def logs(self, name: str, tail: int = 200) -> str:
        container = self._containers.find(name)
        if not container or tail <= 0:
            return ""
        with self._engine.api(PATIENT) as api:
            return logs.text(api, container.id, tail=tail)

    def merged_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> list[str]:
        """The last `tail` lines of all containers, or of those of these users (ids): "[mtg-proxy-2443] …"."""
        return [str(line) for line in loglines.merge(self._tails(users, tail), tail)]

    def followed_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> Iterator[str]:
        """merged_logs(), and then each line as it is written, until the generator is closed."""
        users = None if users is None else set(users)
        tails = self._tails(users, max(1, tail))
        yield from map(str, loglines.merge(tails, tail))
        since = {name: lines[-1].stamp for name, lines in tails.items() if lines}
        yield from map(str, logs.follow(self._engine, lambda: self._names(users, running=True), since))

    def samples(self) -> list[Sample]:
        """As in base.Runtime. A container whose engine has served metrics since its start is never read by
        the network's counters; one that never has, for `estimate_after` seconds, is."""
        # Whoever asks for samples has most often just listed, which takes Docker long with many containers.
        listed, summaries = self._listed
        if time.monotonic() - listed > self.list_good_for:
            summaries = self._containers.summaries()
        there = {s["Id"]: s for s in summaries if s["State"] == "running"}
        targets = {identity: target for identity, s in there.items() if (target := self._metrics(s))}
        self._metrics_known.keep(there.keys())
        texts = self._kept.scrape_all(
            {i: target for i, target in targets.items() if self._metrics_known.to_be_asked(i)},
            self.scrape_timeout)
        silent = [c for c in self._look([s for i, s in there.items() if i not in texts])
                  if c and c.state == RUNNING
                  and self._metrics_known.silent(c, self.estimate_after, self.silence_pause)]
        traffic = counters.read_all(self._engine, silent)
        # An address may have gone to another container in the meantime: a text counts only for
        # one that has it before and after.
        after = [s for s in self._containers.summaries() if s["State"] == "running" and (
            s["Id"] in traffic or (s["Id"] in texts and self._metrics(s) == targets[s["Id"]]))
                 ] if texts or traffic else []
        runs = {c.id: c.run_id for c in silent}
        samples = []
        for c in self._look(after):
            if not c or c.state != RUNNING:
                continue
            if c.id in texts:
                self._metrics_known.heard(c)
                samples.append(Sample(c.name, c.run_id, texts[c.id]))
            elif c.run_id == runs[c.id]:
                samples.append(Sample(c.name, c.run_id, network=traffic[c.id]))
        return samples

    def wait(self, timeout: float) -> bool:
        self._watcher.begin()
        return self._watcher.wait(timeout)

    def notices(self) -> list[Notice]:
        return self._watcher.notices()

    def notes(self) -> list[Problem]:
        return [Problem("docker.no_ifb")] if self._limits.by_egress() else []

    def close(self) -> None:
        """Leave the engine alone from now on; containers keep running."""
        self._watcher.close()
        self._pool.shutdown(wait=False)
        self._kept.close()

    # -- changing --------------------------------------------------------------------------------

    def create(self, workload: Workload, last_look: Callable[[str], None] = lambda name: None) -> None:
        self._containers.the_network()
        with self._engine.api(PATIENT) as api:
            made = self._containers.replace(api, workload, last_look)
            self._containers.sweep(api, workload.name)
        self._runs[workload.name] = CrashState(made)

    def replace(self, workload: Workload, last_look: Callable[[str], None]) -> None:
        """As in base.Runtime: what publishes no port of the machine is reached by its name. Two can't publish one port:
        they follow each other, and as nobody is served between them, nothing else is replaced meanwhile."""
        name, old = workload.name, self._containers.find(workload.name)
        if not old or old.state != RUNNING:
            self.create(workload, last_look)
            self.start(name)
            return
        same = old.labels.get(LINKS, "").split() == [*workload.settled_links]
        beside = same and not workload.place.publish
        self._containers.the_network()
        with nullcontext() if beside else self._replacing, self._engine.api(PATIENT) as api:
            made = self._containers.make_beside(api, workload)
            try:
                if beside:
                    succession.begin_beside(api, self._containers, name, made, old.id, self.start)
                    time.sleep(self.name_good_for)
                    last_look(name + BEING_LEFT)
                else:
                    last_look(name)
                    self._runs[name] = CrashState(made)
                    succession.follow(api, self._containers, name, made, old, self.start)
            finally:
                for each in (made, old.id):
                    self._known.pop(each, None)
            self._containers.destroy(api, old.id)
            self._containers.sweep(api, name)

    def start(self, name: str) -> None:
        container = self._containers.find(name)
        if container is None:
            raise RuntimeFailure("docker.no_container", name=name)
        if container.status == "running":
            return
        self._watcher.expect_life(container.id)
        self._listed = (float("-inf"), [])
        run = self._run(container)
        run.before, run.settled, run.refused = state.crashes(container, run, time.time()), 0, None
        try:
            with self._engine.api(PATIENT) as api:
                if container.status == "paused":
                    api.unpause(container.id)
                    return
                if container.status == "restarting":
                    self._containers.end(api, container)  # and with it, Docker's own pause
                if not container.wanted:
                    api.update_container(container.id, restart_policy={"Name": KEEP_RUNNING})
                try:
                    api.start(container.id)
                except APIError as error:
                    run.refused = self._refusal(str(error.explanation), container)
                    raise RuntimeFailure("runtime.not_started", name=name, reason=run.refused) from error
        finally:
            self._known.pop(container.id, None)
        metrics.await_ready(self._containers, name, container.id, metrics.Patience(
            self.start_timeout, self.metrics_timeout, self.unreachable_after))

    def update(self, name: str, live_files: Mapping[str, str]) -> None:
        container = self._containers.find(name)
        if container is None or set(container.labels.get(LIVE, "").split()) != set(live_files):
            raise RuntimeFailure("runtime.no_live_files", name=name, files=sorted(live_files))
        with self._engine.api(PATIENT) as api:
            self._containers.put(api, container.id, name, live_files)

    def held(self, name: str) -> Mapping[str, str]:
        container = self._containers.find(name)
        return self._containers.live_files(container) if container else {}

    def address(self, name: str) -> str:
        inspected = self._containers.inspect(name)
        if not (target := self._metrics(inspected) if inspected else None):
            raise RuntimeFailure("runtime.no_address", name=name)
        return ports.join(ports.split(target[0])[0], portmap.CLIENTS)

    def sample(self, name: str) -> Sample | None:
        inspected = self._containers.inspect(name) if self._containers.find(name) else None
        target = self._metrics(inspected) if inspected else None
        if not inspected or not target:
            return None
        with suppress(ScrapeFailure):
            return Sample(name, container_info(inspected).run_id, scrape(*target, self.scrape_timeout))
        return None

    def stop(self, name: str) -> None:
        container = self._containers.find(name)
        if container is None:
            return
        with self._engine.api(PATIENT) as api:
            if container.wanted:
                # First: no observe() beside us takes the end for a crash, and no reboot starts it again.
                api.update_container(container.id, restart_policy={"Name": STAY_STOPPED})
            self._containers.end(api, container)
        self._runs[name] = CrashState(container.id)
        self._known.pop(container.id, None)

    def remove(self, name: str) -> None:
        container = self._containers.find(name)
        with self._engine.api(PATIENT) as api:
            if container:
                self._containers.destroy(api, container.id)
            self._containers.sweep(api, name)
        self._runs.pop(name, None)
        self._limits.forget(name)

    def throttle(self, name: str, bits_per_second: int | None) -> None:
        self._limits.throttle(name, bits_per_second)

    def throttled(self, name: str) -> int | None:
        return self._limits.throttled(name)

    def limit_devices(self, name: str, most: int) -> None:
        self._limits.limit_devices(name, most)

    def devices(self, name: str) -> Devices | None:
        return self._limits.devices(name)

    def keep_devices(self, wanted: Mapping[str, int]) -> Mapping[str, Devices | None]:
        return self._limits.keep_devices(wanted)

    # -- containers of an older installation --------------------------------------------------------

    def foreign(self) -> list[LegacyContainer]:
        """Proxy containers that no installation of ours made: mtg-proxy-<port>, and the single mtg-proxy.

        Every new user is a reason to ask; that there are none is believed for a while.
        """
        if time.monotonic() < self._none_foreign_until:
            return []
        with self._engine.api() as api:
            found = [c["Id"] for c in api.containers(all=True)
                     if adoption.is_foreign(name_of(c), c["Labels"] or {})]
        if not found:
            self._none_foreign_until = time.monotonic() + self.foreign_pause
        return adoption.foreign(filter(None, self._each(self._containers.inspect, found)))

    def adopt(self, workload: Workload, old: LegacyContainer) -> None:
        """Replace a foreign container by ours, running: its end and our start are a moment apart.

        If ours does not start, the old one runs again under its name, and the RuntimeFailure says why.
        """
        self._containers.the_network()
        with self._engine.api(PATIENT) as api:
            made = self._containers.make_beside(api, workload)

            def begin() -> None:
                self._runs[workload.name] = CrashState(made)
                self.start(workload.name)

            adoption.take_over(api, self._containers, made, workload.name, old, begin)

    # -- the parts of the verbs -------------------------------------------------------------------

    def _each(self, verb: Callable[[T], R], things: Iterable[T]) -> list[R]:
        return list(self._pool.map(verb, things))

    def _look(self, summaries: list[dict[str, Any]]) -> list[ContainerInfo | None]:
        """Each container in full, None for one that is gone. Asked for is only what has changed since the
        last time, as far as events tell."""
        trusted = self._watcher.connected

        def known(summary: Mapping[str, Any]) -> ContainerInfo | None:
            status, count, container = self._known.get(summary["Id"], ("", -1, None))
            fresh = trusted and (status, count) == (summary["State"], self._watcher.count(summary["Id"]))
            return container if fresh else None

        def ask(summary: Mapping[str, Any]) -> ContainerInfo | None:
            identity, count = summary["Id"], self._watcher.count(summary["Id"])
            inspected = self._containers.inspect(identity)
            if inspected is None:
                self._known.pop(identity, None)
                return None
            container = container_info(inspected)
            self._known[identity] = (container.status, count, container)
            return container

        seen = {s["Id"]: known(s) for s in summaries}
        unknown = [s for s in summaries if seen[s["Id"]] is None]
        seen.update(zip((s["Id"] for s in unknown), self._each(ask, unknown)))
        return [seen[s["Id"]] for s in summaries]

    def _is_outdated(self, image: str, made_from: str) -> bool:
        at, ids = self._images
        if time.monotonic() - at > self.images_good_for:
            at, ids = self._images = (time.monotonic(), {})
        if image not in ids:
            ids[image] = self._containers.image_id(image)
        # A name that no image has any more says nothing against what runs.
        return ids[image] not in ("", made_from)

    def _observed(self, container: ContainerInfo, is_cut_off: bool, made_from: str) -> Observed:
        name, spec, reason = self._own_name(container), container.labels.get(SPEC, ""), None
        run = self._run(container)
        crashes = state.crashes(container, run, time.time())
        if container.state != RUNNING:
            silent = container.state != EXITED or container.stopped or container.status == "paused"
            last = "" if silent else self._containers.last_line(container)
            reason = run.refused or state.reason(container, last)
        if is_cut_off or container.status in ("dead", "removing"):
            # No start helps. As of another spec than the wanted one, it will be replaced.
            spec, reason = "", reason or Problem("docker.cut_off", {"network": self.network})
        elif container.state != RUNNING and not container.stopped and container.status != "paused" and (
                lost := self._containers.lost_files(container, name)):
            spec, reason = "", Problem("docker.files_lost", {"files": lost})
        return Observed(name, container.labels.get(USER, ""), spec, container.state, container.run_id,
                        container.started_at, container.exited_at, crashes, reason,
                        self._is_outdated(container.image, made_from),
                        tuple(container.labels.get(LINKS, "").split()),
                        live_hash(self._containers.live_files(container)), container.labels.get(ENGINE, ""))

    def _run(self, container: ContainerInfo) -> CrashState:
        name = container.labels.get(NAME, container.name)
        run = self._runs.get(name)
        if run is None or run.id != container.id:
            run = self._runs[name] = CrashState(container.id)
        return run

    def _own_name(self, container: ContainerInfo) -> str:
        """The name the container should have; given back if somebody changed it."""
        name = container.labels.get(NAME, container.name)
        if container.name == name:
            return name
        try:
            with self._engine.api() as api:
                self._containers.rename(api, container.id, name)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure:
            return container.name  # another one has it by now
        self._known.pop(container.id, None)
        return name

    def _names(self, users: set[str] | None, running: bool) -> dict[str, str]:
        """Names of the containers of these users (None: of all), by id."""
        return {s["Id"]: s["Labels"][NAME] for s in self._containers.summaries()
                if (users is None or s["Labels"][USER] in users) and (not running or s["State"] == "running")}

    def _tails(self, users: Iterable[str] | None, tail: int) -> dict[str, list[loglines.Line]]:
        names = self._names(None if users is None else set(users), running=False)
        tails = self._each(lambda item: logs.read(self._engine, *item, tail), names.items())
        return dict(zip(names.values(), tails))

    def _metrics(self, container: Mapping[str, Any]) -> tuple[str, str] | None:
        return metrics.address(container, self.network)

    def _refusal(self, trouble: str, container: ContainerInfo) -> Problem:
        """Why Docker could not start it; a busy port with whoever has it."""
        port = state.busy_port(trouble)
        holder = self.port_taken(port, "") if port is not None else None
        return holder or state.refusal(trouble, container.image)
