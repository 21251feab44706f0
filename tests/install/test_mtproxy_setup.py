"""mtproxy-setup, mtproxy and mtproxy-uninstall on a server whose docker, ss and panel are stand-ins that note what they
are asked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: The panel's command line: one user of MTProxy, once it was added.
_MTPROTO = """#!/bin/bash
echo "mtproto $*" >>"$NOTES"
told='"id": "u1",\\n  "port": 8443,\\n  "state": "running",\\n  "tg_link": "tg://proxy?server=a&port=8443&secret=dd00"'
case "$*" in
    *list-secrets*) if [ -e "$NOTES.user" ]; then printf '[\\n  {\\n    "id": "u1"\\n  }\\n]\\n'; else echo '[]'; fi ;;
    *add-secret*) touch "$NOTES.user" && printf '{\\n  %b\\n}\\n' "$told" ;;
    *show-config*) printf '{\\n  %b\\n}\\n' "$told" ;;
    *--terminal*) printf 'tg\\ntme\\nQR\\n' ;;
    *"get mtproxy_docker_image"*) echo mtproxy ;;
    *"get engine"*) echo mtproxy ;;
esac
"""
_DOCKER = """#!/bin/bash
echo "docker $*" >>"$NOTES"
case "$*" in
    "image inspect"*) [ -e "$NOTES.image" ] ;;
    build*)
        # What the Dockerfile reads is in the folder that it is built from, or nothing is built.
        for part in Dockerfile.mtproxy host/images/mtproxy/run; do [ -e "${!#}/$part" ] || exit 1; done
        [ ! -e "$NOTES.nobuild" ] || exit 1
        touch "$NOTES.image"
        ls "${!#}" >"$NOTES.context"
        ;;
