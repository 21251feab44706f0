"""install.sh over an older installation: names, secrets, ports, passwords and traffic are the same afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from app.config.file import ConfigFile
from app.engines.builtin import Builtin
from app.messages import sentence
from tests.install.programs import make_program
from tests.install.server_lab import ServerLab
from tests.install.test_server_killed import kill_at
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime

SECRET = "ee" + "ab" * 16 + b"www.example.com".hex()
#: As an older panel wrote it: slightly wrong values, no ids, one port twice.
CONFIG = {
    "admin_username": "boss", "admin_password_hash": "pbkdf2:sha256:1$x$y", "secret_key": "k" * 32,
    "server_domain": "https://proxy.example.com/", "server_ip": "", "proxy_port": 3443, "fake_tls_domain": "",
    "traffic_limit_gb": "10 GB", "users": [
        {"name": "Алиса", "secret": SECRET, "port": 3443},
        {"name": "Bob", "secret": "dd" + "cd" * 16, "port": "3444", "enabled": False},
        {"name": "Carol", "secret": "ee" + "12" * 16 + b"a.example".hex(), "port": 3444}]}


def older(folder: Path, config: object = CONFIG) -> Path:
    """An older installation's folder, with its data below."""
    data = folder / "data"
    (data / "certificates").mkdir(parents=True)
    (data / "config.json").write_text(json.dumps(config, ensure_ascii=False))
    (data / "traffic.json").write_text(json.dumps({"per_user": {"3443": {"rx_bytes": 2000, "tx_bytes": 4000}}}))
    (data / "certificates/panel.pem").write_text("KEY")
    (data / "certificates/link.pem").symlink_to("/etc/shadow")
    (data / "backups").mkdir()
    return folder


@pytest.fixture
def server(tmp_path: Path) -> ServerLab:
    server = ServerLab(tmp_path)
    server.has_docker()
    return server


def running_panel(server: ServerLab, folder: Path) -> None:
    """The older panel and one proxy of it, in containers."""
    server.change(
        older={"a1": {"name": "old-panel", "mounts": [str(folder / "data")], "ports": ["8080"], "project": str(folder),
                      "runs": True},
               "b2": {"name": "mtg-proxy-3443", "mounts": [], "ports": ["3443"], "project": "", "runs": True},
               "c3": {"name": "else", "mounts": ["/srv", "/"], "ports": ["9000"], "project": "", "runs": True}},
        listening={"8080": "docker-proxy", "3443": "docker-proxy"})


def test_everything_comes_with_it_and_the_older_panel_makes_room(server: ServerLab) -> None:
    folder = older(server.folder / "old place")
    running_panel(server, folder)

    answer = server.install("--take-over", str(folder))

    assert answer.code == 0, answer.told
    assert f"taking over {folder}/data: 3 users" in answer.stdout
    data = server.home / "data"
    assert json.loads((data / "config.json").read_text()) == CONFIG, "not a letter of it was changed by the installer"
    assert (data / "traffic.json").exists() and (data / "certificates/panel.pem").read_text() == "KEY"
    assert not (data / "certificates/link.pem").is_symlink()
    assert json.loads((folder / "data/config.json").read_text()) == CONFIG
    settings = server.settings()
    assert settings["MTPROTO_DOMAIN"] == "proxy.example.com" and settings["MTPROTO_BASE_PORT"] == "3443"
    assert settings["MTPROTO_HTTPS"] == "no" and settings["PANEL_PORT"] == "8080"
    assert {name: each["runs"] for name, each in server.state["older"].items()} == {"a1": False, "b2": True, "c3": True}
    assert "docker update --restart=no a1" in server.calls("docker")
    assert not [call for call in server.calls() if "settings set" in call or "user add" in call]

    again = server.install("--take-over", str(folder))
    assert again.code == 0 and "was taken over before" in again.stdout
    assert server.install().code == 0 and json.loads((data / "config.json").read_text()) == CONFIG


