"""The limits that are put on containers from outside, and what was read back of them: speed, and addresses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from docker import APIClient

from app.runtimes.base import RUNNING, Devices, RuntimeFailure
from app.runtimes.docker import doorkeeper, helper, shaper
from app.runtimes.docker.client import PATIENT, Connection
from app.runtimes.docker.containers import Containers
from app.runtimes.docker.state import ContainerInfo

T = TypeVar("T")
Way = Callable[[APIClient, ContainerInfo], T | None]


class ReadBack(Generic[T]):
    """One kind of limit, by container. Each reading takes a helper container, about 0.1 s, so what was just set or read
    is believed for `good_for` seconds."""

    good_for = 2.0

    def __init__(self, engine: Connection, containers: Containers, read: Way[T]) -> None:
        self._engine = engine
        self._containers = containers
        self._read = read
        self._found: dict[str, tuple[str, T | None, float]] = {}

    def read(self, name: str) -> T | None:
        """What is in force; None without a limit, or where it does not run. Raises RuntimeFailure."""
        container = self._containers.find(name)
        if container is None or container.state != RUNNING:
            return None
        run_id, limit, at = self._found.get(name, ("", None, 0.0))
        if run_id != container.run_id or time.monotonic() - at > self.good_for:
            limit = self._ask(name, container, self._read)
        return limit

    def set(self, name: str, change: Way[T], not_running: str) -> T | None:
        """Set it or lift it; what is in force then. not_running: the failure's code for one that does not run."""
        container = self._containers.find(name)
        if container is None or container.state != RUNNING:
            raise RuntimeFailure(not_running, name=name)
        self.forget(name)
        return self._ask(name, container, change)

    def forget(self, name: str) -> None:
        self._found.pop(name, None)

    def note(self, container: ContainerInfo, limit: T | None) -> None:
        """What somebody else has just read there."""
        self._found[container.name] = (container.run_id, limit, time.monotonic())

    def all(self) -> list[T]:
        """Those that were in force when they were last set or read."""
        return [limit for _, limit, _ in list(self._found.values()) if limit]

    def _ask(self, name: str, container: ContainerInfo, how: Way[T]) -> T | None:
        with self._engine.api(PATIENT) as api:
            limit = how(api, container)
        self._found[name] = (container.run_id, limit, time.monotonic())
        return limit


class Limits:
    """The verbs of base.Runtime that limit what is there."""

    def __init__(self, engine: Connection, containers: Containers) -> None:
        self._engine = engine
        self._containers = containers
        self._speeds = ReadBack(engine, containers, shaper.read)
        self._addresses = ReadBack(engine, containers, doorkeeper.read)

    def throttle(self, name: str, bits_per_second: int | None) -> None:
        wanted = bits_per_second or None
        limit = self._speeds.set(name, lambda api, container: shaper.shape(api, container, wanted),
                                 "runtime.speed_not_running")
        if (in_force := limit.bits_per_second if limit else None) != wanted:
            raise RuntimeFailure("docker.speed_other", name=name, wanted=wanted or 0, in_force=in_force or 0)

    def throttled(self, name: str) -> int | None:
        limit = self._speeds.read(name)
        return limit.bits_per_second if limit else None

    def limit_devices(self, name: str, most: int) -> None:
        kept = self._addresses.set(name, lambda api, container: doorkeeper.limit(api, container, most),
                                   "runtime.addresses_not_running")
        if (in_force := kept.limit if kept else 0) != most:
            raise RuntimeFailure("docker.addresses_other", name=name, wanted=most, in_force=in_force)

    def devices(self, name: str) -> Devices | None:
        return self._addresses.read(name)

    def keep_devices(self, wanted: Mapping[str, int]) -> dict[str, Devices | None]:
        there = [(container, most) for name, most in wanted.items()
                 if (container := self._containers.find(name)) and container.state == RUNNING]
        for container, _ in there:
            self._addresses.forget(container.name)
        try:
            with self._engine.api(PATIENT) as api:
                read = doorkeeper.keep(api, there)
        except helper.NoShell:
            return {}
        kept: dict[str, Devices | None] = {}
        for container, most in there:
            limit = read.get(container.id)
            if container.id in read and (limit.limit if limit else 0) == most:
                self._addresses.note(container, limit)
                kept[container.name] = limit
        return kept

    def forget(self, name: str) -> None:
        """What is known of one that is gone."""
        self._speeds.forget(name)
        self._addresses.forget(name)

    def by_egress(self) -> bool:
        """Whether a speed is limited by what goes out only, as the kernel has no ifb device."""
        return any(limit.going_out for limit in self._speeds.all())
