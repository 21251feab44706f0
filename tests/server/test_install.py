"""A server is installed with one command; somebody outside uses its link; it comes back; it goes without a trace."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.server import installation
from tests.server.container import Container
from tests.server.installation import HOME, Installed
from tests.support import clients
from tests.support.stream import BackgroundStream, trouble

#: Everything takes ten times as long in there; a machine that hangs ends sooner, by waits of its own.
pytestmark = pytest.mark.timeout(1500)


def test_the_unattended_installer_says_all_that_is_needed(installed: Installed) -> None:
    said = installed.printed
    assert re.search(r"^Password: +\S+", said, re.MULTILINE), said
    assert re.search(rf"tg://proxy\?server={re.escape(installation.ADDRESS)}&port=2443&secret=ee", said), said
    assert "leads to Telegram" in said


def test_a_client_outside_gets_through_with_the_link(machine: Container) -> None:
    link = installation.link(machine)
    machine.run(f"mtproto probe {installation.FIRST_USER}")
    assert trouble(link) == "", "our own client"
    assert clients.tdjson(link, timeout=300) > 0, "Telegram's own"
    assert asyncio.run(clients.kurigram(link, timeout=120)) > 0, "somebody else's"


def test_after_a_reboot_everything_is_back(machine: Container) -> None:
    link = installation.link(machine)
    before = sorted(installation.containers(machine))
    machine.reboot()
    machine.wait_for("curl -fsS -o /dev/null http://127.0.0.1:8080/healthz", 600)
    machine.wait_for(f"test $(docker ps -q | wc -l) = {len(before)}", 600)
    assert sorted(installation.containers(machine)) == before
    machine.wait_for(f"{installation.PANEL} probe {installation.FIRST_USER}", 300)
    assert installation.link(machine) == link
    assert trouble(link) == ""


def test_another_run_of_the_installer_keeps_everything(machine: Container) -> None:
    link, before = installation.link(machine), installation.containers(machine)
    kept = f"cat {HOME}/.env; sha256sum {HOME}/data/config.json; ls {HOME}/releases"
    was = machine.run(kept)
    with BackgroundStream(link) as other:
        said = installation.run_installer(machine)
        assert other.finish().broken == ""
    assert machine.run(kept) == was
    assert installation.containers(machine) == before, "nothing was restarted"
    assert installation.link(machine) == link
    assert "Password:  in " in said and not re.search(r"Password: +(?!in )\S", said), "shown once"


def test_uninstall_leaves_the_server_as_it_was(installed: Installed, machine: Container) -> None:
    machine.run(f"cp {HOME}/install.log /run/install.log")
    said = machine.run(f"bash {HOME}/current/install.sh --uninstall --yes")
    assert installed.before.differences(installation.snapshot(machine)) == {}, said
