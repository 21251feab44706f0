"""install.sh ended at any point: another run finishes what it began, and no data is lost."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.install.programs import make_program
from tests.install.server_lab import PASSWORD, ServerLab

pytestmark = pytest.mark.timeout(900)

#: A program of a step, and the call of it at which the installation ends: by the call's beginning.
MOMENTS = ["apt-get .* update", "apt-get .* install apparmor", "apt-get .* install docker.io",
           "systemctl enable --now docker", "apt-get .* install docker-compose", "docker pull debian",
           "docker build .*mtg-custom", "docker build .*mtproto-panel",
           "docker-compose .* up", "docker-compose .* settings set", "docker-compose .* user add",
           "docker-compose .* first-password", "ufw allow", "docker-compose .* probe"]


def kill_at(server: ServerLab, moment: str, after: bool) -> None:
    """The next call of that program that begins so kills install.sh, before it does anything or right after it."""
    name = moment.split()[0]
    make_program(server.folder, name)
    path = server.folder / "bin" / name
    kill = (f"import os, re, signal\nif re.match({moment!r}, ' '.join([{name!r}, *sys.argv[1:]])): "
            "os.killpg(0, signal.SIGKILL)\n")
    text = path.read_text()
    if after:
        indented = kill.replace("\n", "\n    ").strip()
        path.write_text(text.replace("    server.save()\n", f"    server.save()\n    {indented}\n"))
    else:
        path.write_text(text.replace("server = Server", kill + "server = Server"))


@pytest.mark.parametrize(("moment", "after"), [
    # Right before one call is mostly right after another one.
    *((moment, True) for moment in MOMENTS),
    ("docker-compose .* up", False), ("docker-compose .* first-password", False), ("ufw allow", False)])
def test_killed_in_any_step_another_run_completes_it(tmp_path: Path, moment: str, after: bool) -> None:
    server = ServerLab(tmp_path, firewall="ufw", dns={"proxy.example.com": ["203.0.113.7"]})
    server.has("ufw")
    if moment.startswith("docker"):
        # It is there: the package would bring it anew.
        server.has("docker", "dockerd", "docker-compose")
        server.change(docker_runs=True, docker_version="20.10.24", docker_compose="1.29.2")
    server.has(moment.split()[0])
    kill_at(server, moment, after)

    killed = server.install("--base-port", "5000", "--first-user", "Anna")
    assert killed.code == -signal.SIGKILL, killed.told
    users = server.declared()["users"] if (server.home / "data/config.json").exists() else []
    for program in {call.split()[0] for call in server.calls()} | {moment.split()[0]}:
        make_program(server.folder, program)

    # What was answered is not asked for again.
    again = server.install()

    assert again.code == 0, again.told
    assert server.declared()["users"] == [{"name": "Anna", "port": 5000}]
    assert not users or server.declared()["users"] == users
    assert PASSWORD in (server.home / "first-login").read_text()
    assert list(server.state["ufw_profiles"].values()) == ["80,5000,9443"] and len(server.state["ufw"]) == 1
    assert [path.name for path in server.home.rglob("*.new*")] == []


def test_a_tree_that_was_being_copied_is_copied_again(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    (server.home / "releases/.new.4711").mkdir(parents=True)
    (server.home / "releases/.new.4711/install.sh").write_text("half")
    (server.home / ".env.new.4711").write_text("half")
    assert server.install().code == 0
    assert sorted(path.name for path in (server.home / "releases").iterdir()) == ["v1.2.3"]


def test_a_removal_that_was_broken_off_is_finished(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, firewall="ufw")
    server.has("ufw")
    assert server.install().code == 0
    make_program(server.folder, "ufw")
    kill_at(server, "ufw delete", after=False)
    assert server.install("--uninstall", "--yes").code == -signal.SIGKILL
    make_program(server.folder, "ufw")
    answer = server.install("--uninstall", "--yes")
    assert answer.code == 0 and not server.home.exists() and server.state["ufw"] == [], answer.told


def test_ctrl_c_says_that_nothing_is_lost(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    build = tmp_path / "bin/docker"
    server.has_docker()
    reached = tmp_path / "tmp/reached"
    # A folder, not a file: the interrupt of a Ctrl-C that comes while Python closes a forgotten file is lost.
    wait = f"if sys.argv[1] == 'build':\n    import os, time; os.mkdir({str(reached)!r}); time.sleep(100)\n"
    build.write_text(build.read_text().replace("server = Server", f"{wait}server = Server"))
    process = subprocess.Popen(
        ["bash", server.tree / "install.sh"], env=server.environment(), cwd=tmp_path, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not reached.exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 130 and "Broken off" in output and "goes on from there" in output, output
    make_program(tmp_path, "docker")
    assert server.install().code == 0