esac
"""
_SS = """#!/bin/bash
[ ! -e "$NOTES.taken" ] || echo 'LISTEN 0 511 0.0.0.0:8443 0.0.0.0:* users:(("nginx",pid=123,fd=6))'
"""


class Server:
    """A folder that is one. notes: what was asked for, a line each."""

    def __init__(self, folder: Path) -> None:
        self.notes, self.bin = folder / "notes", folder / "bin"
        self.bin.mkdir()
        current = folder / "home/current"
        shutil.copytree(ROOT / "host/images/mtproxy", current / "host/images/mtproxy")
        shutil.copy(ROOT / "Dockerfile.mtproxy", current)
        (current / "host/firewall.sh").write_text('echo "firewall $*" >>"$NOTES"; [ ! -e "$NOTES.nofirewall" ]\n')
        for name, text in (("mtproto", _MTPROTO), ("docker", _DOCKER), ("ss", _SS)):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        for name in ("mtproxy", "mtproxy-setup", "mtproxy-uninstall"):
            shutil.copy(ROOT / "host" / name, self.bin / name)
        self.home = folder / "home"

    def run(self, *words: str, answers: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "MTPROTO_HOME": str(self.home),
               "NOTES": str(self.notes), **environment}
        return subprocess.run([self.bin / words[0], *words[1:]], input=answers, env=env, capture_output=True, text=True,
                              timeout=60)

    def asked(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_its_four_questions_lead_to_a_link_a_qr_code_and_the_names_of_the_files(server: Server) -> None:
    done = server.run("mtproxy-setup", answers="y\n9443\n2\nn\n")
    assert done.returncode == 0, done.stderr
    assert "tg://proxy?server=a&port=8443&secret=dd00" in done.stdout and "\nQR\n" in done.stdout
    assert f"{server.home}/data/mtproxy/links/u1/mtproxy_qr.png" in done.stdout
    asked = server.asked()
    assert any(line.startswith("docker build") for line in asked)
    assert asked[-1] == f"firewall {server.home}", "once it runs"
    for words in ("set-port 9443", "set-workers 2", "add-secret --without-padding --json"):
        assert f"mtproto mtproxy {words}" in asked


def test_without_questions_the_environment_answers_and_a_second_run_adds_nobody(server: Server) -> None:
    for _ in range(2):
        assert server.run("mtproxy-setup", "--non-interactive", MTPROXY_PORT="9444").returncode == 0
    asked = server.asked()
    assert asked.count("mtproto mtproxy set-port 9444") == 2
    assert sum("add-secret --with-padding" in line for line in asked) == 1
    assert sum(line.startswith("docker build") for line in asked) == 1, "the image is there already"


@pytest.mark.parametrize(("variable", "value", "told"), [
    ("MTPROXY_PORT", "0", "allowed: 1 to 65535"), ("MTPROXY_PORT", "70000", "allowed: 1 to 65535"),
    ("MTPROXY_PORT", "x", "allowed: 1 to 65535"), ("MTPROXY_WORKERS", "1000", "allowed: 0 to 8"),
    ("MTPROXY_WORKERS", "-1", "allowed: 0 to 8"), ("MTPROXY_PADDING", "maybe", "neither yes nor no")])
def test_a_bad_answer_changes_nothing(server: Server, variable: str, value: str, told: str) -> None:
    done = server.run("mtproxy-setup", "--non-interactive", **{variable: value})
    assert done.returncode == 1 and told in done.stderr
    assert not [line for line in server.asked() if line.startswith(("mtproto", "docker build"))]


def test_a_port_that_is_taken_is_refused_with_the_program_that_has_it(server: Server) -> None:
    Path(f"{server.notes}.taken").touch()
    done = server.run("mtproxy-setup", "--non-interactive")
    assert done.returncode == 1 and "port 8443 is taken by nginx (pid 123)" in done.stderr
    assert not [line for line in server.asked() if line.startswith("mtproto")]


def test_no_is_an_answer_and_a_failed_build_changes_nothing_else(server: Server) -> None:
    assert "Nothing was changed" in server.run("mtproxy-setup", answers="\n").stdout
    Path(f"{server.notes}.nobuild").touch()
    done = server.run("mtproxy-setup", "--non-interactive")
    assert done.returncode == 1 and "could not be built" in done.stderr
    assert not [line for line in server.asked() if line.startswith("mtproto")]


def test_another_source_is_a_file_an_address_or_telegrams_own(server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "my source.tar.gz"
    archive.write_bytes(b"x")
    assert server.run("mtproxy-setup", "--non-interactive", "--source", str(archive)).returncode == 0
    assert any("MTPROXY_SOURCE=mtproxy.tar.gz" in line for line in server.asked())
    assert Path(f"{server.notes}.context").read_text().split() == ["Dockerfile.mtproxy", "host", "mtproxy.tar.gz"]
    for words, variables in ((("--source", "official"), {}), ((), {"MTPROXY_SOURCE": "official"})):
        server.notes.unlink()
        assert server.run("mtproxy-setup", "--non-interactive", *words, **variables).returncode == 0
        (built,) = [line for line in server.asked() if line.startswith("docker build")]
        assert "MTPROXY_SHA256=any " in built and "/TelegramMessenger/MTProxy/archive/" in built


def test_a_firewall_that_can_not_be_changed_is_told_and_undoes_nothing(server: Server) -> None:
    Path(f"{server.notes}.nofirewall").touch()
    done = server.run("mtproxy-setup", "--non-interactive")
    assert done.returncode == 0 and "firewall of this server could not be changed" in done.stderr
    done = server.run("mtproxy-uninstall", "--yes")
    assert done.returncode == 0 and "firewall of this server could not be changed" in done.stderr


def test_the_image_is_among_those_that_the_removal_of_everything_takes_along(server: Server) -> None:
    for _ in range(2):
        server.run("mtproxy-setup", "--non-interactive", "--source", "https://example.com/a.tar.gz")
    assert (server.home / ".images").read_text() == "mtproxy:latest\n"


def test_mtproxy_hands_everything_on_to_the_panels_command_line(server: Server) -> None:
    server.run("mtproxy", "remove-secret", "a b", "--yes")
    assert server.asked() == ["mtproto mtproxy remove-secret a b --yes"]


def test_uninstall_keeps_users_unless_their_deletion_is_asked_for(server: Server) -> None:
    server.run("mtproxy-setup", "--non-interactive")
    (server.home / "data/mtproxy").mkdir(parents=True)
    assert "Nothing was changed" in server.run("mtproxy-uninstall", answers="n\n").stdout
    done = server.run("mtproxy-uninstall", answers="y\nn\n")
    assert "disabled and kept" in done.stdout and "settings set engine=" in done.stdout
    assert server.asked().index("mtproto reconcile") < len(server.asked()) - 1
    assert f"firewall {server.home}" in server.asked()[server.asked().index("mtproto reconcile"):]
    assert "mtproto user disable u1" in server.asked() and "docker image rm mtproxy" in server.asked()
    assert (server.home / "data/mtproxy").exists()
    server.run("mtproxy-uninstall", "--yes", "--delete-configuration")
    assert "mtproto user remove u1 --yes" in server.asked() and not (server.home / "data/mtproxy").exists()


def test_programs_get_one_document_and_nothing_else(server: Server) -> None:
    done = server.run("mtproxy-setup", "--json", answers="y\n9443\n2\nn\n")
    assert done.returncode == 0 and json.loads(done.stdout)["tg_link"].startswith("tg://"), done.stderr
    assert json.loads(server.run("mtproxy-setup", "--json", answers="n\n").stdout) is None
    assert json.loads(server.run("mtproxy-uninstall", "--json", answers="n\n").stdout) is None
    done = server.run("mtproxy-uninstall", "--yes", "--json")
    assert json.loads(done.stdout) == {"users": ["u1"], "deleted": False, "new_users_get_mtproxy": True}
    Path(f"{server.notes}.user").unlink()
    done = server.run("mtproxy-uninstall", "--yes", "--delete-configuration", "--json")
    assert json.loads(done.stdout)["users"] == [] and json.loads(done.stdout)["deleted"] is True
