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


def kill_when(machine: Container, command: str, moment: str, later: float = 5) -> None:
    """Pull the plug while the command is at work, some seconds after this other one has succeeded there."""
    with under_way(machine, command) as process:
        machine.wait_for(moment, 1800, 0.2)
        time.sleep(later)
        assert process.poll() is None, "it had ended already"
        machine.power_off_hard()


def logged(line: str, log: str = f"{HOME}/install.log") -> str:
    """Succeeds as soon as a log has this line."""
    return f"grep -qF {line!r} {log}"


def test_the_power_goes_off_during_the_installation(empty_machine: Container) -> None:
    machine = empty_machine
    installation.put_checkout(machine, installation.VERSION)
    command = installation.installer_command()
    kill_when(machine, command, logged("building mtproto-panel"))
    machine.boot()
    said = installation.run_installer(machine)
    assert "leads to Telegram" in said
    assert trouble(installation.link(machine)) == ""


def test_the_power_goes_off_while_docker_starts_what_has_ports(machine: Container) -> None:
    """Docker then keeps ports for a container that it does not know any more."""
    link = installation.link(machine)
    machine.run(f"cd {HOME} && . current/host/lib/stack.sh && stack down")
    kill_when(machine, installation.installer_command(), "ss -Hltn 'sport = :8080' | grep -q .", 0.1)
    machine.boot()
    said = installation.run_installer(machine)
    assert "leads to Telegram" in said
    assert installation.link(machine) == link and trouble(link) == ""


def test_the_power_goes_off_during_an_update(machine: Container) -> None:
    link = installation.panel(machine, "user", "show", installation.FIRST_USER)["tg_link"]
    installation.put_checkout(machine, NEXT, changed("wsgi.py", "\nNEW = True\n"), NEXT_TREE)
    machine.run("sync")
    kill_when(machine, UPDATE, logged("Switching from", f"{HOME}/update.log"), 3)
    machine.boot()
    installation.run_logged(machine, UPDATE, "update.log")
    assert current(machine) == NEXT
    assert installation.panel(machine, "user", "show", installation.FIRST_USER)["tg_link"] == link
    machine.wait_for(f"{installation.PANEL} probe {installation.FIRST_USER}", 600)
    assert trouble(machine.outside(link)) == ""
