"""What install.sh says when something is missing: what, and the exact command that mends it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.install.conftest import Tree
from tests.install.test_install import AS_NOBODY, hidden

pytestmark = pytest.mark.timeout(900)

SUDO = "" if os.geteuid() == 0 else "sudo "


@pytest.fixture(scope="module")
def tree(new_tree: Callable[[], Tree]) -> Tree:
    return new_tree()


@pytest.fixture(autouse=True)
def nothing_was_made(tree: Tree):
    yield
    assert not (tree.folder / "data").exists()
    assert tree.processes() == []


def test_without_root_a_server_is_refused_and_the_way_without_root_is_named(tree: Tree) -> None:
    answer = tree.run("bash", "install.sh", prefix=AS_NOBODY)
    assert answer.code == 1
    assert "sudo bash install.sh" in answer.stderr
    assert "docs/docker.md" in answer.stderr and "bash install.sh --local" in answer.stderr


@pytest.mark.parametrize("words", [("--colour",), ("--port",), ("--port", "0"), ("--port", "70000"),
                                   ("--port", "abc"), ("--data", ""), ("extra",)])
def test_bad_usage_exits_with_2_and_says_what_is_allowed(tree: Tree, words: tuple[str, ...]) -> None:
    answer = tree.install(*words)
    assert (answer.code, answer.stdout) == (2, "")
    assert words[0] in answer.stderr and "Usage:" in answer.stderr


def test_help_names_every_option(tree: Tree) -> None:
    answer = tree.run("bash", "install.sh", "--help")
    assert answer.code == 0
    for option in ("--local", "--port", "--bind", "--data", "--foreground", "--stop"):
        assert option in answer.stdout


def test_a_missing_venv_module_is_named_with_the_package_of_that_python(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ModuleNotFoundError(\"No module named 'ensurepip'\")\n")
    answer = tree.install(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert answer.code == 1
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    assert "venv module" in answer.stderr and f"{SUDO}apt-get install -y {package}" in answer.stderr


def test_a_python_that_is_too_old_is_named_with_the_package_to_install(tree: Tree, tmp_path: Path) -> None:
    env = hidden(tmp_path, "python")
    old = tmp_path / "bin/python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    answer = tree.install(env=env)
    assert answer.code == 1 and "this machine has Python 3.9.2" in answer.stderr
    assert f"{SUDO}apt-get install -y python3.11 python3.11-venv" in answer.stderr


def test_no_python_at_all_is_told(tree: Tree, tmp_path: Path) -> None:
    answer = tree.install(env=hidden(tmp_path, "python"))
    assert answer.code == 1 and "this machine has none" in answer.stderr


def test_a_busy_port_is_told_before_anything_is_installed(tree: Tree) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = tree.install("--port", str(port))
    assert answer.code == 1 and f"port {port} is taken by another program" in answer.stderr
    assert f"bash '{tree.folder}/install.sh' --local --port " in answer.stderr
    assert not (tree.folder / ".venv").exists()


def test_an_address_of_another_machine_is_told(tree: Tree) -> None:
    answer = tree.install("--bind", "192.0.2.1")
    assert answer.code == 1 and "192.0.2.1 is not an address of this machine" in answer.stderr


def test_a_folder_that_may_not_be_written_is_told_with_the_command_that_mends_it(tree: Tree) -> None:
    if AS_NOBODY:
        answer = tree.install(prefix=AS_NOBODY, env={**os.environ, "PATH": "/usr/bin:/bin"})
    else:
        tree.folder.chmod(0o555)
        answer = tree.install()
        tree.folder.chmod(0o755)
    assert answer.code == 1 and f"may not write into {tree.folder}" in answer.stderr
    assert f"sudo chown -R {'nobody' if AS_NOBODY else os.environ['USER']} '{tree.folder}'" in answer.stderr


def test_nothing_can_be_stopped_where_nothing_is_installed(tree: Tree) -> None:
    answer = tree.install("--stop")
    assert answer.code == 1 and "nothing is installed" in answer.stderr


def test_no_way_to_the_package_index_is_told_after_what_pip_said(tree: Tree, free_port) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/simple"
    pip = {"PIP_INDEX_URL": nowhere, "PIP_RETRIES": "0", "PIP_FIND_LINKS": ""}
    answer = tree.install(env={**os.environ, **pip})
    assert answer.code == 1
    assert "could not be installed" in answer.stderr and "https_proxy=" in answer.stderr
    assert "Connection refused" in answer.stderr or "No matching distribution" in answer.stderr
