"""Who is not logged in learns neither what runs here nor what it does, from no page, header, cookie or file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.support.fleet import Fleet
from tests.web.routes import every_path
from tests.web.visitor import Visitor

TELLING = re.compile(r"mtproto|telegram|\bmtg|faketls|proxies|proxy manager|proxy link|waitress|werkzeug|flask|python|"
                     r"app\.cli|install\.sh|(?<!/status)/work|\.venv", re.IGNORECASE)


def silent(answer: TestResponse, *about: object) -> None:
    told = f"{answer.headers}\n{answer.get_data(as_text=True)}"
    # Our own addresses are not what is told: a redirect to the login names the page that was wanted.
    assert not TELLING.search(told), (about, TELLING.search(told), told)


def test_no_answer_to_a_stranger_tells_what_runs_here(
        panel: Flask, fleet: Fleet, stranger: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.add_user("Bob")
    for path in [*every_path(panel, fleet), "/nothing", "/users/nobody", "/favicon.ico", "/robots.txt", "/static/none"]:
        for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS"):
            silent(stranger.client.open(path, method=method), method, path)
        silent(stranger.post(path), "with a token", path)
        silent(stranger.post(path, headers={"Origin": "https://evil.example"}), "of another page", path)
        silent(stranger.post(path, {"x": "y" * 70_000}), "large", path)
        silent(stranger.client.get(path, environ_overrides={"HTTP_HOST": "evil.example"}), "another name", path)
        silent(stranger.client.get(path, environ_overrides={"HTTP_HOST": "a b"}), "no name", path)
    for _ in range(7):
        silent(stranger.login(password="wrong"), "wrong password")
    monkeypatch.setattr("app.actions.admins.check_login", lambda *_, **__: 1 / 0)
    answer = stranger.login()
    assert answer.status_code == 500
    silent(answer, "a fault")


@pytest.mark.parametrize("declared", ["{ broken", '{"proxy_port": "high"}'])
def test_a_broken_declaration_tells_strangers_nothing(stranger: Visitor, declaration: Path, declared: str) -> None:
    declaration.write_text(declared)
    for path in ("/", "/login", "/users"):
        silent(stranger.get(path), path)


def test_the_files_that_strangers_can_have_tell_nothing() -> None:
    static = Path(__file__).parents[2] / "app/web/static"
    for file in (f for f in static.rglob("*") if f.is_file() and f.name != ".stamp"):
        assert not TELLING.search(file.read_text(errors="replace")), file


def test_the_login_page_tells_what_to_do_without_a_password(stranger: Visitor) -> None:
    assert "reset-password" in stranger.get("/login").get_data(as_text=True)
