"""With --json, whatever goes wrong is one JSON object with a code, its values and the sentence."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.__main__ import cli
from app.lib.problem import Problem
from app.messages import ENGLISH
from tests.cli.test_commands import words_of_all


def error(answer: Any, code: int = 1) -> dict[str, Any]:
    """The one document on stderr, and nothing beside it."""
    assert answer.exit_code == code, answer.output
    told = json.loads(answer.stderr)
    assert isinstance(told, dict) and told["code"] in ENGLISH.templates and isinstance(told["params"], dict), told
    assert told["message"] and told["message"] == told["error"] and isinstance(told["field"], str), told
    return told


@pytest.fixture
def call(data: Path) -> Any:
    return lambda *words: CliRunner().invoke(cli, ["--data", str(data), *words, "--json"])


def test_a_refused_value_tells_the_value_and_the_input(call) -> None:
    told = error(call("user", "add", "Alice", "--limit-gb", "lots"))
    assert (told["code"], told["field"], told["params"]["typed"]) == ("user.limit", "limit_gb", "lots")


def test_several_refused_values_are_all_told(call) -> None:
    assert call("user", "add", "Alice", "--disabled").exit_code == 0
    told = error(call("settings", "set", "proxy_port=0", "monitor_seconds=x"))
    assert [one["field"] for one in told["problems"]][:2] == ["proxy_port", "monitor_seconds"]
    assert all(one["code"] in ENGLISH.templates and one["message"] in told["message"] for one in told["problems"])


def test_an_unknown_user_is_named(call) -> None:
    told = error(call("user", "show", "Nobody"))
    assert (told["code"], told["params"]) == ("user.unknown", {"ref": "Nobody"})


def test_what_the_environment_says_wrong_is_told(call, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as wrong:
        wrong.setenv("MTPROTO_RUNTIME", "swarm")
        told = error(call("status"))
    assert (told["code"], told["params"]["value"]) == ("environment.runtime", "swarm")


def test_what_the_runtime_could_not_do_is_told(call, data: Path) -> None:
    (data / "proxies").write_text("no folder")
    told = error(call("logs"))
    (data / "proxies").unlink()
    assert told["code"] == "runtime.folders_unreadable" and told["params"]["reason"]


def test_a_damaged_ledger_and_a_folder_that_is_none_are_told(call, data: Path, tmp_path: Path) -> None:
    told = error(CliRunner().invoke(cli, ["--data", str(tmp_path / "no"), "status", "--json"]))
    assert (told["code"], told["field"]) == ("installation.none", "data")
    with sqlite3.connect(data / "panel.db") as db:
        db.execute("DROP TABLE IF EXISTS events")
    told = error(call("events"))
    assert told["code"] in ("ledger.refuses", "ledger.unusable") and "events" in told["message"]


def test_bad_usage_is_told_the_same_way_and_ends_with_2(call) -> None:
    told = error(call("nonsense"), 2)
    assert told["code"] == "usage" and "nonsense" in told["params"]["reason"]


@pytest.mark.parametrize("words", [*words_of_all(), ["user", "show", "X"], ["user", "set", "X", "note=y"],
                                   ["user", "enable", "X"], ["user", "disable", "X"], ["user", "rotate", "X"],
                                   ["user", "link", "X"]], ids=" ".join)
@pytest.mark.parametrize("broken", ["no installation", "an unreadable configuration", "bad usage"])
def test_every_command_tells_an_error_as_one_object(words: list[str], broken: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    if broken == "an unreadable configuration":
        folder.mkdir(0o700)
        (folder / "config.json").write_text("{broken")
    more = ["--no-such-option"] if broken == "bad usage" else []
    answer = CliRunner().invoke(cli, ["--data", str(folder), *words, *more, "--json"], input="")
    if (words, broken) == (["backups"], "an unreadable configuration"):
        # That is when one of them is needed.
        assert (answer.exit_code, answer.stdout) == (0, "[]\n"), answer.output
        return
    told = error(answer, 2 if more else 1)
    assert told["code"] == "usage" if more else told["code"] != "usage"


def test_an_event_is_told_as_a_code_with_its_detail_as_another(call) -> None:
    assert call("user", "add", "Alice", "--disabled").exit_code == 0
    assert call("user", "set", "Alice", "note=x").exit_code == 0
    first, last = json.loads(call("events", "Alice").stdout)
    assert (first["code"], first["params"]) == ("user.added", {"subject": "Alice", "detail": None})
    assert last["params"]["detail"] == {"code": "event.fields", "params": {"names": ["note"]}, "message": "note"}
    assert last["message"] == "user changed, Alice (note)" and last["actor"] == "cli"


def test_what_a_command_did_tells_failures_as_codes(call, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("user", "add", "Alice", "--disabled").exit_code == 0
    monkeypatch.setattr("app.runtimes.process.runtime.ProcessRuntime.create", _fails)
    told = call("start")
    answer = call("user", "enable", "Alice")
    assert answer.exit_code == 0 and json.loads(answer.stdout)["state"] == "failed", "saved, and tried again"
    told = call("reconcile")
    (outcome,) = [each for each in json.loads(told.stdout) if not each["ok"]]
    assert (outcome["reason_coded"]["code"], outcome["reason_coded"]["message"]) == \
        ("runtime.start_failed", outcome["reason"])
    status = json.loads(call("status").stdout)
    assert {one["code"] for one in status["problems_coded"]} >= {"of_user"}
    assert [one["message"] for one in status["problems_coded"]] == status["problems"]
    (alice,) = status["users"]
    assert (alice["reason_coded"]["code"], alice["slow_coded"]) == ("runtime.start_failed", None)
    assert error(told)["code"] == "actions.failed"


def _fails(*_: object) -> None:
    from app.runtimes.base import RuntimeFailure

    raise RuntimeFailure("runtime.start_failed", name="mtg-proxy-2443", reason=Problem("disk.full"))


def test_a_folder_that_may_not_be_read_is_told(call, data: Path) -> None:
    told = error(call("backup", str(data / "no" / "such" / "file")))
    assert told["params"] and os.fspath(data) in told["message"]
