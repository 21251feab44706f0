"""The power goes off in the middle of an installation, or of an update: the same command again completes it.

Each step of both is killed in turn in tests/install, by SIGKILL; here the whole machine is, once each,
with all that was not on its disk yet.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.server import installation
from tests.server.container import Container
from tests.server.installation import HOME
from tests.server.test_update import NEXT, NEXT_TREE, UPDATE, changed, current
from tests.support.stream import trouble

pytestmark = pytest.mark.timeout(1500)


@contextlib.contextmanager
def under_way(machine: Container, command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = machine.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kill_when(machine: Container, command: str, log: str, line: str, later: float = 5) -> None:
    """Pull the plug while the command is at work, some seconds after its log has this line."""
    with under_way(machine, command) as process:
        machine.wait_for(f"grep -qF {line!r} {log}", 1800)
        time.sleep(later)
        assert process.poll() is None, "it had ended already"
        machine.power_off_hard()


def test_the_power_goes_off_during_the_installation(empty_machine: Container) -> None:
    machine = empty_machine
    installation.put_checkout(machine, installation.VERSION)
    command = installation.installer_command()
    kill_when(machine, command, f"{HOME}/install.log", "building mtproto-panel", 10)
    machine.boot()
    said = machine.run(command, timeout=installation.INSTALL_SECONDS)
    assert "leads to Telegram" in said
    assert trouble(installation.link(machine)) == ""


def test_the_power_goes_off_during_an_update(machine: Container) -> None:
    link = installation.panel(machine, "user", "show", installation.FIRST_USER)["tg_link"]
    installation.put_checkout(machine, NEXT, changed("wsgi.py", "\nNEW = True\n"), NEXT_TREE)
    machine.run("sync")
    kill_when(machine, UPDATE, f"{HOME}/update.log", "Switching from", 3)
    machine.boot()
    machine.run(UPDATE, timeout=installation.INSTALL_SECONDS)
    assert current(machine) == NEXT
    assert installation.panel(machine, "user", "show", installation.FIRST_USER)["tg_link"] == link
    machine.wait_for(f"{installation.PANEL} probe {installation.FIRST_USER}", 600)
    assert trouble(machine.outside(link)) == ""
