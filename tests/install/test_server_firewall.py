"""The firewall of a server: what is needed is opened, marked and noted, and exactly that is closed again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.install.programs import State
from tests.install.server_lab import ServerLab

pytestmark = pytest.mark.timeout(300)

#: By its programs: the state of a server whose firewall is in force and lets ssh in.
FIREWALLS: dict[str, tuple[tuple[str, ...], State]] = {
    "ufw": (("ufw",), {"ufw": ["allow 22/tcp"]}),
    "firewalld": (("firewall-cmd",), {"firewalld": {"permanent": ["public 22/tcp"], "now": ["public 22/tcp"]}}),
}


def opened(state: State, kind: str) -> list[str]:
    """What the firewall lets through, in its own words."""
    return {"ufw": [*state["ufw_profiles"].values(), *(each for each in state["ufw"] if "mtproto" not in each)],
            "firewalld": state["firewalld"]["permanent"] + state["firewalld"]["now"]}[kind]


def expected(kind: str, first: int, last: int) -> list[str]:
    ports = f"{first}:{last}" if kind == "ufw" else f"{first}-{last}"
    if first == last:
        ports = str(first)
    return {"ufw": [ports], "firewalld": [f"public {ports}/tcp"] * 2}[kind]


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
    assert answer.code == 0 and f"the firewall ({kind}) lets through: 2443 (TCP)" in answer.stdout, answer.told
    assert sorted(opened(server.state, kind)) == sorted(before + expected(kind, 2443, 2443))
    unit = (tmp_path / "etc/systemd/system/mtproto-firewall.service").read_text()
    assert f'"{server.home}/current/host/firewall.sh" "{server.home}"' in unit

    # Bob comes, and Anna's port changes.
    config = server.declared()
    config["users"] = [{"name": "Anna", "port": 3000}, {"name": "Bob", "port": 3001}]
    (server.home / "data/config.json").write_text(json.dumps(config, indent=2))
    for _ in range(2):
        sync(server)
        assert sorted(opened(server.state, kind)) == sorted(before + expected(kind, 3000, 3001))

    assert server.install("--uninstall", "--yes").code == 0
    assert opened(server.state, kind) == before
    assert list((tmp_path / "etc/systemd/system").iterdir()) == []
    assert not list((tmp_path / "etc").glob("ufw/applications.d/*"))


def test_the_operators_own_rule_for_the_same_port_stays(tmp_path: Path) -> None:
    server = protected(tmp_path, "ufw", ufw=["allow 2443/tcp"])
    assert server.install("--tunnel").code == 0 and server.state["ufw"][0] == "allow 2443/tcp"
    assert server.install("--uninstall", "--yes").code == 0 and server.state["ufw"] == ["allow 2443/tcp"]


def test_rules_of_an_earlier_release_one_for_each_port_are_taken_over(tmp_path: Path) -> None:
    server = protected(tmp_path, "ufw")
    assert server.install("--tunnel").code == 0
    server.change(ufw_profiles={}, ufw=[
        "allow 22/tcp", "allow 2443/tcp comment 'mtproto'", "allow 2444/tcp comment 'mtproto'"])
    (server.home / "firewall.rules").write_text("ufw 2443\nufw 2444\n")
    sync(server)
    assert opened(server.state, "ufw") == ["2443", "allow 22/tcp"]


def test_on_port_443_that_one_and_the_port_for_proofs_are_all(tmp_path: Path) -> None:
    server = protected(tmp_path, "ufw")
    assert server.install("--port-443", "yes", "--tunnel").code == 0
    assert opened(server.state, "ufw") == ["80,443", "allow 22/tcp"]


def test_where_no_firewall_is_in_force_none_is_touched_and_the_ports_are_named(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.has("ufw", "firewall-cmd")
    answer = server.install("--tunnel")
    assert answer.code == 0 and "needed from outside: 2443 (TCP)" in answer.stdout, answer.told
    assert server.state["ufw"] == [] and not (tmp_path / "etc/ufw").exists()
    # One that is switched on later is seen to.
    server.change(firewall="ufw")
    sync(server)
    assert opened(server.state, "ufw") == ["2443"]


def test_a_firewall_that_refuses_is_told_and_no_obstacle(tmp_path: Path) -> None:
    server = protected(tmp_path, "ufw", says={"^ufw allow": (1, "ERROR: problem running ufw-init")})
    answer = server.install("--tunnel")
    assert answer.code == 0 and "could not be told to let 2443 through: ERROR: problem" in answer.stdout, answer.told
    server.change(says={})
    assert server.install("--tunnel").code == 0 and opened(server.state, "ufw") == ["2443", "allow 22/tcp"]
    assert server.install("--uninstall", "--yes").code == 0 and opened(server.state, "ufw") == ["allow 22/tcp"]
