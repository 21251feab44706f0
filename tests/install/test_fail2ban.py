"""fail2ban and the installation: told where that was asked for, told anew by an update, and left as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import Answer
from tests.install.move_lab import installed
from tests.install.server_lab import ServerLab

pytestmark = pytest.mark.timeout(300)

UNITS = ("mtproto-bans.path", "mtproto-bans.service", "mtproto-refused.timer", "mtproto-refused.service")
SSHD = "Have not found any log file for sshd jail"


def of_bans(server: ServerLab) -> set[str]:
    """The files of ours that are there for fail2ban, by what they are called below the server's folder."""
    return {name for name in server.files() if not name.startswith("opt/") and (
        "mtproto-bans" in name or "mtproto-refused" in name or (
            name.startswith("etc/fail2ban") and name.endswith("mtproto.conf")))} | set(server.state["nft"])


ALL = {"etc/fail2ban/jail.d/mtproto.conf", "etc/fail2ban/filter.d/mtproto.conf", "etc/fail2ban/action.d/mtproto.conf",
       *(f"etc/systemd/system/{unit}" for unit in UNITS), "root/usr/local/sbin/mtproto-bans"}


def foreign(server: ServerLab) -> dict[str, str]:
    return {name: text for name, text in server.files().items()
            if name.startswith("etc/") and "mtproto" not in name and name != "etc/fstab"}


def panel_wants(server: ServerLab, text: str = "enabled yes\nmaxretry 5\nfindtime 600\nbantime 3600\n") -> None:
    """As the panel writes it soon after `bans` was switched on."""
    for name in ("bans", "logs"):
        (server.home / "data" / name).mkdir(exist_ok=True)
    (server.home / "data/logs/offenders.log").write_text("# none\n")
    (server.home / "data/bans/wanted").write_text(f"mtproto-bans 1\n{text}ports 2443-2443\n")


def bans(server: ServerLab, *words: str) -> Answer:
    """The program that fail2ban and the unit call."""
    return run(server, str(server.folder / "root/usr/local/sbin/mtproto-bans"), *words)


def mtproto(server: ServerLab, *words: str) -> Answer:
    return run(server, "bash", str(server.home / "current/host/mtproto"), "--home", str(server.home), *words)


