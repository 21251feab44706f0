"""install.sh --local, from an empty folder to a proxy that outlives an update, and back to nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from app.config.passwords import verify_password
from app.lib import procfs
from tests.install.conftest import NOBODY, Tree

#: Packages come from registries, and those take their time.
pytestmark = pytest.mark.timeout(900)

IS_ROOT = os.geteuid() == 0
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if IS_ROOT else ()


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
            return answer.status == 200
    except OSError:
        return False


def told(output: str, name: str) -> str:
    """The value printed after `name:`."""
    return next(line.split()[1] for line in output.splitlines() if line.startswith(f"{name}:"))


def declared(tree: Tree) -> dict:
    return json.loads((tree.folder / "data/config.json").read_text())


def proxies(tree: Tree) -> dict[str, list[procfs.Process]]:
    return procfs.find(tree.folder / "data/proxies", "config.toml")


@pytest.fixture(scope="module")
def port() -> int:
    from tests.support.cover import free_port

    return free_port()


@pytest.fixture(scope="module")
def installed(new_tree: Callable[[], Tree], port: int) -> Tree:
    """A tree that was installed once and whose panel runs on `port`."""
    tree = new_tree()
    answer = tree.install("--port", str(port))
    assert answer.code == 0, answer.told
    tree.first = answer
    return tree


def test_the_first_run_starts_a_panel_and_prints_how_to_get_in(installed: Tree, port: int) -> None:
    output = installed.first.stdout
    assert told(output, "Panel") == f"http://127.0.0.1:{port}" and healthy(port)
    assert told(output, "Name") == declared(installed)["admin_username"] == "admin"
    assert verify_password(declared(installed)["admin_password_hash"], told(output, "Password"))[0]
    assert f"bash '{installed.folder}/install.sh' --local --stop" in output


def test_the_front_end_was_built(installed: Tree, port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=60) as answer:
        page = answer.read().decode()
    assert "build/panel.css" in page
    assert (installed.folder / "app/web/static/build/panel.css").stat().st_size > 1000


def test_a_second_run_updates_the_panel_and_touches_neither_data_nor_proxies(
    installed: Tree, port: int, free_port: Callable[[], int]
) -> None:
    installed.manage("settings", "set", "proxy_bind=127.0.0.1", f"proxy_port={free_port()}")
    user = json.loads(installed.manage("user", "add", "Alice", "--json").stdout)
    before, panel = proxies(installed), (installed.folder / "data/panel.pid").read_text()
    declaration = (installed.folder / "data/config.json").read_bytes()
    assert len(before) == 1

    again = installed.install("--port", str(port))

    assert again.code == 0, again.told
    assert "Python packages: up to date" in again.stdout and "Front end: up to date" in again.stdout
    assert (installed.folder / "data/panel.pid").read_text() != panel and healthy(port)
    assert proxies(installed) == before
    assert (installed.folder / "data/config.json").read_bytes() == declaration
    socket.create_connection(("127.0.0.1", user["port"]), timeout=60).close()


def test_changed_sources_are_built_again(installed: Tree, port: int) -> None:
    template = installed.folder / "app/web/templates/extra.html"
    template.write_text('<p class="pt-[123px]"></p>')
    again = installed.install("--no-start")
    template.unlink()
    assert again.code == 0 and "Building the front end" in again.stdout, again.told
    assert "123px" in (installed.folder / "app/web/static/build/panel.css").read_text()


def test_a_busy_port_is_told_with_the_command_that_mends_it(installed: Tree, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]
        answer = installed.install("--port", str(busy))
    assert answer.code == 1
    assert f"port {busy} is taken by another program" in answer.stderr
    assert f"pid {os.getpid()}" in answer.stderr
    assert f"bash '{installed.folder}/install.sh' --local --port " in answer.stderr
    assert healthy(port)


def test_stop_ends_the_panel_and_its_proxies_and_keeps_the_declaration(installed: Tree, port: int) -> None:
    assert healthy(port) and proxies(installed)
    names = [user["name"] for user in declared(installed)["users"]]

    for _ in range(2):
        stopped = installed.install("--stop")
        assert stopped.code == 0, stopped.told
        assert not healthy(port) and installed.processes() == []
    assert [user["name"] for user in declared(installed)["users"]] == names == ["Alice"]


def test_in_the_foreground_it_ends_with_the_terminal_and_brings_proxies_back(
    installed: Tree, port: int
) -> None:
    process = subprocess.Popen(
        ["bash", installed.folder / "install.sh", "--local", "--foreground", "--port", str(port)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    deadline = time.monotonic() + 180
    while not (healthy(port) and proxies(installed)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0 and f"http://127.0.0.1:{port}" in output and "Traceback" not in output
    assert proxies(installed)


def test_data_may_be_a_folder_elsewhere(installed: Tree, tmp_path: Path, free_port) -> None:
    where = free_port()
    answer = installed.install("--data", "my data", "--port", str(where), cwd=tmp_path)
    assert answer.code == 0 and healthy(where), answer.told
    assert (tmp_path / "my data/config.json").exists()
    assert f"--stop --data '{tmp_path}/my data'" in answer.stdout
    assert installed.install("--stop", "--data", "my data", cwd=tmp_path).code == 0
    assert not healthy(where)


def test_a_renamed_folder_keeps_hold_of_its_panel_and_its_proxies(installed: Tree, port: int) -> None:
    assert installed.install("--port", str(port)).code == 0
    user, before = declared(installed)["users"][0], proxies(installed)
    assert len(before) == 1 and healthy(port)
    old, installed.folder = installed.folder, installed.folder.with_name(f"{installed.folder.name}-renamed")
    os.rename(old, installed.folder)
    assert proxies(installed) == before

    assert installed.manage("user", "disable", user["name"]).code == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", user["port"]), timeout=60)
    assert installed.manage("user", "enable", user["name"]).code == 0
    again = installed.install("--port", str(port))
    assert again.code == 0 and healthy(port), again.told
    os.rename(installed.folder, old)
    installed.folder = old
    stopped = installed.install("--stop")
    assert stopped.code == 0 and "Proxies stopped: 1" in stopped.stdout, stopped.told
    assert not healthy(port) and proxies(installed) == {} and installed.processes() == []


def hidden(tmp_path: Path, *names: str) -> dict[str, str]:
    """An environment whose PATH has every program of this machine but those that start with `names`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for directory in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(directory).glob("*"):
            link = folder / program.name
            link.unlink(missing_ok=True)
            if not program.name.startswith(names):
                link.symlink_to(program)
    return {**os.environ, "PATH": str(folder)}


