"""The commands of the notifications."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.sinks import Sink


def test_a_channel_is_added_listed_tested_changed_and_removed(run, data: Path) -> None:
    sink = Sink()
    added = run("notify", "add", "webhook", "Hook", f"url={sink.url}", "secret=-", "events=update expired", "--json",
                input="hush-hush\n")
    assert added.json()["secret"] is True and added.json()["events"] == ["update", "expired"]
    assert json.loads((data / "config.json").read_text())["notifications"][0]["secret"] == "hush-hush"
    assert (data / "config.json").stat().st_mode & 0o777 == 0o600
    listed = run("notify", "list")
    assert "Hook" in listed.stdout and "hush" not in listed.stdout
    assert run("notify", "test", "hook").stdout == "The test was sent by Hook.\n"
    assert len(sink.received) == 1
    assert run("notify", "set", "hook", "name=Other", "digest=daily").stdout == "Other is saved.\n"
    sink.stop()
    assert "can't be reached" in run("notify", "test", "other").refused()
    assert run("notify", "remove", "other").code == 0
    assert run("notify", "list", "--json").json() == []


def test_what_is_wrong_is_refused_with_what_is_allowed(run, unchanged) -> None:
    assert "telegram, email, webhook, ntfy" in run("notify", "add", "pigeon", "P").refused()
    assert "this is needed" in run("notify", "add", "ntfy", "N").refused()
    assert "host" in run("notify", "add", "ntfy", "N", "host=x").refused()
    said = run("notify", "add", "telegram", "T", "chats=1", "secret=my-secret-password").stderr
    assert "no token of a bot" in said and "my-secret-password" not in said
    assert "there is no channel" in run("notify", "test", "nobody").refused()
