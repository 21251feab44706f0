"""A server whose ufw is on: users' ports follow the users, limits hold for Docker's ports, and ufw is as before."""

from __future__ import annotations

import socket

import pytest

from tests.server import installation
from tests.server.container import Container
from tests.support.stream import trouble

pytestmark = pytest.mark.timeout(1500)

#: What ufw has, in its files and in force; and everything else, without the counters.
RULES = ("cd /etc/ufw && find . -type f | sort | xargs md5sum; ufw status verbose; "
         "{ iptables-save && ip6tables-save; } | sed -n '/ufw-user-input/s/ *\\[[0-9:]*\\]//p'; nft list tables")


def answers(machine: Container, port: int) -> bool:
    """Whether a new connection from outside is answered."""
    try:
        socket.create_connection((machine.address, port), 2).close()
    except OSError:
        return False
    return True


def test_with_ufw_on_a_users_port_is_open_while_they_are_there_and_limits_hold_and_all_of_it_goes(
        machine: Container) -> None:
    machine.run("mtproto firewall remove; ufw allow 22/tcp; ufw --force enable")
    before = machine.run(RULES)
    machine.run("mtproto firewall apply")
    assert "2443/tcp (mtproto)" in machine.run("ufw status verbose")

    bob = installation.panel(machine, "user", "add", "Bob")
    port = int(bob["port"])
    # By itself, as soon as the panel has written it.
    machine.wait_for(f"ufw status verbose | grep -E '2443:{port}/tcp .mtproto. '")
    machine.wait_for(f"{installation.PANEL} probe Bob")
    assert trouble(installation.link(machine, "Bob")) == ""

    machine.run("mtproto settings set new_per_minute=5")
    machine.wait_for("mtproto firewall | grep '^limits    5 a minute'")
    assert [answers(machine, port) for _ in range(6)] == [True] * 5 + [False]
    assert f"on port {port}" in machine.run("mtproto firewall")
    # Docker makes its own rules anew, and nobody the limit's.
    machine.run("systemctl restart docker; ufw reload; nft delete table inet mtproto; systemctl restart docker")
    machine.wait_for("nft list table inet mtproto")
    machine.run("mtproto settings set new_per_minute=0")
    machine.wait_for("! nft list table inet mtproto 2>/dev/null")

    machine.run("mtproto user remove Bob --yes")
    machine.wait_for("ufw status verbose | grep -E '(^|,)2443/tcp .mtproto. '")
    assert not answers(machine, port)
    assert machine.run("mtproto doctor --json || true").count('"about": "firewall", "state": "ok"')

    machine.run(f"bash {installation.HOME}/current/install.sh --uninstall --yes")
    assert machine.run(RULES) == before
