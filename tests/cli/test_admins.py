"""`admin …`, `create-admin`, `reset-password`, `first-password`, and secrets that are typed instead of given."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.__main__ import cli
from app.config.passwords import verify_password
from tests.cli.conftest import ROOT, Answer, arguments

SOCKS = "carol:swordfish@127.0.0.1:1080"


@pytest.fixture
def typed(data: Path):
    """Run a command with this on its standard input."""

    def call(text: str, *words: str) -> Answer:
        result = CliRunner().invoke(cli, arguments(data, words), input=text, catch_exceptions=False)
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call


def declared(data: Path) -> dict:
    return json.loads((data / "config.json").read_text())


def test_a_password_is_read_from_standard_input(typed, data: Path) -> None:
    answer = typed("correct horse\n", "create-admin", "--username", "bob", "--password", "-")
    assert (answer.code, answer.stderr) == (0, "")
    assert verify_password(declared(data)["admins"][0]["password_hash"], "correct horse")[0]
    answer = typed("another password", "reset-password", "--username", "bob", "--password", "-", "--json")
    assert answer.json() == {"username": "bob"}
    assert verify_password(declared(data)["admins"][0]["password_hash"], "another password")[0]


@pytest.mark.parametrize("text", ["", "\n", "short\n", "12345678\n"])
def test_nothing_or_too_little_on_standard_input_changes_nothing(typed, unchanged, text: str) -> None:
    for words in (("create-admin", "--username", "bob"), ("reset-password", "--username", "admin")):
        assert typed(text, *words, "--password", "-").code in (1, 2)


def test_a_password_is_asked_for_on_a_terminal_and_not_shown(data: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "--data", str(data), "create-admin", "--username", "bob"],
        cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(slave), os.O_RDWR)))
    os.close(slave)
    shown = b""
    for prompt in (b"Password: ", b"confirmation: "):
        while prompt not in shown:
            shown += os.read(master, 1024)
        os.write(master, b"correct horse\n")
    while True:
        try:
            piece = os.read(master, 1024)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    assert process.wait(90) == 0, shown
    assert b"correct horse" not in shown and b"bob is an operator now" in shown
    assert verify_password(declared(data)["admins"][0]["password_hash"], "correct horse")[0]


def test_the_documented_flag_works_with_a_warning_and_without_one_for_programs(run) -> None:
    answer = run("create-admin", "--username", "bob", "--password", "correct horse")
    assert answer.code == 0 and "Warning: " in answer.stderr and "--password -" in answer.stderr
    assert "correct horse" not in answer.stderr + answer.stdout
    run("create-admin", "--username", "eve", "--password", "correct horse", "--json").json()


def test_simple_passwords_are_refused(run, unchanged) -> None:
    for password in ("12345678", "password123", "bob-2027", "aaaaaaaaaa"):
        run("create-admin", "--username", "bob", "--password", password, "--json").refused()


def test_the_list_of_admins_says_who_has_a_second_factor(run, data: Path) -> None:
    run("create-admin", "--username", "bob", "--password", "correct horse", "--json").json()
    config = declared(data)
    config["second_factors"] = [{"username": "bob", "totp_secret": "A" * 32}]
    (data / "config.json").write_text(json.dumps(config))
    assert [(each["username"], each["second_factor"]) for each in run("admin", "list", "--json").json()] == [
        ("admin", False), ("bob", True)]
    assert run("admin", "list").stdout.split()[4:] == ["admin", "owner", "no", "bob", "operator", "yes"]
    run("admin", "remove-factor", "bob", "--yes", "--json").json()
    assert not any(each["second_factor"] for each in run("admin", "list", "--json").json())


def test_admins_are_listed_demoted_and_removed_but_never_the_last_owner(run, data: Path) -> None:
    run("create-admin", "--username", "bob", "--password", "correct horse", "--json").json()
    assert run("admin", "list", "--json").json() == [
        {"username": "admin", "role": "owner", "sudo": True, "second_factor": False},
        {"username": "bob", "role": "operator", "sudo": False, "second_factor": False}]
    assert run("admin", "list").stdout.split() == [
        "NAME", "ROLE", "SECOND", "FACTOR", "admin", "owner", "no", "bob", "operator", "no"]
    for words in (("admin", "set", "admin", "--no-sudo"), ("admin", "set", "admin", "--role", "viewer"),
                  ("admin", "remove", "admin", "--yes")):
        assert "the only owner" in run(*words).refused()
    assert run("admin", "set", "bob", "--role", "viewer", "--json").json() == {
        "username": "bob", "role": "viewer", "sudo": False}
    assert run("admin", "set", "bob").code == run("admin", "set", "bob", "--role", "king").code == 2
    assert run("admin", "set", "bob", "--sudo", "--json").json() == {"username": "bob", "role": "owner", "sudo": True}
    assert run("admin", "remove", "admin").code == 2
    assert run("admin", "remove", "admin", "--yes", "--json").json() == {"removed": "admin"}
    assert run("admin", "list", "--json").json() == [
        {"username": "bob", "role": "owner", "sudo": True, "second_factor": False}]
    assert declared(data)["admin_username"] == "bob" and "_initial_password" not in declared(data)
    assert "no admin 'nobody'; there are: bob" in run("admin", "set", "nobody", "--sudo").refused()


def test_the_first_password_is_printed_until_there_is_another(run, data: Path) -> None:
    password = declared(data)["_initial_password"]
    assert run("first-password", "--json").json() == {"username": "admin", "password": password}
    assert password in run("first-password").stdout
    run("reset-password", "--username", "admin")
    assert "reset-password --username admin" in run("first-password").refused()


def test_the_password_of_the_way_to_telegram_is_typed_and_masked_everywhere(run, typed, data: Path) -> None:
    assert typed(f"{SOCKS}\n", "settings", "set", "upstream_socks5=-").stderr == ""
    assert declared(data)["upstream_socks5"] == SOCKS
    masked = "carol:…@127.0.0.1:1080"
    for words in (("settings", "list"), ("settings", "get", "upstream_socks5"), ("config", "show"), ("events",),
                  ("settings", "set", f"upstream_socks5={SOCKS}"), ("status",)):
        for form in ((), ("--json",)):
            answer = run(*words, *form)
            assert answer.code == 0 and "swordfish" not in answer.stdout + answer.stderr, words
            assert masked in answer.stdout or words[0] in ("events", "status"), words
    assert run("settings", "get", "upstream_socks5", "--reveal").stdout == f"{SOCKS}\n"
    assert run("settings", "list", "--reveal", "--json").json()["upstream_socks5"] == SOCKS


def test_a_masked_password_that_is_set_again_is_the_one_that_was_there_and_never_a_new_one(run, data: Path) -> None:
    answer = run("settings", "set", f"upstream_socks5={SOCKS}")
    assert "Warning: " in answer.stderr and "upstream_socks5=-" in answer.stderr
    assert run("settings", "set", "upstream_socks5=carol:…@127.0.0.1:1080").code == 0
    assert declared(data)["upstream_socks5"] == SOCKS
    assert "masked" in run("settings", "set", "upstream_socks5=carol:…@127.0.0.1:1081").refused()
    assert declared(data)["upstream_socks5"] == SOCKS


def test_the_secret_of_a_user_is_read_from_standard_input(run, typed) -> None:
    run("user", "add", "Alice", "--disabled")
    secret = "ee" + "5a" * 16 + b"www.example.com".hex()
    assert typed(f"{secret}\n", "user", "set", "Alice", "secret=-").code == 0
    assert run("user", "show", "Alice", "--json").json()["secret"] == secret


def test_fields_of_other_versions_that_sound_like_secrets_are_masked(run, data: Path) -> None:
    (data / "config.json").write_text(json.dumps({**declared(data), "bot_token": "swordfish", "wallpaper": "blue"}))
    shown = run("config", "show").stdout
    assert "swordfish" not in shown and "blue" in shown


def test_the_name_that_is_printed_is_the_one_that_is_kept(run) -> None:
    """In one spelling, however it was typed: the next command has to find it."""
    made = run("create-admin", "--username", "  Rene\u0301 ", "--password", "a-long-password-4711", "--json").json()
    assert made["username"] == "René"
    assert "René" in [admin["username"] for admin in run("admin", "list", "--json").json()]


def test_who_has_lost_their_second_factor_gets_in_by_a_command(run, data: Path) -> None:
    secret = "A" * 32
    declaration = declared(data)
    declaration["second_factors"] = [{"username": "admin", "totp_secret": secret, "recovery_codes": ["0" * 64]}]
    (data / "config.json").write_text(json.dumps(declaration))
    shown = run("config", "show").stdout
    assert secret not in shown and "0" * 64 not in shown
    assert run("admin", "remove-factor", "admin").code == 2
    assert run("admin", "remove-factor", "admin", "--yes", "--json").json() == {"username": "admin"}
    assert not declared(data)["second_factors"]
    assert "admin has no second factor" in run("admin", "remove-factor", "admin", "--yes").refused()
