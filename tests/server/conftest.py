"""A server to install on: a container with systemd, and the saved states that the cases start from.

One server at a time runs, or two in a network each, with the test DC of this side behind the door 1080. How long things
took is printed at the end; when a test fails, so is the end of what its server printed on the console.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server import report
from tests.server.cache import cache
from tests.server.carried import AHEAD, ensure_folder
from tests.server.container import Container, Saved
from tests.server.image import NETWORK, ensure_bases
from tests.server.installation import Installed, installed_state, wait_until_it_serves
from tests.server.report import timed
from tests.support.dc import DataCenter


@pytest.fixture(scope="session")
def center() -> Iterator[DataCenter]:
    """The test DC that every proxy in every machine connects to."""
    center = DataCenter().start()
    yield center
    center.stop()


@pytest.fixture(scope="session")
def alone() -> Iterator[None]:
    """Of all who run these tests on this machine, one has the servers' addresses."""
    with (cache() / "addresses.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def equipped(alone: None) -> Saved:
    """A server with Docker, and with the images that an installer would pull; nothing of ours is on it."""
    with timed("a server with Docker: made, or found"):
        return Saved((ensure_bases()[1].root,), ensure_folder() / AHEAD)


@pytest.fixture(scope="session")
def installed(equipped: Saved, center: DataCenter) -> Installed:
    """A server on which install.sh has run from this checkout, saved right after; with all that it printed."""
    with timed("a server that install.sh has run on: made, or found"):
        return installed_state(equipped, center.socks5)


@pytest.fixture
def machine(request: pytest.FixtureRequest, installed: Installed, center: DataCenter, tmp_path: Path
            ) -> Iterator[Container]:
    """That server, switched on again; this test's own."""
    with switched_on(request, installed.saved, center, tmp_path) as machine:
        wait_until_it_serves(machine)
        yield machine


@pytest.fixture
def empty_machine(request: pytest.FixtureRequest, equipped: Saved, center: DataCenter, tmp_path: Path
                  ) -> Iterator[Container]:
    """A server with Docker and nothing of ours; this test's own."""
    with switched_on(request, equipped, center, tmp_path) as machine:
        yield machine


@contextmanager
def switched_on(request: pytest.FixtureRequest, saved: Saved, center: DataCenter, folder: Path,
                network: str = NETWORK) -> Iterator[Container]:
    with Container(folder / "machine", saved, network) as machine, timed(request.node.name):
        request.node.machine = machine
        machine.open_door(1080, center.socks5)
        machine.boot()
        yield machine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    machine = getattr(item, "machine", None)
    if outcome.failed and machine is not None:
        outcome.sections.append(("the server's console", machine.serial[-4000:]))
    return outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("how long it took on the server")
    for line in report.lines():
        terminalreporter.write_line(line)
