"""The command as a process: one JSON document, quiet when interrupted, quick to start, never waiting."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from app.config.file import ConfigFile
from tests.cli.conftest import ROOT
from tests.docs.test_documented import CLI as COMMANDS

DONE = [
    ("status",), ("reconcile",), ("start",), ("stop",), ("restart",), ("restart", "Alice"), ("stop", "Alice"),
    ("logs",), ("events",), ("user", "list"), ("user", "show", "Alice"), ("user", "link", "Alice"),
    ("user", "set", "Alice", "note=x"), ("user", "disable", "Alice"), ("user", "rotate", "Alice"),
    ("user", "add", "Bob", "--disabled"), ("user", "remove", "Alice", "--yes"), ("user", "enable", "Alice"),
    ("settings", "list"), ("settings", "get", "proxy_port"), ("settings", "set", "traffic_limit_gb=5"),
    ("config", "check"), ("config", "show"), ("create-admin", "--username", "bob", "--password", "correct horse"),
    ("reset-password", "--username", "admin"), ("traffic",), ("traffic", "Alice", "--since", "24h"),
    ("traffic", "show", "Alice"), ("traffic", "reset", "Alice"), ("traffic", "reset", "--all"),
    ("certificates", "list"), ("admin", "list"), ("admin", "set", "admin", "--sudo"), ("first-password",),
    ("admin", "remove", "admin", "--yes"), ("version",), ("update-proxies",),
    ("backups",), ("plan", "list"), ("plan", "add", "Month"), ("plan", "show", "Family"), ("plan", "remove", "Family"),
    ("plan", "set", "Family", "limit_gb=5"), ("user", "deleted"), ("user", "restore", "Gone"),
    ("user", "share", "Alice"), ("token", "list"), ("token", "add", "script"), ("notify", "list"),
    ("notify", "add", "webhook", "Hook", "url=https://hooks.example/x", "secret=k"), ("mtproxy", "list-secrets"),
    ("mtproxy", "show-config"), ("mtproxy", "set-port", "9000"), ("mtproxy", "set-workers", "1"),
    ("mtproxy", "export"), ("mtproxy", "stats"), ("mtproxy", "files"),
]


@pytest.mark.parametrize("words", DONE, ids=" ".join)
def test_with_json_a_done_command_prints_exactly_one_document(run, words: tuple[str, ...]) -> None:
    run("user", "add", "Alice", "--disabled")
    if words[0] == "plan":
        run("plan", "add", "Family")
    if "Gone" in words:
        run("user", "add", "Gone", "--disabled")
        run("user", "remove", "Gone", "--yes")
    if words[:2] == ("admin", "remove"):
        run("create-admin", "--username", "eve", "--password", "correct horse", "--sudo")
    answer = run(*words, "--json")
    assert answer.code == 0
    answer.json()


def test_as_a_process_it_prints_no_more_than_that(run, command) -> None:
    run("user", "add", "Alice", "--disabled")
    for words in (("status",), ("user", "list"), ("traffic",), ("reconcile",)):
        assert command(*words, "--json").json() is not None


def test_every_command_was_tried_with_json() -> None:
    tried = {" ".join(words[: len(path.split())]) for words in DONE for path in COMMANDS}
    # These have tests of their own.
    assert set(COMMANDS) - tried == {"serve", "probe", "certificates renew", "domains check", "backup", "restore",
                                     "doctor", "debug-log", "bans list", "bans remove",
                                     "bans add", "token remove", "notify set", "notify test",
                                     "notify remove", "mtproxy add-secret", "mtproxy import",
                                     "mtproxy regenerate-secret", "mtproxy remove-secret", "admin remove-factor"}


@pytest.mark.parametrize(
    "words", [("--json", "user", "list"), ("user", "--json", "list"), ("user", "list", "--json")]
)
def test_json_may_stand_anywhere(command, words: tuple[str, ...]) -> None:
    assert command(*words).json() == []


def test_data_may_stand_before_or_after_the_command(command, tmp_path) -> None:
    other = tmp_path / "other"
    ConfigFile(other).prepare()
    command("user", "add", "Alice", "--disabled", "--data", str(other))
    assert [u["name"] for u in command("--data", str(other), "user", "list", "--json").json()] == ["Alice"]
    assert command("user", "list", "--json").json() == []


def test_every_command_has_help_that_fits_80_columns(run, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for path, spec in COMMANDS.items():
        answer = run(*path.split(), "--help")
        assert (answer.code, answer.stderr) == (0, "") and spec.help
        assert all(len(line) <= 80 for line in answer.stdout.splitlines())


def test_help_is_answered_without_loading_the_panel() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import app.cli.__main__, sys; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()
    assert "click" in loaded
    assert not {"pydantic", "cryptography", "flask", "waitress", "PIL", "app.actions", "app.control"} & set(loaded)


def start(data, *words: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", *words], cwd=ROOT,
        env={**os.environ, "MTPROTO_DATA_DIR": str(data)}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, **options,
    )


def test_a_reader_that_leaves_early_is_no_error(data) -> None:
    for words in (("config", "show"), ("user", "list"), ("--help",)):
        reading, writing = os.pipe()
        os.close(reading)
        with start(data, *words, stdout=writing) as process:
            os.close(writing)
            assert process.wait(120) == 0
            assert process.stderr.read() == ""


def test_ctrl_c_is_quiet(data) -> None:
    # It waits for the lock that a running reconcile holds.
    with open(data / "reconcile.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with start(data, "reconcile", stdout=subprocess.PIPE) as process:
            waits = f"/proc/{process.pid}/syscall"
            # 73 is flock on x86-64, 32 on arm64.
            while open(waits).read().split()[0] not in ("73", "32"):
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 130
            assert "Traceback" not in process.stderr.read()


def test_remove_without_a_terminal_does_not_wait_for_an_answer(command) -> None:
    command("user", "add", "Alice", "--disabled")
    answer = command("user", "remove", "Alice", "--json")
    assert answer.code == 2 and "--yes" in json.loads(answer.stderr)["error"]
