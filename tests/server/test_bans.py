"""fail2ban on a server, for real: wrong keys lock an address out, the panel lets it in again, and all of it goes."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from app.mtproto.faketls_client import client_hello
from app.mtproto.links import parse_link
from tests.server import installation
from tests.server.cache import command
from tests.server.container import Container
from tests.server.installation import HOME
from tests.support.stream import trouble

pytestmark = pytest.mark.timeout(1500)

#: An address of the internet's, as private ones are never banned, and the network that the server is in.
MALLORY = "203.0.113.7"
#: Debian 12 writes no log of sshd, and its fail2ban does not start for that: what every operator has to write there.
OPERATORS = "[sshd]\nbackend = systemd\n"
TRACES = ("find / -xdev -name '*mtproto-bans*' -not -path '/root/*' -not -path '/proc/*' -o -xdev -path '/etc/*' "
          "-name 'mtproto*' -not -path '/etc/systemd/*'; nft list tables | grep mtproto; fail2ban-client status; "
          "systemctl list-units --all --no-legend --plain 'mtproto*'; true")


@pytest.fixture
def mallory(machine: Container) -> Iterator[str]:
    """This machine has that address, too, on its end of the server's cable."""
    yield MALLORY
    command("ip", "address", "flush", "to", MALLORY)


def arrives(machine: Container) -> None:
    """The cable is a new one with each start of the server."""
    command("ip", "address", "replace", f"{MALLORY}/32", "dev", f"ve-{machine._name}")


def reaches(machine: Container, port: int, source: str = "") -> bool:
    try:
        socket.create_connection((machine.address, port), 3, (source, 0) if source else None).close()
    except OSError:
        return False
    return True


def tries_a_wrong_key(machine: Container, link: str) -> None:
    """A whole handshake for the name in the link, with another key."""
    told = parse_link(link)
    hello = client_hello(dataclasses.replace(told.secret, key=bytes(16)), time.time())
    with socket.create_connection((machine.address, told.port), 5, (MALLORY, 0)) as connection:
        connection.sendall(hello)
        connection.settimeout(1)
        with pytest.raises(OSError):
            while connection.recv(4096):
                pass
            raise OSError


def listed(machine: Container) -> list[str]:
    return [ban["address"] for ban in json.loads(machine.run("mtproto bans list --json"))["bans"]]


def test_wrong_keys_are_banned_unbanned_by_the_panel_kept_by_a_reboot_and_an_update_and_gone_in_the_end(
        machine: Container, mallory: str) -> None:
    arrives(machine)
    machine.put("/etc/fail2ban/jail.d/sshd.local", OPERATORS.encode())
    machine.run("systemctl enable --now fail2ban")
    machine.wait_for("fail2ban-client ping")
    assert "mtproto" in machine.run(TRACES), "it finds what there is"
    # The stand-in for mtg here tells of nobody; the built-in engine does.
    machine.run("mtproto settings set engine=builtin bans=true")
    said = installation.run_installer(machine, "--fail2ban")
    assert "fail2ban bans addresses that keep trying wrong keys" in said
    machine.wait_for("mtproto fail2ban status | grep ^running")
    installation.wait_until_it_serves(machine)
    link = installation.link(machine)
    port = parse_link(link).port

    for _ in range(6):
        tries_a_wrong_key(machine, link)
    machine.wait_for(f"mtproto bans list --json | grep {MALLORY}", 90)
    assert not reaches(machine, port, MALLORY) and reaches(machine, port)
    assert trouble(link) == "", "nobody else is locked out"
    assert not re.search(r"problem.*bans|bans.*problem", machine.run("mtproto doctor --json || true"))

    # As the panel's button: by a file, and the unit that watches for it, many times within seconds.
    installation.panel(machine, "bans", "remove", MALLORY)
    others = [f"203.0.113.{number}" for number in range(100, 108)]
    for other in others:
        installation.panel(machine, "bans", "add", other)
    machine.wait_for(f"! grep -q '^{MALLORY} ' {HOME}/data/bans/active && "
                     f"test $(grep -c ^203 {HOME}/data/bans/active) = {len(others)}", 30)
    assert reaches(machine, port, MALLORY) and sorted(listed(machine)) == others
    assert machine.run("systemctl is-active mtproto-bans.path") == "active"

    installation.panel(machine, "bans", "add", MALLORY)
    machine.wait_for(f"grep -q {MALLORY} {HOME}/data/bans/active", 30)
    machine.run("nft flush ruleset; systemctl restart docker; systemctl restart fail2ban")
    machine.wait_for("mtproto fail2ban status | grep ^running")
    machine.reboot()
    arrives(machine)
    machine.wait_for(f"mtproto fail2ban status | grep ^running && mtproto bans list --json | grep {MALLORY}")
    installation.wait_until_it_serves(machine)
    assert not reaches(machine, port, MALLORY) and reaches(machine, port)

    installation.put_checkout(machine, "1.1.0", {"host/fail2ban/filter.conf": machine.get(
        f"{HOME}/current/host/fail2ban/filter.conf") + b"# as of 1.1.0\n"}, "/root/next")
    installation.run_logged(machine, f"bash {HOME}/current/update.sh --from /root/next", "update.log")
    assert "as of 1.1.0" in machine.read("/etc/fail2ban/filter.d/mtproto.conf")
    assert MALLORY in listed(machine) and not reaches(machine, port, MALLORY)

    machine.run(f"bash {HOME}/current/install.sh --uninstall --yes")
    left = machine.run(TRACES)
    assert "mtproto" not in left and left.endswith("sshd"), left
    assert machine.read("/etc/fail2ban/jail.d/sshd.local") == OPERATORS.strip()
