"""`user …`: what a person and a program get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from app.mtproto.links import parse_link
from app.mtproto.secret import Secret


def test_add_prints_everything_another_program_needs(run, data: Path) -> None:
    user = run("user", "add", "Alice", "--domain", "www.example.com", "--limit-gb", "1.5",
               "--speed-mbps", "2", "--expires", "2199-01-31", "--disabled", "--json").json()

    assert {"id", "name", "port", "domain", "secret", "tg_link", "tme_link", "enabled"} <= user.keys()
    assert (user["name"], user["domain"], user["enabled"]) == ("Alice", "www.example.com", False)
    assert (user["own_limit_gb"], user["own_speed_mbps"]) == (1.5, 2)
    assert user["expires_at"].startswith("2199-02-01T00:00")
    assert parse_link(user["tg_link"]) == parse_link(user["tme_link"])
    assert parse_link(user["tg_link"]).secret == Secret.parse(user["secret"])
    declared = json.loads((data / "config.json").read_text())["users"]
    assert [(u["id"], u["name"], u["port"]) for u in declared] == [(user["id"], "Alice", user["port"])]


def test_an_added_user_runs_at_once_and_a_disabled_one_does_not(run) -> None:
    assert run("user", "add", "Alice", "--json").json()["state"] == "running"
    assert run("user", "add", "Bob", "--disabled", "--json").json()["state"] == "disabled"
    status = run("status", "--json").json()
    assert (status["runtime"], status["engine"]) == ("process", "builtin")
    assert (status["running"], status["total"]) == (1, 1)
    assert {u["name"]: u["state"] for u in status["users"]} == {"Alice": "running", "Bob": "disabled"}


def test_disable_and_enable_stop_and_start_the_proxy(run) -> None:
    run("user", "add", "Alice")
    assert run("user", "disable", "Alice", "--json").json()["state"] == "disabled"
    assert run("user", "disable", "Alice", "--json").json()["state"] == "disabled"
    assert run("user", "enable", "Alice", "--json").json()["state"] == "running"


def test_rotate_changes_the_key_and_nothing_else(run) -> None:
    old = run("user", "add", "Alice", "--disabled", "--json").json()
    new = run("user", "rotate", "Alice", "--json").json()
    assert new["secret"] != old["secret"] and new["tg_link"] != old["tg_link"]
    assert (new["id"], new["port"], new["domain"]) == (old["id"], old["port"], old["domain"])


def test_set_changes_several_fields_at_once(run) -> None:
    run("user", "add", "Alice", "--disabled")
    user = run("user", "set", "Alice", "name=Alice Smith", "note=sister", "limit_gb=5", "--json").json()
    assert (user["name"], user["note"], user["limit_gb"]) == ("Alice Smith", "sister", 5)
    assert run("user", "set", "Alice Smith", "limit_gb=", "--json").json()["own_limit_gb"] == 0


def test_a_user_is_found_by_id_too(run) -> None:
    user = run("user", "add", "Alice", "--disabled", "--json").json()
    assert run("user", "show", user["id"], "--json").json()["name"] == "Alice"


def test_an_ambiguous_name_is_refused_and_the_ids_are_told(run, data: Path) -> None:
    for name in ("Alice", "Alicia"):
        run("user", "add", name, "--disabled")
    path = data / "config.json"
    path.write_text(path.read_text().replace("Alicia", "Alice"))
    ids = [u["id"] for u in run("user", "list", "--json").json()]

    message = run("user", "disable", "Alice").refused()

    assert all(user_id in message for user_id in ids)
    assert run("user", "show", ids[1], "--json").json()["id"] == ids[1]


def test_remove_asks_for_yes_and_then_removes(run) -> None:
    run("user", "add", "Alice")
    asked = run("user", "remove", "Alice")
    assert asked.code == 2 and "--yes" in asked.stderr
    assert [u["name"] for u in run("user", "list", "--json").json()] == ["Alice"]

    assert run("user", "remove", "Alice", "--yes", "--json").json()["name"] == "Alice"
    assert run("user", "list", "--json").json() == []


@pytest.mark.parametrize("verb", ["show", "enable", "disable", "rotate", "link"])
def test_an_unknown_user_is_refused(run, verb: str, unchanged) -> None:
    assert "no user 'Nobody'" in run("user", verb, "Nobody").refused()


def test_an_unknown_user_can_be_neither_set_nor_removed(run, unchanged) -> None:
    assert "no user 'Nobody'" in run("user", "set", "Nobody", "note=x").refused()
    assert "no user 'Nobody'" in run("user", "remove", "Nobody", "--yes").refused()


def test_link_prints_both_links_and_nothing_else(run) -> None:
    user = run("user", "add", "Alice", "--disabled", "--json").json()
    assert run("user", "link", "Alice").stdout.split() == [user["tg_link"], user["tme_link"]]


def test_link_writes_qr_codes_that_scan(run, tmp_path: Path) -> None:
    import zxingcpp

    user = run("user", "add", "Alice", "--disabled", "--json").json()
    png, svg = tmp_path / "alice.png", tmp_path / "alice.svg"

    assert run("user", "link", "Alice", "--qr", str(png), "--json").json()["qr"] == str(png)
    assert run("user", "link", "Alice", "--qr", str(svg)).code == 0

    image = Image.open(png)
    assert min(image.size) >= 300
    assert [code.text for code in zxingcpp.read_barcodes(image)] == [user["tg_link"]]
    assert "<svg" in svg.read_text()


def test_link_draws_a_qr_code_on_the_terminal(run) -> None:
    run("user", "add", "Alice", "--disabled")
    drawn = run("user", "link", "Alice", "--terminal").stdout.splitlines()
    assert len(drawn) > 20 and any("█" in line for line in drawn)


def test_link_refuses_other_kinds_of_files(run, tmp_path: Path) -> None:
    run("user", "add", "Alice", "--disabled")
    answer = run("user", "link", "Alice", "--qr", str(tmp_path / "alice.gif"))
    assert answer.code == 2 and ".png or .svg" in answer.stderr
    assert list(tmp_path.glob("alice*")) == []


def test_link_tells_when_the_file_can_not_be_written(run, tmp_path: Path) -> None:
    run("user", "add", "Alice", "--disabled")
    message = run("user", "link", "Alice", "--qr", str(tmp_path / "missing" / "alice.png")).refused()
    assert "No such file or directory" in message and "missing/alice.png" in message


def test_tables_fit_80_columns_with_long_names(run) -> None:
    run("user", "add", "x" * 64, "--disabled")
    run("user", "add", "Мария Константинопольская-Преображенская", "--disabled")
    for words in (("user", "list"), ("status",)):
        for line in run(*words).stdout.splitlines():
            assert len(line) <= 80, line


def test_a_change_of_the_engine_says_that_the_move_is_to_come_and_what_becomes_of_the_link(run) -> None:
    run("user", "add", "Anna")
    before = run("user", "link", "Anna").stdout
    answer = run("user", "set", "Anna", "engine=telemt")
    assert "\n! Anna: stays with builtin: with telemt the link would carry port 8443 instead of " in answer.stdout
    assert "the link has changed" not in answer.stdout.lower() and run("user", "link", "Anna").stdout == before
    answer = run("settings", "set", "engine=telemt", "move_changes_links=true")
    assert "1 user moves to another engine" in answer.stdout
    assert "1 link then carries another port: send it again after the move." in answer.stdout


def test_share_prints_the_address_of_a_page_and_another_one_and_takes_it_away(run) -> None:
    run("user", "add", "Alice", "--disabled")
    first = run("user", "share", "Alice", "--json").json()
    assert first.keys() == {"id", "name", "url", "path"} and len(first["path"]) == len("/s/") + 22
    assert run("user", "share", "Alice", "--json").json() == first
    told = run("user", "share", "Alice").stdout
    assert first["path"] in told and "panel_domain" in told
    assert run("user", "share", "Alice", "--renew", "--json").json()["path"] != first["path"]
    assert run("user", "share", "Alice", "--off", "--json").json()["path"] == ""
    assert "no page" in run("user", "share", "Alice", "--off").stdout
    assert run("user", "share", "Alice", "--off", "--renew").code == 2
    assert run("user", "share", "Nobody").code == 1
