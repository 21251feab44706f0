"""docs/api.md: its commands are run as they stand, one after the other, against a panel on a real socket."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from app.accounts.actor import CLI
from app.actions import tokens
from tests.support.documents import ROOT, Page
from tests.support.fleet import Fleet


@pytest.fixture
def site(panel: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, panel, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ["docs/api.md", "docs/ru/api.md"])
def test_every_example_can_be_typed_as_it_stands(name: str, site: str, fleet: Fleet, tmp_path: Path) -> None:
    fleet.remove("Alice", for_good=True)
    lines = [line for language, text in Page(ROOT / name).blocks if language == "bash"
             for line in text.splitlines() if "curl" in line]
    assert len(lines) > 20
    token = tokens.create_token(fleet, CLI, "docs", "admin", 0, "Ada")[1]
    (tmp_path / "mtproxy_secrets.json").write_text('{"secrets": [], "metadata": {}}')
    # The job of many users is waited for, as whoever reads on does.
    script = "\n".join(["set -euo pipefail", *lines])
    done = subprocess.run(["bash", "-c", script], env={**os.environ, "PANEL": site, "TOKEN": token}, cwd=tmp_path,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "https://t.me/proxy?server=proxy.example" in done.stdout and "mtproto_user_connections" in done.stdout
    assert (tmp_path / "alice.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "backup.age").read_bytes().startswith(b"age-encryption.org")
    assert sorted(user.name for user in fleet.users()) == ["Alice", "Bob", "Carol", "Dave"]
    assert fleet.user("Alice").note == "paid until June"


def test_both_languages_have_the_same_examples() -> None:
    english, russian = (Page(ROOT / name).blocks for name in ("docs/api.md", "docs/ru/api.md"))
    assert english == russian