def test_what_was_taken_over_is_what_the_panel_understands(server: ServerLab, tmp_path: Path) -> None:
    """The same files, read by the real panel."""
    assert server.install("--take-over", str(older(server.folder / "old"))).code == 0
    data = tmp_path / "copy"
    shutil.copytree(server.home / "data", data)
    fleet = Fleet(data, MemoryRuntime(Machine()), Builtin())
    alice, bob, carol = fleet.users()
    assert [user.name for user in (alice, bob, carol)] == ["Алиса", "Bob", "Carol"]
    assert (alice.secret, alice.port, bob.port, bob.enabled) == (SECRET, 3443, 3444, False)
    assert carol.secret == CONFIG["users"][2]["secret"] and carol.port not in (3443, 3444)
    config = fleet.config()
    assert (config.server_domain, config.fake_tls_domain) == ("proxy.example.com", "www.cloudflare.com")
    assert (config.admin_username, config.admin_password_hash, config.secret_key) == (
        "boss", CONFIG["admin_password_hash"], CONFIG["secret_key"])
    assert config.traffic_limit_gb == 10
    assert (alice.bytes_down, alice.bytes_up) == (2000, 1000)
    assert any("3444" in sentence(note) for note in ConfigFile(data).check()), "what had to be changed is told"


@pytest.mark.parametrize("moment", ["docker update", "docker stop", "docker compose .* up", "docker compose .* probe"])
def test_ended_in_the_middle_the_next_run_finishes_it(server: ServerLab, moment: str) -> None:
    folder = older(server.folder / "old")
    running_panel(server, folder)
    kill_at(server, moment, True)
    assert server.install("--take-over", str(folder)).code == -9
    make_program(server.folder, "docker")
    answer = server.install("--take-over", str(folder))
    assert answer.code == 0, answer.told
    assert json.loads((server.home / "data/config.json").read_text()) == CONFIG
    assert (server.home / "data/certificates/panel.pem").exists()


def test_without_a_terminal_what_is_found_is_named_and_left_alone(server: ServerLab) -> None:
    folder = older(server.folder / "old")
    running_panel(server, folder)
    server.change(listening={})
    answer = server.install()
    assert answer.code == 0 and f"--take-over '{folder}/data' takes its users over" in answer.stdout
    assert [user["name"] for user in server.declared()["users"]] == ["first"]
    assert server.state["older"]["a1"]["runs"] is True


def test_an_installation_that_has_users_is_not_overwritten(server: ServerLab) -> None:
    assert server.install().code == 0
    before = server.declared()
    answer = server.install("--take-over", str(older(server.folder / "old")))
    assert answer.code == 1 and "would be lost" in answer.stderr and "mtproto restore" in answer.stderr
    assert server.declared() == before


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"name": "something else"}'])
def test_a_folder_that_holds_none_is_refused_before_anything_is_done(server: ServerLab, content: str | None) -> None:
    folder = server.folder / "old"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content)
    answer = server.install("--take-over", str(folder))
    assert answer.code == 2 and "no config.json with users in it" in answer.stderr and not server.home.exists()


def test_one_of_this_program_without_docker_is_told_its_own_way(server: ServerLab) -> None:
    answer = server.install("--take-over", str(older(server.folder / "old", {**CONFIG, "runtime": "process"})))
    assert answer.code == 1 and "backup" in answer.stderr and not server.home.exists()


def test_where_it_knew_no_address_the_one_of_this_server_goes_into_the_links(server: ServerLab) -> None:
    config = {**CONFIG, "server_domain": ""}
    assert server.install("--take-over", str(older(server.folder / "old", config))).code == 0
    assert server.declared()["server_ip"] == "203.0.113.7"
    assert server.declared()["users"] == CONFIG["users"]


@pytest.mark.parametrize(("domain", "answer"), [
    ("http://proxy.example.com:8080/x", "proxy.example.com"), ("203.0.113.9", ""), ("not a name", "")])
def test_odd_addresses_are_the_panels_to_understand(server: ServerLab, domain: str, answer: str) -> None:
    done = server.install("--take-over", str(older(server.folder / "old", {**CONFIG, "server_domain": domain})))
    assert done.code == 0, done.told
    assert server.settings()["MTPROTO_DOMAIN"] == answer
    assert server.declared()["server_domain"] == domain
