"""A data folder that was renamed while its panel and proxies ran: every command still reaches them."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.instance import PanelFile
from app.lib.procfs import find, identify, lives
from app.runtimes.process.folder import CONFIG


@pytest.fixture
def renamed(data: Path, command, free_port) -> Iterator[tuple[Path, dict]]:
    """(the folder's new name, a user whose proxy has run since before)."""
    assert command("panel", "restart", "--port", str(free_port())).code == 0
    user = command("user", "add", "Alice", "--json").json()
    assert user["state"] == "running"
    new = data.with_name("renamed")
    os.rename(data, new)
    yield new, user
    assert command("panel", "stop", "--data", str(new)).code == 0
    assert find(new / "proxies", CONFIG) == {}
    shutil.rmtree(data, ignore_errors=True)
    os.rename(new, data)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("words", [("user", "disable", "Alice"), ("user", "remove", "Alice", "--yes"),
                                   ("panel", "stop")], ids=" ".join)
def test_what_is_said_to_have_ended_has_ended(command, renamed, words: tuple[str, ...]) -> None:
    folder, user = renamed
    assert accepts(user["port"])
    done = command(*words, "--data", str(folder))
    assert done.code == 0, done
    assert not accepts(user["port"]) and find(folder / "proxies", CONFIG) == {}
    if words[0] == "panel":
        assert "has stopped. Proxies stopped: 1." in done.stdout and PanelFile(folder).running() is None


def test_a_rotated_secret_is_served_by_another_process_and_the_old_one_by_none(command, renamed) -> None:
    folder, _user = renamed
    (before,) = find(folder / "proxies", CONFIG).popitem()[1]
    rotated = command("user", "rotate", "Alice", "--data", str(folder), "--json").json()
    assert rotated["state"] == "running"
    (after,) = find(folder / "proxies", CONFIG).popitem()[1]
    assert after != before and not lives(before)


def test_a_panel_whose_file_was_deleted_is_found_and_ended(command, renamed) -> None:
    folder, _ = renamed
    panel = identify(PanelFile(folder).running().pid)
    (folder / "panel.pid").unlink()
    done = command("panel", "stop", "--keep-proxies", "--data", str(folder), "--json").json()
    assert done["panel"] is True and not lives(panel)


def test_a_copys_commands_leave_the_originals_panel_and_proxies_alone(command, renamed) -> None:
    folder, user = renamed
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    before, panel = find(folder / "proxies", CONFIG), PanelFile(folder).running()
    for words in (("user", "disable", "Alice"), ("user", "remove", "Alice", "--yes"), ("panel", "stop")):
        assert command(*words, "--data", str(copy)).code == 0
    assert find(folder / "proxies", CONFIG) == before and PanelFile(folder).running() == panel
    assert accepts(user["port"])
    assert json.loads((folder / "config.json").read_text())["users"]
