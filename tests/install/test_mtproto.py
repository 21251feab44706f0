"""The command mtproto: the panel's command line on a server and without Docker, and what is done to all of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import ROOT, Answer

DOCKER = """\
#!/bin/bash
[ "$1 $2 $3 $4 $5" != "compose version --short  " ] || { echo 2.29.0; exit; }
case $1 in version | ps) cat "$0.container" 2>/dev/null; exit "$(cat "$0.code" 2>/dev/null || echo 0)" ;; esac
printf '%s\\n' "$*"
exit 7
"""


class Host:
    """A machine with the command in its PATH, as install.sh puts it there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.bin = folder, folder / "my home", folder / "bin"
        (self.home / "releases/v1/host").mkdir(parents=True)
        shutil.copytree(ROOT / "host/lib", self.home / "releases/v1/host/lib")
        (self.home / "current").symlink_to("releases/v1")
        for name in ("update.sh", "install.sh"):
            (self.home / "releases/v1" / name).write_text(f'echo {name} "$@"\n')
        self.bin.mkdir()
        command = (ROOT / "host/mtproto").read_text()
        self.program("mtproto", command.replace("DEFAULT_HOME=/opt/mtproto", f"DEFAULT_HOME='{self.home}'"))
        self.program("docker", DOCKER)
        (self.bin / "docker.container").write_text("c0ffee\n")

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, *words: str, command: str = "mtproto", **env: str) -> Answer:
        done = subprocess.run(
            [command, *words], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.folder), "MTPROTO_ROOT": "x",
                 "MTPROTO_UNITS": str(self.folder), **env})
        return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_command_of_the_panel_runs_in_its_container_and_ends_as_it_does(host: Host) -> None:
    done = host.run("user", "add", "Anna Maria", "--json")
    assert (done.code, done.stdout) == (7, "exec -i c0ffee python3 -m app.cli user add Anna Maria --json\n")
    for words in (("doctor", "--help"), ("logs", "Anna"), ("status", "--json")):
        assert host.run(*words).stdout == f"exec -i c0ffee python3 -m app.cli {' '.join(words)}\n"


def test_what_is_done_to_the_installation_goes_to_its_release(host: Host) -> None:
    assert host.run("update", "--check").stdout == f"update.sh --home {host.home} --check\n"
    assert host.run("uninstall", "--yes").stdout == f"install.sh --uninstall --home {host.home} --yes\n"
    assert host.run("--version").stdout == "v1\n"
    assert f"--project-directory {host.home}/current" in host.run("compose", "ps").stdout
    assert host.run("logs", "--panel", "--follow").stdout.endswith("logs --tail 200 --follow\n")


def test_status_tells_the_release_and_an_interrupted_update(host: Host) -> None:
    (host.home / "previous").write_text("VERSION=v0\nBACKUP=x\n")
    (host.home / ".update").write_text("PHASE=switch\n")
    told = host.run("status").stdout
    assert "release      v1" in told and "before       v0" in told and "sudo mtproto update" in told
    assert told.endswith("app.cli status\n")


def test_another_home_is_named_by_an_option_or_a_variable(host: Host, tmp_path: Path) -> None:
    missing = host.run("--home", str(tmp_path / "none"), "status")
    assert missing.code == 1 and f"no installation in {tmp_path}/none" in missing.stderr
    assert host.run("--version", MTPROTO_HOME=str(tmp_path / "none")).code == 1
    other = Host(tmp_path / "other")
    assert other.run("--home", str(host.home), "update").stdout == f"update.sh --home {host.home}\n"


def test_without_an_installation_it_says_so(host: Host) -> None:
    shutil.rmtree(host.home)
    done = host.run("status")
    assert done.code == 1 and f"no installation in {host.home}" in done.stderr and "mtproto --home DIR" in done.stderr


def test_a_panel_that_does_not_run_and_a_docker_that_answers_nobody(host: Host) -> None:
    (host.bin / "docker.container").write_text("")
    done = host.run("user", "list")
    assert done.code == 1 and "sudo mtproto compose up -d" in done.stderr
    (host.bin / "docker.container").write_text("permission denied while trying to connect\n")
    (host.bin / "docker.code").write_text("1")
    assert "root is needed" in host.run("user", "list").stderr


