"""A server to install on: a virtual machine, and the saved states that the cases start from.

One machine at a time runs, with the test DC of this side behind the door at DOOR:1080. How long things took is printed
at the end; when a test fails, so is the end of what its machine printed on the serial line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.installation import Installed, installed_state
from tests.server.machine import Saved, VirtualMachine
from tests.server.states import equipped as equipped_state
from tests.support.dc import DataCenter

#: What took how long, in seconds, for the end of the run.
TIMES: list[tuple[str, float]] = []


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    TIMES.append((what, time.monotonic() - started))


@pytest.fixture(scope="session")
def center() -> Iterator[DataCenter]:
    """The test DC that every proxy in every machine connects to."""
    center = DataCenter().start()
    yield center
    center.stop()


@pytest.fixture(scope="session")
def equipped() -> Saved:
    """A server with Docker, and with the images that an installer would pull; nothing of ours is on it."""
    with timed("a server with Docker: made, or found"):
        return equipped_state()


@pytest.fixture(scope="session")
def installed(equipped: Saved, center: DataCenter) -> Installed:
    """A server on which install.sh has run from this checkout, saved right after; with all that it printed."""
    with timed("a server that install.sh has run on: made, or found"):
        return installed_state(equipped, center.socks5)


@pytest.fixture
def machine(request: pytest.FixtureRequest, installed: Installed, center: DataCenter, tmp_path: Path
            ) -> Iterator[VirtualMachine]:
    """That server, going on from there; this test's own."""
    yield from going_on(request, installed.saved, center, tmp_path)


@pytest.fixture
def empty_machine(request: pytest.FixtureRequest, equipped: Saved, center: DataCenter, tmp_path: Path
                  ) -> Iterator[VirtualMachine]:
    """A server with Docker and nothing of ours; this test's own."""
    yield from going_on(request, equipped, center, tmp_path)


def going_on(request: pytest.FixtureRequest, saved: Saved, center: DataCenter, folder: Path
             ) -> Iterator[VirtualMachine]:
    durable = request.node.get_closest_marker("durable") is not None
    with VirtualMachine.from_saved(folder / "machine", saved, durable) as machine:
        request.node.machine = machine
        machine.resume()
        attach(machine, center)
        with timed(request.node.name):
            yield machine


def attach(machine: VirtualMachine, center: DataCenter) -> None:
    machine.open_door(1080, center.socks5)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    machine = getattr(item, "machine", None)
    if report.failed and machine is not None:
        report.sections.append(("the machine's serial line", machine.serial[-4000:]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("how long it took in the virtual machine")
    for what, seconds in TIMES:
        terminalreporter.write_line(f"{seconds:7.1f} s  {what}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "durable: the machine's disk keeps what was synced when the power goes off")
