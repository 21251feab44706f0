"""mtproto move: to another server over a real SSH; both work until the old one is stopped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.install.conftest import ROOT
from tests.install.move_lab import NEW_ADDRESS, MoveLab
from tests.install.server_lab import PASSWORD

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Callable[..., MoveLab]]:
    made: list[MoveLab] = []

    def make(**state: object) -> MoveLab:
        made.append(MoveLab(tmp_path, **state))
        return made[-1]

    yield make
    for each in made:
        each.close()


def assert_moved(lab: MoveLab) -> None:
    assert lab.users(lab.there) == lab.users(lab.here) and len(lab.users(lab.there)) == 2
    assert lab.there.declared()["server_domain"] == "proxy.example.com"
    assert lab.there.declared()["server_ip"] == NEW_ADDRESS, "the address is that server's own"
    assert (lab.there.home / "current/VERSION").read_text() == (lab.here.home / "current/VERSION").read_text()
    assert not list(lab.there.home.glob(".tree*")) and not (lab.there.home / "first-login").exists()


def test_everything_arrives_and_both_work_until_the_dns_leads_there(lab: Callable[..., MoveLab]) -> None:
    move = lab()
    move.install_here()

    answer = move.move()

    assert answer.code == 0, answer.told
    assert_moved(move)
    assert "proxy.example.com leads to this server (203.0.113.7)" in answer.stdout
    assert f"to change in the DNS:  proxy.example.com  A  {NEW_ADDRESS}" in answer.stdout
    assert f"probe --everybody --at {NEW_ADDRESS}" in " ".join(move.there.calls("docker"))
    log = (move.here.home / "move.log").read_text()
    assert PASSWORD not in answer.told + log and "tg://" not in answer.told + log
    assert "proxies_stopped" not in move.here.declared()

    early = move.move("--stop-here", "--yes")
    assert early.code == 1 and "nothing is stopped here" in early.stderr
    assert "proxies_stopped" not in move.here.declared()

    for server in (move.here, move.there):
        server.change(dns={"proxy.example.com": [NEW_ADDRESS]})
    restores = sum("restore" in call for call in move.there.calls("docker"))
    done = move.move("--stop-here", "--yes")
    assert done.code == 0 and "mtproto start" in done.stdout, done.told
    assert move.here.declared()["proxies_stopped"] is True and move.users(move.here)
    assert sum("restore" in call for call in move.there.calls("docker")) == restores, "what it measured there stays"
    assert move.move("--again").code == 0
    assert sum("restore" in call for call in move.there.calls("docker")) == restores + 1


@pytest.mark.parametrize(("moment", "what"), [
    ("uname", "move"), (".tree.new", "connection"), ("install.sh", "move"), ("install.sh", "connection"),
    ("restore", "connection"), ("restore", "move"), ("probe", "move")])
def test_ended_at_any_step_both_work_and_the_same_command_goes_on(
        lab: Callable[..., MoveLab], moment: str, what: str) -> None:
    move = lab()
    move.install_here()
    before = move.here.declared()
    move.break_at(moment, what)

    ended = move.move()

    assert ended.code == (-9 if what == "move" else 1), ended.told
    assert move.here.declared() == before
    move.break_at("")
    again = move.move()
    assert again.code == 0, again.told
    assert_moved(move)
    assert move.here.declared() == before


def test_an_installation_of_somebody_else_is_replaced_only_if_it_may_be(lab: Callable[..., MoveLab]) -> None:
    move = lab()
    move.install_here()
    assert move.there.install("--first-user", "Zoe").code == 0
    refused = move.move("--yes")
    assert refused.code == 1 and "with 1 users, and not from here" in refused.stdout and "--replace" in refused.stderr
    assert [user["name"] for user in move.there.declared()["users"]] == ["Zoe"]
    assert move.move("--replace").code == 0
    assert_moved(move)


@pytest.mark.parametrize(("state", "said"), [
    ({"machine": "riscv64"}, "amd64 or arm64 is needed"), ({"uid": 1000}, "may not use sudo without a password")])
def test_a_server_that_is_not_fit_is_told_before_anything_is_done(
        lab: Callable[..., MoveLab], state: dict[str, object], said: str) -> None:
    move = lab(**state)
    move.install_here()
    answer = move.move()
    assert answer.code == 1 and said in answer.stderr and "Nothing was changed" in answer.stderr
    assert not move.there.home.exists()


def test_an_account_that_may_use_sudo_is_enough(lab: Callable[..., MoveLab]) -> None:
    move = lab(uid=1000)
    move.install_here()
    (move.there.folder / "bin/sudo").unlink(missing_ok=True)
    (move.there.folder / "bin/sudo").write_text(
        "#!/bin/bash\n[ $1 = -n ] || exit 1\nshift\n"
        f"sed -i \"s/'uid': 1000/'uid': 0/\" {move.there.folder}/state\nexec \"$@\"\n")
    (move.there.folder / "bin/sudo").chmod(0o755)
    answer = move.move()
    assert answer.code == 0, answer.told
    assert_moved(move)


def test_a_server_out_of_reach_and_a_strange_host_key_are_told_by_ssh_itself(lab: Callable[..., MoveLab]) -> None:
    move = lab()
    move.install_here()
    away = move.move("-p", "1")
    assert away.code == 1 and "Connection refused" in away.stderr and "can't be reached by SSH" in away.stderr
    (move.ssh / "known-hosts").write_text("")
    strange = move.move()
    assert strange.code == 1 and "Host key verification failed" in strange.stderr


def test_over_a_jump_host(lab: Callable[..., MoveLab]) -> None:
    move = lab()
    move.install_here()
    answer = move.move("-J", "root@127.0.0.1")
    assert answer.code == 0, answer.told
    assert_moved(move)


def test_links_that_do_not_work_there_are_no_success(lab: Callable[..., MoveLab]) -> None:
    move = lab(telegram=False)
    move.install_here()
    answer = move.move("--stop-here", "--yes")
    assert answer.code == 1 and "not every link works" in answer.stderr
    assert "proxies_stopped" not in move.here.declared()


def test_this_very_server_is_no_other_one(lab: Callable[..., MoveLab]) -> None:
    move = lab()
    move.install_here()
    answer = move.move("--their-home", str(move.here.home))
    assert answer.code == 1 and "this very server" in answer.stderr


@pytest.mark.parametrize("words", [(), ("a@b", "c@d"), ("--port",), ("--nonsense", "a@b"), ("a b",)])
def test_bad_usage_is_told(words: tuple[str, ...]) -> None:
    done = subprocess.run(["bash", ROOT / "host/move.sh", *words], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "Usage: sudo mtproto move" in done.stderr
