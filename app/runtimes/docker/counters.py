"""What a container's network interfaces received and sent: for one whose engine serves no metrics.

The kernel counts from the container's start. Where the container's process can be seen, its list is
read: 0.03 ms each. From elsewhere, as out of a container or over the network, Docker is asked, for
all containers at once: an engine of version 20.10 answers each only at its next second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from docker.utils import version_gte

from app.runtimes.base import RuntimeFailure
from app.runtimes.docker.client import Connection
from app.runtimes.docker.state import ContainerInfo

#: What Docker calls the interfaces that it gives a container; lo and a throttle's own carry nothing new.
_INTERFACE = "eth"

_AT_ONCE = 32
_PROC = Path("/proc")


def read_all(connection: Connection, containers: Iterable[ContainerInfo]) -> dict[str, tuple[int, int]]:
    """Bytes (received, sent) of these running containers, by id; one that can't be read is left out."""
    found: dict[str, tuple[int, int]] = {}
    others: list[ContainerInfo] = []
    for container in containers:
        if counters := _of_process(container):
            found[container.id] = counters
        else:
            others.append(container)
    if others:
        with ThreadPoolExecutor(min(_AT_ONCE, len(others)), thread_name_prefix="stats") as pool:
            told = pool.map(lambda each: _of_docker(connection, each), others)
            found.update((each.id, counters) for each, counters in zip(others, told) if counters)
    return found


def _of_process(container: ContainerInfo) -> tuple[int, int] | None:
    """From /proc/<pid>/net/dev (proc(5)); None if that process is not the container's."""
    folder = _PROC / str(container.pid)
    try:
        # Another machine's pids, or those outside of our own container, mean other processes here.
        if not container.pid or container.id not in (folder / "cgroup").read_text():
            return None
        lines = (folder / "net" / "dev").read_text().splitlines()[2:]
    except OSError:
        return None
    return _sum({name.strip(): (int(values[0]), int(values[8])) for name, values in
                 ((name, rest.split()) for name, _, rest in (line.partition(":") for line in lines))})


def _of_docker(connection: Connection, container: ContainerInfo) -> tuple[int, int] | None:
    """From GET /containers/<id>/stats, once."""
    try:
        with connection.api() as api:
            once = {"one_shot": True} if version_gte(api.api_version, "1.41") else {}
            stats: Mapping[str, Any] = api.stats(container.id, stream=False, **once)
    except RuntimeFailure:
        return None  # it has ended, or the engine is slow: nothing is lost, as the counters only grow
    return _sum({name: (each["rx_bytes"], each["tx_bytes"])
                 for name, each in (stats.get("networks") or {}).items()})


def _sum(interfaces: Mapping[str, tuple[int, int]]) -> tuple[int, int] | None:
    ours = [counters for name, counters in interfaces.items() if name.startswith(_INTERFACE)]
    return (sum(received for received, _ in ours), sum(sent for _, sent in ours)) if ours else None
