"""`mtproxy …`: secrets, files for other programs, and Telegram's files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from app.cli.output import duration
from app.config.file import ConfigFile
from app.control.choice import choose
from tests.cli.conftest import Run

KEY = "0123456789abcdef" * 2


@pytest.fixture
def ready(run: Run) -> Run:
    """The command line of an installation with an address."""
    assert run("settings", "set", "server_ip=203.0.113.7").code == 0
    return run


def test_secrets_of_each_kind_are_added_listed_masked_and_removed(ready: Run, data: Path) -> None:
    padded = ready("mtproxy", "add-secret", "--json").json()
    plain = ready("mtproxy", "add-secret", "--without-padding", "--name", "Bob", "--json").json()
    tls = ready("mtproxy", "add-secret", "--domain", "www.example.com", "--json").json()
    assert [padded["secret"][:2], len(plain["secret"]), tls["secret"][:2]] == ["dd", 32, "ee"]
    assert [padded["name"], plain["name"], tls["name"]] == ["mtproxy-1", "Bob", "mtproxy-2"]
    assert [padded["port"], plain["port"], tls["port"]] == [8543, 8543, 8544]
    listed = ready("mtproxy", "list-secrets")
    assert padded["secret"] not in listed.stdout and padded["secret"][:6] in listed.stdout
    listed = ready("mtproxy", "list-secrets", "--json").json()
    assert [each["padding_enabled"] for each in listed] == [True, False, True]
    assert ready("mtproxy", "remove-secret", plain["secret"]).code == 2, "it asks first"
    assert ready("mtproxy", "remove-secret", plain["secret"], "--yes").code == 0
    assert len(ready("mtproxy", "list-secrets", "--json").json()) == 2


def test_the_last_secret_is_removed_with_a_warning(ready: Run) -> None:
    ready("mtproxy", "add-secret", "--name", "Alice")
    assert "It is the last one of MTProxy." in ready("mtproxy", "remove-secret", "Alice").stderr
    assert "It is the last one of MTProxy." in ready("mtproxy", "remove-secret", "Alice", "--yes").stdout
    assert "MTProxy has no users" in ready("mtproxy", "list-secrets").stdout


def test_a_secret_is_regenerated_by_its_key_with_or_without_the_prefix(ready: Run) -> None:
    before = ready("mtproxy", "add-secret", "--json").json()
    after = ready("mtproxy", "regenerate-secret", before["secret"][2:], "--json").json()
    assert (after["id"], after["secret"][:2]) == (before["id"], "dd") and after["secret"] != before["secret"]
    assert "there is no user" in ready("mtproxy", "regenerate-secret", before["secret"]).refused()


def test_another_engines_user_is_left_alone(ready: Run) -> None:
    ready("user", "add", "Dora")
    for words in (("regenerate-secret", "Dora"), ("remove-secret", "Dora", "--yes"), ("show-config", "Dora")):
        assert "is served by another engine" in ready("mtproxy", *words).refused()


def test_the_export_has_the_schema_is_private_and_follows_every_change(ready: Run, data: Path) -> None:
    alice = ready("mtproxy", "add-secret", "--name", "علی‌رضا <b>", "--json").json()
    path = data / "mtproxy/mtproxy_secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    document = json.loads(path.read_text())
    (entry,) = document["secrets"]
    assert (entry["value"], entry["padding_enabled"], entry["active"]) == (alice["secret"], True, True)
    assert set(document["metadata"]) == {"last_modified", "version"}
    link, png, svg = (Path(alice[key]) for key in ("link_file", "qr_png", "qr_svg"))
    assert link.read_text() == alice["tg_link"] + "\n" and svg.read_bytes().startswith(b"<?xml")
    assert Image.open(io.BytesIO(png.read_bytes())).size == (300, 300)
    ready("mtproxy", "set-port", "9443")
    assert "port=9443" in link.read_text()
    ready("mtproxy", "remove-secret", alice["id"], "--yes")
    assert not link.parent.exists() and json.loads(path.read_text())["secrets"] == []


def test_secrets_of_another_installation_are_taken_over_once(ready: Run, tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"secrets": [
        {"value": f"dd{KEY}", "padding_enabled": True, "created_at": "2025-11-07T12:00:00Z", "active": True},
        {"value": KEY[::-1], "padding_enabled": True, "active": False, "name": "Bob"},
        {"value": f"dd{KEY}"}], "metadata": {"version": "6.0.0"}}))
    told = ready("mtproxy", "import", str(file), "--json").json()
    assert (told["added"], told["known"]) == (["mtproxy-1", "Bob"], 1)
    assert [each["code"] for each in told["unserved"]] == ["engine.mtproxy_needs_docker"], "kept, and why not served"
    listed = ready("mtproxy", "list-secrets", "--json").json()
    assert [(each["name"], each["active"], each["padding_enabled"]) for each in listed] == [
        ("mtproxy-1", True, True), ("Bob", False, True)]
    assert ready("mtproxy", "import", str(file), "--json").json() == {"added": [], "known": 3, "unserved": []}
    file.write_text(json.dumps({"secrets": [{"value": f"dd{'89abcdef' * 4}"}]}))
    said = " ".join(ready("mtproxy", "import", str(file)).stdout.split())
    assert "Taken over: 1." in said and "kept, but not served yet: MTProxy runs in containers only" in said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"secrets": 5}', "\x00", "[" * 9999,
                                  '{"secrets": [{"value": "12"}]}', '{"secrets": [null]}', '{"secrets": [{}]}'])
def test_what_is_no_export_changes_nothing(ready: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "old.json"
    file.write_text(text)
    assert "Nothing was taken over" in ready("mtproxy", "import", str(file)).refused()
    assert ready("mtproxy", "list-secrets", "--json").json() == []


@pytest.mark.parametrize("secret", [KEY[:30], KEY + "00", f"dd{KEY[:28]}", f"dd{KEY}00", f"ee{KEY}"])
def test_a_secret_of_another_length_is_refused_wherever_it_comes_from(ready: Run, tmp_path: Path, secret: str) -> None:
    assert ready("user", "add", "Alice", "--link", secret, "--engine", "mtproxy").refused()
    (tmp_path / "old.json").write_text(json.dumps({"secrets": [{"value": f"dd{KEY}"}, {"value": secret}]}))
    assert "secret number 2 can't be taken over" in ready("mtproxy", "import", str(tmp_path / "old.json")).refused()
    for command in ("show-config", "regenerate-secret"):
        assert "there is no user" in ready("mtproxy", command, secret).refused()
    assert ready("mtproxy", "list-secrets", "--json").json() == []


def test_bad_values_are_refused_with_what_is_allowed(ready: Run) -> None:
    assert "from 0 to 8" in ready("mtproxy", "set-workers", "1000").refused()
    assert "from 1 to 65535" in ready("mtproxy", "set-port", "70000").refused()
    assert ready("mtproxy", "set-workers", "0").code == 0
    assert ready("mtproxy", "add-secret", "--domain", "localhost").code == 1
    assert "can't be read" in ready("mtproxy", "import", "/no/such/file").refused()


def test_uptimes_are_told_in_days_hours_and_minutes() -> None:
    assert [duration(each) for each in (0.4, 59, 60, 3_720, 86_400, 192_720)] == [
        "0s", "59s", "1m", "1h 2m", "1d", "2d 5h 32m"]


def test_status_says_nothing_of_mtproxy_where_nobody_uses_it(ready: Run) -> None:
    ready("user", "add", "Dora")
    assert "MTProxy" not in ready("status").stdout and ready("status", "--json").json()["mtproxy"] is None


def test_without_docker_files_are_refused_and_containers_are_listed_as_missing(ready: Run, data: Path) -> None:
    ready("mtproxy", "add-secret")
    assert "runs in containers only" in ready("mtproxy", "files", "/dev/null", "/dev/null").refused()
    (container,) = ready("mtproxy", "stats", "--json").json()
    assert (container["state"], container["users"], container["connections"]) == ("missing", 1, None)
    said = ready("status").stdout
    assert "MTProxy, with Telegram's files missing" in said and "mtg-proxy-mtproxy  8543" in said
    told = ready("status", "--json").json()["mtproxy"]
    assert (told["files_age_s"], told["containers"][0]["port"]) == (None, 8543)
    assert "There are none" in ready("mtproxy", "files").stdout
    told = ready("mtproxy", "show-config", "--json").json()
    assert told["settings"]["mtproxy_first_port"] == 8543 and told["files_age_s"] is None
    assert "mtproxy" in choose(ConfigFile(data))[1]