def run(server: ServerLab, *words: str, **variables: str) -> Answer:
    done = subprocess.run(words, env=server.environment(**variables), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def test_asked_for_it_is_told_twice_is_once_and_a_removal_leaves_no_trace(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.has_fail2ban()
    before = foreign(server)
    answer = server.install("--tunnel", "--fail2ban")
    assert answer.code == 0 and "fail2ban bans addresses that keep trying" in answer.stdout, answer.told
    assert server.declared()["bans"] is True and server.settings()["MTPROTO_FAIL2BAN"] == "yes"
    assert of_bans(server) >= ALL
    assert {"systemctl enable --now mtproto-bans.path", "systemctl enable mtproto-bans.service",
            "systemctl enable --now mtproto-refused.timer"} <= {
        *server.calls("systemctl")}
    panel_wants(server)
    assert bans(server, "apply").code == 0
    jail = (tmp_path / "etc/fail2ban/jail.d/mtproto.conf").read_text()
    assert "enabled = true" in jail and str(server.home / "data/logs/offenders.log") in server.state["fail2ban"]["logs"]
    assert (server.home / "data/bans/active").read_text().startswith("mtproto-bans 1 running ")
    made = of_bans(server)

    assert server.install("--tunnel").code == 0, "the answer is kept"
    assert of_bans(server) == made and (tmp_path / "etc/fail2ban/jail.d/mtproto.conf").read_text() == jail

    assert server.install("--uninstall", "--yes").code == 0
    assert of_bans(server) == set() and server.state["fail2ban"]["logs"] == []
    assert foreign(server) == before
    assert "systemctl disable --now mtproto-bans.path" in server.calls()


def test_not_asked_for_nothing_is_told_and_said_no_it_is_taken_back(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.has_fail2ban()
    before = foreign(server)
    assert server.install("--tunnel").code == 0
    assert of_bans(server) == set() and "bans" not in server.declared()
    assert server.install("--tunnel", "--fail2ban").code == 0 and of_bans(server) >= ALL
    assert server.install("--tunnel", "--no-fail2ban").code == 0
    assert of_bans(server) == set() and server.declared()["bans"] is False and foreign(server) == before


def test_where_fail2ban_comes_later_the_question_comes_with_it(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    assert server.install("--tunnel").code == 0 and "MTPROTO_FAIL2BAN" not in server.settings()
    assert server.install("--tunnel", "--no-fail2ban").code == 0 and server.settings()["MTPROTO_FAIL2BAN"] == "no"


def test_without_fail2ban_the_rest_is_installed_and_what_helps_is_named(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    answer = server.install("--tunnel", "--fail2ban")
    assert answer.code == 0 and "fail2ban is not installed here: apt-get install fail2ban" in answer.stdout, answer.told
    assert "sudo mtproto fail2ban install" in answer.stdout and of_bans(server) == set()
    server.has_fail2ban()
    assert mtproto(server, "fail2ban", "install").code == 0 and of_bans(server) >= ALL
    assert server.install("--uninstall", "--yes").code == 0 and of_bans(server) == set()


def test_one_that_is_stopped_is_told_all_the_same_and_it_is_said_why_nobody_is_banned(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.has_fail2ban(runs=False, refuses=SSHD)
    answer = server.install("--tunnel", "--fail2ban")
    assert answer.code == 0 and f"nobody is banned yet: fail2ban does not run: {SSHD}" in answer.stdout, answer.told
    assert "backend = systemd" in answer.stdout and of_bans(server) >= ALL
    # It starts, and the unit that waits for that carries on.
    panel_wants(server)
    server.has_fail2ban(runs=True, refuses="")
    assert bans(server, "apply").code == 0 and server.state["fail2ban"]["logs"]
    server.has_fail2ban(runs=False)
    assert server.install("--uninstall", "--yes").code == 0 and of_bans(server) == set()


def test_where_etc_can_only_be_read_nothing_is_half_done(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.has_fail2ban()
    assert server.install("--tunnel").code == 0
    there = f"'{tmp_path}/etc/fail2ban'"
    read_only = f"mount --bind {there} {there}; mount -o remount,ro,bind {there};"
    in_it = ("unshare", "-m", "--propagation", "private", "sh", "-ec")
    answer = run(server, *in_it, f"{read_only} exec bash '{server.tree}/install.sh' --tunnel --fail2ban")
    assert answer.code == 0 and "etc/fail2ban can't be written" in answer.stdout, answer.told
    assert of_bans(server) == set()
    assert mtproto(server, "fail2ban", "install").code == 0
    answer = run(server, *in_it, f"{read_only} exec bash '{server.tree}/install.sh' --uninstall --yes")
    assert answer.code == 1 and "could not be removed (a read-only disk?): " in answer.stderr, answer.told
    assert server.install("--uninstall", "--yes").code == 0 and of_bans(server) == set()


def test_another_installation_of_the_server_keeps_its_jail(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.has_fail2ban()
    installed(server)
    assert mtproto(server, "fail2ban", "install").code == 0
    made = {name: server.files()[name] for name in ALL}
    first, server.home = server.home, tmp_path / "opt/other"
    shutil.copytree(first, server.home, symlinks=True)
    refused = mtproto(server, "fail2ban", "install")
    assert refused.code == 1 and f"{first}/data already" in refused.stderr
    assert mtproto(server, "fail2ban", "remove").code == 1
    assert {name: server.files()[name] for name in ALL} == made
    # One that was moved is told anew.
    shutil.rmtree(first)
    assert mtproto(server, "fail2ban", "install").code == 0
    assert f"logpath = {server.home}/data/logs" in (tmp_path / "etc/fail2ban/jail.d/mtproto.conf").read_text()


def test_files_that_are_new_are_read_and_a_log_that_came_later_too(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.has_fail2ban()
    installed(server)
    panel_wants(server)
    assert mtproto(server, "fail2ban", "install").code == 0
    jail = server.home / "current/host/fail2ban/filter.conf"
    jail.write_text(jail.read_text().replace("flood", "flood|tide"))
    before = server.calls("fail2ban-client").count("fail2ban-client reload mtproto")
    assert mtproto(server, "fail2ban", "install").code == 0
    assert server.calls("fail2ban-client").count("fail2ban-client reload mtproto") == before + 1
    assert "tide" in (tmp_path / "etc/fail2ban/filter.d/mtproto.conf").read_text()
    (server.home / "data/logs/offenders-2.log").write_text("# none\n")
    assert bans(server, "apply").code == 0
    assert str(server.home / "data/logs/offenders-2.log") in server.state["fail2ban"]["logs"]
    count = len(server.calls("fail2ban-client"))
    assert bans(server, "apply").code == 0
    assert not any("reload" in call for call in server.calls("fail2ban-client")[count:])


def test_its_state_is_told_to_people_and_programs(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    installed(server)
    assert mtproto(server, "fail2ban", "status").stdout == "not set up: sudo mtproto fail2ban install\n"
    assert '"state": "not-set-up"' in mtproto(server, "fail2ban", "status", "--json").stdout
    server.has_fail2ban()
    panel_wants(server)
    assert mtproto(server, "fail2ban", "install").code == 0
    assert server.settings()["MTPROTO_FAIL2BAN"] == "yes"
    assert mtproto(server, "fail2ban", "status").stdout.startswith("running: ")
    assert f'"data": "{server.home}/data"' in mtproto(server, "fail2ban", "status", "--json").stdout
    assert mtproto(server, "fail2ban", "remove").code == 0 and server.settings()["MTPROTO_FAIL2BAN"] == "no"
    assert mtproto(server, "fail2ban", "dance").code == 2
    assert os.listdir(tmp_path / "etc/systemd/system") == []