def test_without_node_it_comes_from_the_python_package_index(new_tree, tmp_path: Path) -> None:
    tree = new_tree()
    answer = tree.install("--no-start", env=hidden(tmp_path, "node", "npm", "npx"))
    assert answer.code == 0, answer.told
    assert f"installing it into {tree.folder}/.venv" in answer.stdout
    assert (tree.folder / ".venv/bin/node").exists()
    assert (tree.folder / "app/web/static/build/panel.css").stat().st_size > 1000
    assert tree.processes() == []


def test_an_account_without_rights_and_home_installs_and_runs_it(new_tree, free_port) -> None:
    tree = new_tree()
    if AS_NOBODY:
        for path in (tree.folder, *tree.folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    # Another person's Python, such as root's pyenv, is not for this account.
    how = {"prefix": AS_NOBODY, "env": {**os.environ, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}}
    port = free_port()

    answer = tree.install("--port", str(port), **how)

    assert answer.code == 0 and healthy(port), answer.told
    tree.manage("settings", "set", "proxy_bind=127.0.0.1", f"proxy_port={free_port()}", **how)
    user = json.loads(tree.manage("user", "add", "Alice", "--json", **how).stdout)
    assert user["state"] == "running"
    if AS_NOBODY:
        assert {os.stat(f"/proc/{pid}").st_uid for pid in tree.processes()} == {NOBODY}
    assert tree.install("--stop", **how).code == 0
    assert tree.processes() == []
