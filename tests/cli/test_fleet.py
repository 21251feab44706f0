"""`start`, `stop`, `restart`, `logs` and `events`, with real proxies."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from tests.cli.conftest import ROOT, Run


def add_and_hear(run: Run, name: str) -> int:
    """Add a user whose proxy has said its first line, which comes a moment after it accepts; the port."""
    port = run("user", "add", name, "--json").json()["port"]
    deadline = time.monotonic() + 60
    while not run("logs", name, "--json").json():
        assert time.monotonic() < deadline, f"the proxy on port {port} says nothing"
    return port


def test_stop_and_start_are_declared_for_all(run, data: Path) -> None:
    run("user", "add", "Alice")
    assert run("stop").stdout.startswith("stop mtg-proxy-")
    assert run("status", "--json").json()["stopped"] is True
    assert run("reconcile").stdout == "Nothing to do.\n"
    assert "All proxies are stopped" in run("status").stdout
    run("start")
    assert run("user", "show", "Alice", "--json").json()["state"] == "running"


def test_stop_and_start_of_one_user_lock_out_and_let_in(run) -> None:
    run("user", "add", "Alice")
    assert run("stop", "Alice").stdout == "Alice: disabled\n"
    assert run("start", "Alice", "--json").json()["state"] == "running"
    assert "no user 'Bob'" in run("stop", "Bob").refused()


def test_restart_makes_a_new_start_of_one_users_proxy(run) -> None:
    run("user", "add", "Alice")
    run("user", "add", "Bob")
    assert len(run("restart", "Alice", "--json").json()) == 1
    assert len(run("restart", "--json").json()) == 2
    assert run("status", "--json").json()["running"] == 2


def test_logs_are_merged_filtered_and_cut(run) -> None:
    ports = [add_and_hear(run, name) for name in ("Alice", "Bob")]
    lines = run("logs", "--json").json()
    assert [line.split()[0] for line in lines] == [f"[mtg-proxy-{port}]" for port in ports]
    assert all("serving ee" in line for line in lines)
    assert run("logs", "Bob", "--json").json() == lines[1:]
    assert run("logs", "--tail", "1", "--json").json() == lines[1:]
    assert run("logs", "Carol").refused()


def test_the_audit_log_tells_who_did_what_also_to_somebody_who_is_gone(run) -> None:
    run("user", "add", "Alice", "--disabled")
    run("user", "add", "Bob", "--disabled")
    run("traffic", "reset", "Bob")
    run("user", "remove", "Alice", "--yes")
    document = run("events", "--json").json()
    assert [(one["actor"], one["action"], one["subject"]) for one in document[-4:]] == [
        ("cli", "user added", "Alice"), ("cli", "user added", "Bob"), ("cli", "traffic reset", "Bob"),
        ("cli", "user removed", "Alice")]
    assert all(datetime.fromisoformat(one["at"]).tzinfo for one in document)
    assert run("events", "--last", "2", "--json").json() == document[-2:]
    assert [one["code"] for one in run("events", "Alice", "--json").json()] == ["user.added", "user.removed"]
    assert "  cli: user added, Bob" in run("events", "Bob").stdout
    assert run("events", "Carol").stdout == "No entries about 'Carol'.\n"


def test_logs_are_followed_until_interrupted(run, data: Path) -> None:
    alice = add_and_hear(run, "Alice")
    follower = subprocess.Popen([sys.executable, "-m", "app.cli", "--data", str(data), "logs", "--follow"],
                                cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert f"[mtg-proxy-{alice}]" in follower.stdout.readline()
        bob = run("user", "add", "Bob", "--json").json()
        assert f"[mtg-proxy-{bob['port']}]" in follower.stdout.readline()
    finally:
        follower.send_signal(2)
        _, errors = follower.communicate(timeout=60)
    assert (follower.returncode, "Traceback" in errors) == (130, False)


def test_following_has_no_json_document(run) -> None:
    answer = run("logs", "--follow", "--json")
    assert answer.code == 2 and "--follow" in answer.stderr


def test_the_version_is_told_and_what_it_makes_of_the_measurements(run, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    told = run("version", "--data", str(nothing)).stdout.strip()
    document = run("version", "--data", str(nothing), "--json").json()
    assert told == document["version"] and 1 <= document["ledger_readable_by"] <= document["ledger"]
    assert not nothing.exists(), "it needs no installation"


def test_where_no_image_is_old_no_proxy_is_replaced(run) -> None:
    run("settings", "set", "proxy_bind=127.0.0.1")
    assert run("update-proxies", "--check", "--json").json() == {"count": 0, "proxies": []}
    assert "No proxy runs an old image" in run("update-proxies").stdout
