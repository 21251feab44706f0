"""To another server: by a backup, where it has the same address then, or by mtproto move over SSH while both are on."""

from __future__ import annotations

import ssl
import urllib.request
from pathlib import Path

import pytest

from tests.server import installation
from tests.server.conftest import switched_on
from tests.server.container import Container, Saved
from tests.server.image import ensure_bases
from tests.server.installation import HOME, SETTINGS
from tests.server.test_killed import kill_when, logged, under_way
from tests.support.dc import DataCenter
from tests.support.stream import BackgroundStream, trouble

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
        kill_when(other, "mtproto restore /root/backup.tar.gz --yes", f"ls {HOME}/data/backups/before-restore-*", 0)
        other.boot()
        other.wait_for("curl -fsS -o /dev/null http://127.0.0.1:8080/healthz")
        assert set(links(other)) in ({"somebody else"}, set(wanted)), "all of it, or nothing"
        other.run("mtproto restore /root/backup.tar.gz --yes")
        assert links(other) == wanted and set(wanted) == {"first", "Анна"}
        for name, link in wanted.items():
            other.wait_for(f"mtproto probe {name}")
            assert trouble(link) == ""
        other.reboot()
        for name, link in wanted.items():
            other.wait_for(f"mtproto probe {name}")
            assert trouble(link) == ""


NAME = "proxy.example.com"
OTHER = "10.91.3"


def name_leads_to(machine: Container, address: str) -> None:
    machine.run(f"sed -i '/{NAME}/d' /etc/hosts && echo '{address} {NAME}' >>/etc/hosts")


def door_of(machine: Container) -> str:
    """What the panel says to a browser at the bare address, by HTTPS; its certificate is its own."""
    url = installation.panel(machine, "status")["edge"]["by_address"]["url"]
    assert url.startswith(f"https://{machine.address}:"), url
    unverified = ssl._create_unverified_context()
    with urllib.request.urlopen(url, timeout=60, context=unverified) as answer:
        return answer.read().decode()


def test_mtproto_move_takes_everything_to_a_server_that_lost_its_power_meanwhile(
        request: pytest.FixtureRequest, machine: Container, equipped: Saved, center: DataCenter, tmp_path: Path
) -> None:
    installation.panel(machine, "user", "add", "Анна")
    installation.run_installer(machine, settings={"MTPROTO_HTTPS": "yes"})
    machine.run(f"mtproto settings set server_domain={NAME}")
    name_leads_to(machine, machine.address)
    machine.put("/root/key", ensure_bases()[1].key, 0o600)
    wanted = links(machine)
    assert set(wanted) == {"first", "Анна"} and "password" in door_of(machine)

    def at(server: Container, link: str) -> str:
        return link.replace(NAME, server.address)

    with switched_on(request, equipped, center, tmp_path / "other", OTHER) as other:
        machine.open_door(22, f"{other.address}:22")
        # What its provider's start script would say; the rest comes with the move.
        here = {**SETTINGS, "MTPROTO_ADDRESS": other.address, "MTPROTO_UPSTREAM_SOCKS5": f"{other.door}:1080"}
        told = " ".join(f"{name}={here[name]}" for name in (
            "MTPROTO_UPSTREAM_SOCKS5", "MTPROTO_TIME_URLS", "MTPROTO_ADDRESS_URLS", "MTPROTO_ADDRESS", "MTPROTO_WAIT"))
        other.put("/etc/ssh/sshd_config.d/tests.conf", f"SetEnv {told}\n".encode())
        other.run("systemctl restart ssh")
        name_leads_to(other, machine.address)
        command = f"mtproto move -i /root/key -o StrictHostKeyChecking=accept-new --yes root@{machine.door}"
        with BackgroundStream(at(machine, wanted["first"])) as stream:
            with under_way(machine, f"{command} >/root/broken 2>&1") as broken:
                other.wait_for(logged("building mtproto-panel"), 900)
                other.power_off_hard()
                assert broken.wait(300) == 1, machine.read("/root/broken")
            assert "the same command goes on" in machine.read("/root/broken")
            other.boot()
            said = installation.run_logged(machine, command, "move.log")
            assert stream.finish().broken == "", "who is connected to the old server notices nothing"
        assert links(other) == wanted, said
        for server in (machine, other):
            assert [trouble(at(server, link)) for link in wanted.values()] == ["", ""], "both work"
            assert "password" in door_of(server)
        assert f"{NAME}  A  {other.address}" in said
        for server in (machine, other):
            name_leads_to(server, other.address)
        machine.run(f"{command} --stop-here")
        assert all(trouble(at(machine, link)) for link in wanted.values())
        assert [trouble(at(other, link)) for link in wanted.values()] == ["", ""]