def test_a_folder_without_docker_has_its_own_python_and_data(host: Host, tmp_path: Path) -> None:
    tree = tmp_path / "a checkout"
    for name in ("host", "app/cli", ".venv/bin"):
        (tree / name).mkdir(parents=True)
    shutil.copy(ROOT / "host/mtproto", tree / "host/mtproto")
    (tree / "app/cli/__main__.py").write_text("")
    python = tree / ".venv/bin/python"
    python.write_text('#!/bin/sh\necho "$*, $MTPROTO_DATA_DIR, $PYTHONPATH, ${MTPROTO_COMMAND-none}"\n')
    python.chmod(0o755)
    told = host.run("user", "list", command=str(tree / "host/mtproto")).stdout
    assert told == f"-P -m app.cli user list, {tree}/data, {tree}, none\n"
    (tree / ".venv").rename(tmp_path / "elsewhere")
    assert host.run("user", "list", command=str(tree / "host/mtproto")).code == 1
    (tree / ".venv.path").write_text(f"{tmp_path}/elsewhere\n")  # as install.sh --local --venv notes it
    assert host.run("user", "list", command=str(tree / "host/mtproto")).stdout == told
    (host.bin / "mtproto").unlink()
    (host.bin / "mtproto").symlink_to(tree / "host/mtproto")
    assert host.run("user", "list").stdout.endswith(f"{tree}, mtproto\n")
    update = host.run("update")
    assert update.code == 1 and "git pull && bash install.sh --local" in update.stderr


def test_words_that_mean_nothing_are_no_command(host: Host) -> None:
    assert host.run().code == 2 and "Usage: mtproto" in host.run().stderr
    assert "Usage: mtproto" in host.run("--help").stdout


#: The panel's container, as far as its data folder goes: /data is that of the installation.
CONTAINER = """\
#!/bin/bash
case $1 in version | ps) echo c0ffee; exit ;; esac
data=%s
while [ "$1" != c0ffee ]; do shift; done
shift
if [ "$1" = python3 ]; then
    printf '%%s\\n' "$*" >>"$data/../calls"
    file=$data${5#/data}
    case $4 in
        backup) [ ! -e "$data/full" ] || { echo "the disk is full" >&2; exit 1; }; echo everything >"$file" ;;
        restore) cp "$file" "$data/seen" ;;
    esac
    exit
fi
words=()
for word in "$@"; do words+=("${word//\\/data/$data}"); done
exec "${words[@]}"
"""


@pytest.fixture
def server(host: Host) -> Host:
    (host.home / "data").mkdir()
    host.program("docker", CONTAINER % f"'{host.home / 'data'}'")
    return host


def test_a_backup_goes_to_a_file_of_the_server_and_one_comes_from_there(server: Host, tmp_path: Path) -> None:
    file = tmp_path / "a b.tar.gz"
    done = server.run("backup", "a b.tar.gz", "--encrypt")
    assert done.code == 0 and file.read_text() == "everything\n" and file.stat().st_mode & 0o777 == 0o600
    assert (server.home / "calls").read_text() == (
        "python3 -m app.cli backup /data/transfer/a b.tar.gz --encrypt\n")
    assert server.run("restore", str(file), "--yes").code == 0
    assert (server.home / "data/seen").read_text() == "everything\n"
    assert not (server.home / "data/transfer").exists(), "nothing with everybody's links stays behind"


def test_a_backup_that_fails_leaves_the_one_before_and_says_so(server: Host, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("older")
    (server.home / "data/full").touch()
    done = server.run("backup", "b")
    assert done.code == 1 and "the disk is full" in done.stderr and (tmp_path / "b").read_text() == "older"
    assert not (server.home / "data/transfer").exists()


@pytest.mark.parametrize(("words", "said"), [
    (("backup",), "needs a file"), (("restore",), "needs a file"), (("backup", "a", "b"), "takes one file"),
    (("restore", "none"), "there is no file")])
def test_a_backup_without_its_file_is_told(server: Host, words: tuple[str, ...], said: str) -> None:
    done = server.run(*words)
    assert done.code == 1 and said in done.stderr and not (server.home / "calls").exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_pipe_or_device_is_no_file_for_a_backup(server: Host, tmp_path: Path, command: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = server.run(command, "pipe")
    assert done.code == 1 and "is no file" in done.stderr and (tmp_path / "pipe").is_fifo()
