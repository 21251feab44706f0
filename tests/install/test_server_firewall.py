"""The firewall of a server: what is needed is opened, marked and noted, and exactly that is closed again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.install.programs import State
from tests.install.server_lab import ServerLab

pytestmark = pytest.mark.timeout(300)

OURS = "-p tcp --dport {} -m comment --comment mtproto -j ACCEPT"
SSH = "-p tcp --dport 22 -j ACCEPT"
#: By its programs: the state of a server whose firewall is in force and lets ssh in.
FIREWALLS: dict[str, tuple[tuple[str, ...], State]] = {
    "ufw": (("ufw", "iptables"), {"ufw": ["allow 22/tcp"], "input_policy": "-P INPUT DROP"}),
    "firewalld": (("firewall-cmd", "nft"), {"firewalld": {"permanent": ["public 22/tcp"], "now": ["public 22/tcp"]}}),
    "iptables": (("iptables", "ip6tables"), {"iptables": [f"INPUT {SSH}"], "ip6tables": [f"INPUT {SSH}"],
                                             "input_policy": "-P INPUT DROP"}),
    "nftables": (("nft",), {"nft": ["tcp dport 22 accept"]}),
}


def opened(state: State, kind: str) -> list[str]:
    """The rules of the firewall, in its own words."""
    return {"ufw": state["ufw"], "firewalld": state["firewalld"]["permanent"] + state["firewalld"]["now"],
            "iptables": state["iptables"] + state["ip6tables"], "nftables": state["nft"]}[kind]


def expected(kind: str, port: int) -> list[str]:
    return {"ufw": [f"allow {port}/tcp comment 'mtproto'"], "firewalld": [f"public {port}/tcp"] * 2,
            "iptables": [f"INPUT {OURS.format(port)}"] * 2,
            "nftables": [f'tcp dport {port} accept comment "mtproto"']}[kind]


def protected(tmp_path: Path, kind: str, **more: object) -> ServerLab:
    programs, state = FIREWALLS[kind]
    server = ServerLab(tmp_path, **{"firewall": kind, **state, **more})
    server.has(*programs)
    return server


def sync(server: ServerLab) -> None:
    """What the unit mtproto-firewall does."""
    done = subprocess.run(["bash", server.home / "current/host/firewall.sh", str(server.home)],
                          env=server.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", FIREWALLS)
def test_the_users_port_is_opened_follows_the_users_and_is_closed_by_a_removal(tmp_path: Path, kind: str) -> None:
    server = protected(tmp_path, kind)
    before = opened(server.state, kind)

    answer = server.install("--tunnel")
    assert answer.code == 0 and f"the firewall ({kind}) lets port 2443 through" in answer.stdout, answer.told
    assert sorted(opened(server.state, kind)) == sorted(before + expected(kind, 2443))
    unit = (tmp_path / "etc/systemd/system/mtproto-firewall.service").read_text()
    assert f'"{server.home}/current/host/firewall.sh" "{server.home}"' in unit

    # Bob comes, and Anna's port changes.
    config = server.declared()
    config["users"] = [{"name": "Anna", "port": 3000}, {"name": "Bob", "port": 3001}]
    (server.home / "data/config.json").write_text(json.dumps(config, indent=2))
    for _ in range(2):
        sync(server)
        assert sorted(opened(server.state, kind)) == sorted(before + expected(kind, 3000) + expected(kind, 3001))

    assert server.install("--uninstall", "--yes").code == 0
    assert opened(server.state, kind) == before
    assert list((tmp_path / "etc/systemd/system").iterdir()) == []


def test_a_port_that_the_operator_opened_stays_open(tmp_path: Path) -> None:
    server = protected(tmp_path, "ufw", ufw=["allow 2443/tcp"])
    assert server.install("--tunnel").code == 0 and server.state["ufw"] == ["allow 2443/tcp"]
    assert server.install("--uninstall", "--yes").code == 0 and server.state["ufw"] == ["allow 2443/tcp"]


def test_on_port_443_that_one_and_the_port_for_proofs_are_all(tmp_path: Path) -> None:
    server = protected(tmp_path, "ufw")
    assert server.install("--port-443", "yes", "--tunnel").code == 0
    assert sorted(server.state["ufw"]) == sorted(["allow 22/tcp", *expected("ufw", 80), *expected("ufw", 443)])


def test_where_no_firewall_is_in_force_nothing_is_done_and_the_ports_are_named(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, iptables=[f"INPUT {SSH}"])
    server.has("ufw", "firewall-cmd", "iptables", "ip6tables", "nft")
    answer = server.install("--tunnel")
    assert answer.code == 0 and "needed from outside: 2443 (TCP)" in answer.stdout, answer.told
    assert server.state["iptables"] == [f"INPUT {SSH}"] and not (tmp_path / "etc/systemd").exists()


def test_a_firewall_that_refuses_is_told_and_no_obstacle(tmp_path: Path) -> None:
    server = protected(tmp_path, "ufw", says={"^ufw allow": (1, "ERROR: problem running ufw-init")})
    answer = server.install("--tunnel")
    assert answer.code == 0 and "could not be told to let port 2443 through" in answer.stdout, answer.told
    assert (server.home / "firewall.rules").read_text().strip() == ""
    server.change(says={})
    assert server.install("--tunnel").code == 0 and expected("ufw", 2443)[0] in server.state["ufw"]
