"""mtproto doctor: what only the server can see, and what the panel sees, as one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import Answer
from tests.install.move_lab import installed
from tests.install.server_lab import ServerLab

UP = "Up 3 days (healthy)"


@pytest.fixture
def server(tmp_path: Path) -> ServerLab:
    """An installation with two users, behind ufw, as it should be."""
    server = ServerLab(tmp_path, firewall="ufw", ufw=["allow 22/tcp"])
    server.has_docker()
    server.has("ufw")
    installed(server)
    server.change(published=["2443", "2444"], listening={"2443": "docker-proxy"}, services={"app": UP, "nginx": UP},
                  images={"panel": {}, "nginx": {}},
                  panel_finds=[{"about": "links", "state": "ok", "text": "all", "command": ""}])
    with (server.home / ".env").open("a") as env:
        env.write("PANEL_IMAGE=panel\nNGINX_IMAGE=nginx\n")
    firewall(server, "apply")
    return server


def firewall(server: ServerLab, *words: str) -> Answer:
    done = subprocess.run(["bash", server.home / "current/host/mtproto", "--home", server.home, "firewall", *words],
                          env=server.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def doctor(server: ServerLab, *words: str, **variables: str) -> Answer:
    done = subprocess.run(["bash", server.home / "current/host/mtproto", "--home", server.home, "doctor", *words],
                          env={**server.environment(), **variables}, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def findings(server: ServerLab) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for one in json.loads(doctor(server, "--json").stdout):
        found.setdefault(one["about"], []).append((one["state"], one["text"], one["command"]))
    return found


def test_of_what_is_right_everything_is_ok_and_the_panels_part_is_there_too(server: ServerLab) -> None:
    answer = doctor(server, "--json")
    found = json.loads(answer.stdout)
    assert answer.code == 0 and {one["state"] for one in found} == {"ok"}, answer.told
    assert found[-1]["about"] == "links" and {"docker", "containers", "ports", "firewall", "disk"} <= {
        one["about"] for one in found}
    assert "+ firewall: ufw lets through what people need: 2443-2444 (TCP)" in doctor(server).stdout
    told = json.loads((server.home / "data/host.json").read_text())
    assert [one["about"] for one in told["findings"]] == [one["about"] for one in found[:-1]]


def test_a_firewall_that_is_not_as_wanted_is_found_with_the_command_that_mends_it(server: ServerLab) -> None:
    profile, = server.state["ufw_profiles"]
    server.change(ufw_profiles={profile: "2443,9999"})
    missing, extra = findings(server)["firewall"][:2]
    assert missing[:2] == ("problem", "ufw does not let through what people need: 2444 (TCP)")
    assert extra[:2] == ("note", "ufw still lets through what nobody needs any more: 9999 (TCP)")
    assert missing[2] == "sudo mtproto firewall apply" and firewall(server, "status", "--json").code == 1
    assert firewall(server, "apply").code == 0
    assert findings(server)["firewall"][0][0] == "ok"


def test_a_limit_that_nothing_here_can_keep_is_a_problem_with_the_package_that_helps(server: ServerLab) -> None:
    server.lacks("nft")
    (server.home / "data/firewall.wanted").write_text("port 2443 limit 10\nport 2444\n")
    _, limit = findings(server)["firewall"]
    assert limit[:2] == ("problem", "new connections are not limited, as the program nft is missing")
    assert "install -y nftables" in limit[2]


def test_a_port_that_somebody_else_holds_or_nobody_is_told(server: ServerLab) -> None:
    server.change(published=[], listening={"2443": "apache2"})
    other, nobody = findings(server)["ports"]
    assert other[0] == "problem" and "apache2 (pid 71)" in other[1] and nobody[0] == "note"


@pytest.mark.parametrize(("services", "said"), [
    ({"app": UP}, "the container nginx is not there"),
    ({"app": UP, "nginx": "Exited (1) 5 minutes ago"}, "does not run: Exited"),
    ({"app": UP, "nginx": "Restarting (1) 3 seconds ago"}, "Restarting"),
    ({"app": "Up 3 hours (unhealthy)", "nginx": UP}, "unhealthy")])
def test_a_container_that_does_not_serve_is_found(server: ServerLab, services: dict[str, str], said: str) -> None:
    server.change(services=services)
    answer = doctor(server)
    assert answer.code == 1 and said in answer.stdout and "1 thing is wrong" in answer.stderr


def test_a_panel_that_does_not_run_leaves_the_rest_to_be_seen(server: ServerLab) -> None:
    server.change(containers=[], services={"nginx": UP})
    found = findings(server)
    assert found["panel"][0][0] == "problem" and found["firewall"][0][0] == "ok"


def test_a_docker_that_is_down_is_one_finding(server: ServerLab) -> None:
    server.change(docker_runs=False)
    found = findings(server)
    assert found["docker"][0][0] == "problem" and "systemctl start docker" in found["docker"][0][2]
    assert "ports" not in found


def test_what_the_panel_finds_counts_too(server: ServerLab) -> None:
    server.change(panel_finds=[{"about": "links", "state": "problem", "text": "Алиса \"q\" \\ \u2028", "command": "x"}])
    assert findings(server)["links"] == [("problem", "Алиса \"q\" \\ \u2028", "x")]
    answer = doctor(server)
    assert answer.code == 1 and "1 thing is wrong" in answer.stderr


def test_images_that_are_gone_are_missed_before_the_next_start(server: ServerLab) -> None:
    server.change(images={"nginx": {}})
    assert findings(server)["images"][0][0] == "problem"


def test_who_is_not_root_is_told_what_is_not_seen(server: ServerLab) -> None:
    server.change(uid=1000)
    found = json.loads(doctor(server, "--json", MTPROTO_ROOT="").stdout)
    assert [one["about"] for one in found] == ["host", "links"] and found[0]["state"] == "note"


@pytest.fixture
def banning(server: ServerLab) -> ServerLab:
    """The same with bans on, and fail2ban told of them."""
    server.has_fail2ban()
    config = json.loads((server.home / "data/config.json").read_text()) | {"bans": True}
    (server.home / "data/config.json").write_text(json.dumps(config, indent=2))
    wanted = "mtproto-bans 1\nenabled yes\nports 2443-2444\n"
    for name, text in {"bans/wanted": wanted, "logs/offenders.log": "#\n"}.items():
        (server.home / "data" / name).parent.mkdir(exist_ok=True)
        (server.home / "data" / name).write_text(text)
    told = subprocess.run(["bash", server.home / "current/host/mtproto", "--home", server.home, "fail2ban", "install"],
                          env=server.environment(), capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return server


def test_bans_that_work_are_ok(banning: ServerLab) -> None:
    (state, text, _), = findings(banning)["bans"]
    assert (state, text[:38]) == ("ok", "fail2ban reads what the panel writes d")


@pytest.mark.parametrize(("change", "said", "command"), [
    ("rm -f root/usr/local/sbin/mtproto-bans", "was told nothing of the proxies", "sudo mtproto fail2ban install"),
    ("rm -f bin/fail2ban-client", "fail2ban is not installed here", "apt-get install -y fail2ban"),
    ("sed -i s/offenders.log/other.log/ etc/fail2ban/jail.d/mtproto.conf; bin/fail2ban-client reload",
     "does not read", "sudo mtproto-bans apply"),
    ("rm opt/mtproto/data/logs/offenders.log", "the panel writes nobody down", "sudo mtproto compose up -d"),
    ("sed -i 's|^DATA=.*|DATA=/nowhere/data|' root/usr/local/sbin/mtproto-bans",
     "/nowhere/data/logs, which is not there", "sudo mtproto fail2ban install"),
    ("bin/fail2ban-client stop mtproto", "not its jail mtproto", "sudo mtproto-bans apply"),
    ("bin/nft delete table inet mtproto_bans", "rules that lock out who is banned are gone", "sudo mtproto-bans apply"),
    ("rm etc/systemd/system/mtproto-bans.path", "mtproto-bans.path does not run", "sudo mtproto fail2ban install"),
    ("rm etc/systemd/system/mtproto-refused.timer", "mtproto-refused.timer does not run",
     "sudo mtproto fail2ban install")])
def test_bans_that_do_not_work_are_found_with_what_helps(banning: ServerLab, change: str, said: str, command: str
                                                         ) -> None:
    env = banning.environment()
    subprocess.run(["sh", "-ec", change], cwd=banning.folder, check=True, env={**env, "PATH": "/usr/bin:/bin"})
    (state, text, help_), = findings(banning)["bans"]
    assert state == "problem" and said in text and command in help_
    (banning.home / "data/config.json").write_text((banning.home / "data/config.json").read_text().replace(
        '"bans": true', '"bans": false'))
    if "DATA" not in change and "systemd" not in change:
        assert "bans" not in findings(banning)


def test_a_fail2ban_that_is_stopped_or_does_not_start_is_told_with_its_own_reason(banning: ServerLab) -> None:
    fail2ban = banning.state["fail2ban"]
    banning.change(fail2ban={**fail2ban, "runs": False})
    assert findings(banning)["bans"] == [("problem", "bans are on, and nobody is banned: fail2ban does not run",
                                          "sudo systemctl enable --now fail2ban")]
    banning.change(fail2ban={**fail2ban, "runs": False, "refuses": "Have not found any log file for sshd jail"})
    (_, text, command), = findings(banning)["bans"]
    assert text.endswith("does not run: Have not found any log file for sshd jail") and "backend = systemd" in command


def test_a_unit_that_failed_and_bans_that_the_panel_does_not_show(banning: ServerLab) -> None:
    banning.change(fail2ban={**banning.state["fail2ban"], "bans": ["203.0.113.9"]},
                   says={"^systemctl is-failed mtproto-bans": (0, "failed")})
    failed, unknown = findings(banning)["bans"]
    assert "mtproto-bans.service has failed" in failed[1] and "journalctl" in failed[2]
    assert unknown[1:] == ("fail2ban bans addresses that the panel does not show: 203.0.113.9",
                           "sudo mtproto-bans apply")
    done = subprocess.run([banning.folder / "root/usr/local/sbin/mtproto-bans", "apply"],
                          env=banning.environment(TZ="UTC"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "203.0.113.9 4070908800 4070912400" in (banning.home / "data/bans/active").read_text()
    assert len(findings(banning)["bans"]) == 1
