"""The runtimes of the contract tests, each with hands to disturb what runs there."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from docker import APIClient

from app.engines.builtin import SPEED_FILE
from app.runtimes.base import RUNNING, Place, Runtime, Workload
from app.runtimes.docker.runtime import DockerRuntime
from app.runtimes.process.runtime import ProcessRuntime
from tests.support import docker_lab
from tests.support.cover import free_port
from tests.support.memory_runtime import MemoryRuntime

STAND_IN = Path(__file__).with_name("stand_in.py")


class Lab:
    """A runtime, and what a test may do to the machine under it."""

    runtime: Runtime

    def again(self) -> Runtime:
        """A new instance over the same machine, as after a restart of the panel."""
        raise NotImplementedError

    def crash(self, name: str) -> None:
        raise NotImplementedError

    def occupy(self, port: int) -> None:
        raise NotImplementedError

    def workload(self, port: int = 0, user: str = "alice", live: Mapping[str, str] = MappingProxyType({}),
                 **options: object) -> Workload:
        """A workload of the stand-in program on a free loopback port; options go into its config."""
        port = port or free_port()
        place = self.runtime.place(port, "127.0.0.1")
        return replace(stand_in(port, place, user, **options), live_files=dict(live))

    def state(self, name: str) -> str | None:
        return next((o.state for o in self.runtime.observe() if o.name == name), None)


class MemoryLab(Lab):
    def __init__(self) -> None:
        self.runtime = MemoryRuntime()

    def again(self) -> Runtime:
        return MemoryRuntime(self.runtime.machine)

    def crash(self, name: str) -> None:
        self.runtime.machine.crash(name)

    def occupy(self, port: int) -> None:
        self.runtime.machine.occupy(port)


class ProcessLab(Lab):
    def __init__(self, data: Path) -> None:
        self.data = data
        self.runtime = docker_lab.patient(ProcessRuntime(data, SPEED_FILE))
        self.sockets: list[socket.socket] = []

    def again(self) -> ProcessRuntime:
        return docker_lab.patient(ProcessRuntime(self.data, SPEED_FILE))

    def pid(self, name: str) -> int:
        return next(int(o.run_id.split("-")[0]) for o in self.runtime.observe() if o.name == name)

    def crash(self, name: str) -> None:
        pid = self.pid(name)
        handle = os.pidfd_open(pid)
        os.kill(pid, signal.SIGSEGV)
        os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOWAIT)
        os.close(handle)

    def occupy(self, port: int) -> None:
        self.sockets.append(socket.create_server(("127.0.0.1", port)))

    def connect(self, workload: Workload) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", workload.port), timeout=30)
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        self.sockets.append(client)
        return client

    def close(self) -> None:
        for each in self.sockets:
            each.close()
        runtime = self.again()
        for observed in runtime.observe():
            runtime.remove(observed.name)
        assert runtime.observe() == []


class DockerLab(Lab):
    def __init__(self, runtime: DockerRuntime, image: str) -> None:
        self.runtime = runtime
        self.image = image
        self.hands = APIClient(version="auto")  # those of a person with `docker` on the command line
        self.sockets: list[socket.socket] = []
        self.others: list[DockerRuntime] = []

    def again(self) -> DockerRuntime:
        self.others.append(docker_lab.patient(DockerRuntime(self.runtime.instance, self.runtime.network)))
        return self.others[-1]

    def crash(self, name: str) -> None:
        self.hands.kill(name)

    def occupy(self, port: int) -> None:
        self.sockets.append(socket.create_server(("127.0.0.1", port)))

    def workload(self, port: int = 0, user: str = "alice", live: Mapping[str, str] = MappingProxyType({}),
                 **options: object) -> Workload:
        made = super().workload(port, user, live, **options)
        return replace(made, image=self.image, command=("run", "{config}"), memory_mb=64)

    def close(self) -> None:
        for each in (*self.sockets, *self.others, self.hands):
            each.close()


def stand_in(port: int, place: Place, user: str = "alice", **options: object) -> Workload:
    lines = [f'listen = "{place.listen}"', f'metrics = "{place.metrics}"']
    for key, value in options.items():
        lines.append(f"{key} = " + (f'"{value}"' if isinstance(value, str) else str(value).lower()))
    return Workload(name=f"mtg-proxy-{port}", user_id=user, engine="stand-in", image="",
                    command=(sys.executable, str(STAND_IN), "run", "{config}"),
                    files={"config.toml": "\n".join(lines) + "\n"}, port=port, place=place)


@pytest.fixture
def process_lab(tmp_path: Path) -> Iterator[ProcessLab]:
    lab = ProcessLab(tmp_path / "data")
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def stand_in_image() -> str:
    docker_lab.engine_or_skip()
    return docker_lab.stand_in_image()


@pytest.fixture
def dockers_lab(stand_in_image: str) -> Iterator[DockerLab]:
    with docker_lab.installation("contract") as runtime:
        lab = DockerLab(runtime, stand_in_image)
        yield lab
        lab.close()


@pytest.fixture(params=["memory", "process", pytest.param("docker", marks=pytest.mark.slow)])
def lab(request: pytest.FixtureRequest) -> Lab:
    if request.param == "memory":
        return MemoryLab()
    return request.getfixturevalue("process_lab" if request.param == "process" else "dockers_lab")


@pytest.fixture
def running(lab: Lab) -> Callable[..., Workload]:
    """Call it for a workload that runs."""

    def run(**options: object) -> Workload:
        workload = lab.workload(**options)
        lab.runtime.create(workload)
        lab.runtime.start(workload.name)
        assert lab.state(workload.name) == RUNNING
        return workload

    return run
