"""The page that checks the installation: the doctor's findings, without a request that waits for them."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from flask import Flask

from app.control import checkup
from app.control.doctor import NOTE, OK, PROBLEM, Finding
from app.messages import text
from tests.support.fleet import Fleet
from tests.web.visitor import Visitor


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPROTO_TIME_SITES", "none")
    monkeypatch.setattr("app.control.probing.probe_link", lambda link, clock, config: 5.0)


def test_what_is_found_is_shown_with_its_command_and_what_is_wrong_first(
        admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("disk", OK, text("enough")),
             Finding("links", PROBLEM, text("<b>Alice's</b> does not work"), "logs 'a b'"),
             Finding("images", NOTE, text("old"))]
    monkeypatch.setattr(checkup, "examine", lambda system: found)
    assert admin.post("/check", {}).location == "/check"
    page = admin.get("/check").text
    assert "1 problem." in page and "&lt;b&gt;Alice" in page and "logs &#39;a b&#39;" in page
    assert page.index("Alice") < page.index("Images") < page.index("Disk")


def test_a_real_look_comes_to_its_end(admin: Visitor, fleet: Fleet, panel: Flask) -> None:
    fleet.add_user("Alice")
    admin.post("/check", {})
    panel.extensions["checkup"].wait(60)
    assert "Seen from the panel" in admin.get("/check").text


def test_nobody_waits_for_a_slow_look_and_two_who_ask_get_the_same(
        admin: Visitor, panel: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, looks = threading.Event(), []

    def slow(system: object) -> list[Finding]:
        looks.append(1)
        go_on.wait(60)
        return [Finding("links", OK, text("all of them"))]

    monkeypatch.setattr(checkup, "examine", slow)
    monkeypatch.setattr("app.web.pages.checkup.PATIENCE", 0.01)
    for _ in range(2):
        assert admin.post("/check", {}).status_code == 302
    assert "Checking" in admin.get("/check/result").text and len(looks) == 1
    go_on.set()
    panel.extensions["checkup"].wait(60)
    shown = admin.get("/check/result").text
    assert "Checking" not in shown and "All of them" in shown


def test_a_look_that_breaks_is_told_and_the_next_one_works(
        admin: Visitor, panel: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(system: object) -> list[Finding]:
        raise RuntimeError

    monkeypatch.setattr(checkup, "examine", broken)
    admin.post("/check", {})
    panel.extensions["checkup"].wait(60)
    assert "unexpected error" in admin.get("/check").text
    monkeypatch.setattr(checkup, "examine", lambda system: [])
    admin.post("/check", {})
    panel.extensions["checkup"].wait(60)
    assert "No problems" in admin.get("/check").text


def test_what_the_server_saw_is_shown_with_its_age(admin: Visitor, fleet: Fleet) -> None:
    assert "sudo mtproto doctor" in admin.get("/check").text
    told = {"at": time.time() - 7200, "findings": [
        {"about": "firewall", "state": "problem", "text": "2444 is closed", "command": "sudo bash x"}]}
    (fleet.data_dir / "host.json").write_text(json.dumps(told))
    page = admin.get("/check").text
    assert "2444 is closed" in page and "2 h ago" in page


@pytest.mark.parametrize("told", [
    "", "{", "[]", "7", '{"at": "x", "findings": []}', '{"at": 1e400, "findings": []}', '{"at": NaN, "findings": []}',
    '{"at": 9e18, "findings": []}', '{"at": 1, "findings": 5}', '{"at": 1, "findings": [{}]}', "[" * 50000])
def test_what_the_server_wrote_oddly_is_as_if_it_had_not(
        admin: Visitor, fleet: Fleet, told: str) -> None:
    (fleet.data_dir / "host.json").write_text(told)
    assert admin.get("/check").status_code == 200
    assert checkup.of_the_host(fleet.data_dir) is None


def test_odd_findings_of_the_server_are_left_out(fleet: Fleet) -> None:
    path: Path = fleet.data_dir / "host.json"
    path.write_text('{"at": 5, "findings": [{"about": "x", "state": "fine", "text": "", "command": ""}]}')
    look = checkup.of_the_host(fleet.data_dir)
    assert look and look.findings == ()


def test_an_admin_without_the_right_sees_nothing_of_it(fleet: Fleet, panel: Flask) -> None:
    fleet.create_admin("helper", "correct horse battery", sudo=False)
    helper = Visitor(panel.test_client())
    helper.login("helper", "correct horse battery")
    assert helper.get("/check").status_code == helper.get("/check/result").status_code == 403
    assert helper.post("/check", {}).status_code == 403
