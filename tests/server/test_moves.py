"""A backup of one server, restored on another one, which has the same address then: users notice nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server import installation
from tests.server.conftest import switched_on
from tests.server.container import Container, Saved
from tests.support.dc import DataCenter
from tests.support.stream import trouble

pytestmark = pytest.mark.timeout(1500)


def links(machine: Container) -> dict[str, str]:
    return {user["name"]: user["tg_link"] for user in installation.panel(machine, "user", "list")}


def test_on_another_server_a_backup_brings_back_everybodys_links(
        request: pytest.FixtureRequest, machine: Container, equipped: Saved, center: DataCenter, tmp_path: Path
) -> None:
    installation.panel(machine, "user", "add", "Анна")
    wanted = links(machine)
    machine.run("mtproto backup /root/backup.tar.gz")
    backup = machine.get("/root/backup.tar.gz")
    machine.power_off_hard()
    with switched_on(request, equipped, center, tmp_path / "other") as other:
        installation.install(other, settings={"MTPROTO_FIRST_USER": "somebody else"})
        other.put("/root/backup.tar.gz", backup)
        assert "2 users in the backup, 1 here" in other.run("mtproto restore /root/backup.tar.gz")
        assert set(links(other)) == {"somebody else"}, "it was only shown"
        other.run("mtproto restore /root/backup.tar.gz --yes")
        assert links(other) == wanted and set(wanted) == {"first", "Анна"}
        for name, link in wanted.items():
            other.wait_for(f"mtproto probe {name}")
            assert trouble(link) == ""
        other.reboot()
        for name, link in wanted.items():
            other.wait_for(f"mtproto probe {name}")
            assert trouble(link) == ""
