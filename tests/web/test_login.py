"""Logging in, staying logged in, and being thrown out."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from flask import Flask

from app.accounts import factors
from tests.support.fleet import Fleet
from tests.web.html import text
from tests.web.routes import OPEN_TO_ALL, paths
from tests.web.visitor import NAME, PASSWORD, Visitor


def logged_in(visitor: Visitor) -> bool:
    return visitor.get("/").status_code == 200


def test_the_right_password_opens_the_dashboard(stranger: Visitor) -> None:
    answer = stranger.login()
    assert (answer.status_code, answer.location) == (302, "/")
    assert logged_in(stranger)


@pytest.mark.parametrize(("name", "password", "code", "message"), [
    (NAME, "wrong", 401, "This name and password do not match."),
    ("nobody", PASSWORD, 401, "This name and password do not match."),
    ("", PASSWORD, 422, "Enter your admin name."),
    (NAME, "", 422, "Enter your password."),
    ("\x00<b>", "\x00", 401, "This name and password do not match."),
])
def test_a_wrong_login_says_so_and_keeps_the_name(
        stranger: Visitor, name: str, password: str, code: int, message: str) -> None:
    answer = stranger.login(name, password)
    page = answer.get_data(as_text=True)
    assert answer.status_code == code and message in text(page)
    assert not password or password not in page or password == "\x00"
    assert not logged_in(stranger)


def test_after_five_failures_even_the_right_password_has_to_wait(stranger: Visitor) -> None:
    for _ in range(5):
        assert stranger.login(password="wrong").status_code == 401
    answer = stranger.login()
    assert answer.status_code == 429
    assert "Try again in 5 minutes" in text(answer.get_data(as_text=True))
    assert 0 < int(answer.headers["Retry-After"]) <= 300
    assert not logged_in(stranger)


def test_a_stranger_from_outside_can_not_choose_the_address_that_is_counted(stranger: Visitor) -> None:
    outside = {"REMOTE_ADDR": "198.51.100.7"}
    for attempt in range(5):
        claim = {"X-Forwarded-For": f"10.0.0.{attempt}"}
        stranger.login(password="wrong", headers=claim, environ_base=outside)
    answer = stranger.login(headers={"X-Forwarded-For": "10.0.0.99"}, environ_base=outside)
    assert answer.status_code == 429


def test_logging_out_ends_the_session(admin: Visitor) -> None:
    assert admin.post("/logout").location == "/login"
    assert not logged_in(admin)


def test_a_new_password_ends_the_sessions_of_that_admin_only(
        panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    fleet.create_admin("bob", "another long password")
    other = Visitor(panel.test_client())
    other.login("bob", "another long password")
    fleet.reset_password(NAME)
    assert not logged_in(admin)
    assert logged_in(other)


def test_a_deleted_admin_is_out_at_once(admin: Visitor, declaration: Path) -> None:
    config = json.loads(declaration.read_text())
    config["admins"] = [a for a in config["admins"] if a["username"] != NAME]
    declaration.write_text(json.dumps(config))
    assert not logged_in(admin)


def test_a_session_ends_after_twelve_hours_however_busy_it_was(admin: Visitor) -> None:
    with admin.client.session_transaction() as session:
        session["since"] = int(time.time()) - 12 * 3600 + 60
    assert logged_in(admin)
    with admin.client.session_transaction() as session:
        session["since"] = int(time.time()) - 12 * 3600
    assert not logged_in(admin)


def test_a_session_planted_before_the_login_is_worth_nothing_after_it(stranger: Visitor) -> None:
    with stranger.client.session_transaction() as session:
        session["planted"] = "by an attacker"
    before = stranger.token()
    stranger.login()
    with stranger.client.session_transaction() as session:
        assert "planted" not in session
    assert stranger.client.post("/logout", data={"csrf_token": before}).status_code == 400


def test_a_cookie_signed_with_another_key_is_no_login(
        panel: Flask, stranger: Visitor, admin: Visitor) -> None:
    name = panel.config["SESSION_COOKIE_NAME"]
    cookie = admin.client.get_cookie(name).value
    stranger.client.set_cookie(name, cookie[:-4] + "AAAA")
    assert not logged_in(stranger)
    stranger.client.set_cookie(name, cookie)
    assert logged_in(stranger), "the same cookie unchanged is accepted, so this test can fail"


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
        stranger: Visitor, scheme: str, secure: bool) -> None:
    page = stranger.get("/login", base_url=f"{scheme}://localhost")
    flags = {flag.strip().lower() for flag in page.headers["Set-Cookie"].split(";")[1:]}
    assert {"httponly", "samesite=lax"} <= flags
    assert ("secure" in flags) == secure


def test_forms_work_over_https_without_a_referrer(stranger: Visitor) -> None:
    page = stranger.get("/login", base_url="https://localhost").get_data(as_text=True)
    token = page.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    answer = stranger.client.post("/login", base_url="https://localhost",
                                  data={"csrf_token": token, "username": NAME, "password": PASSWORD})
    assert answer.status_code == 302


def test_the_login_leads_to_the_page_that_was_asked_for(stranger: Visitor) -> None:
    answer = stranger.get("/users?q=grandma")
    assert answer.location == "/login?next=/users?q%3Dgrandma"
    answer = stranger.post(answer.location, {"username": NAME, "password": PASSWORD})
    assert answer.location == "/users?q=grandma"


@pytest.mark.parametrize("target", [
    "https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
    "/\t/evil.example", "javascript:alert(1)", "evil.example", "", " //evil.example", "/\n/evil.example",
    "http:/evil.example", "//[evil",
])
def test_the_login_never_leads_out_of_the_panel(stranger: Visitor, target: str) -> None:
    answer = stranger.client.post("/login", query_string={"next": target}, data={
        "csrf_token": stranger.token(), "username": NAME, "password": PASSWORD})
    assert (answer.status_code, answer.location) == (302, "/")


def test_whoever_only_wants_the_headers_of_the_login_page_gets_those_of_the_page(stranger: Visitor) -> None:
    answer = stranger.client.head("/login")
    assert (answer.status_code, answer.data) == (200, b"")
    assert stranger.post("/login").status_code == 422


@pytest.mark.parametrize("typed", ["Z\u00e9lie", "Ze\u0301lie", " Z\u00e9lie ", "Z\u00e9lie\u00a0"])
def test_a_name_is_known_however_a_keyboard_writes_it(stranger: Visitor, fleet: Fleet, typed: str) -> None:
    fleet.create_admin("Z\u00e9lie", PASSWORD)
    assert stranger.login(typed).status_code == 302 and stranger.get("/users").status_code == 200


def test_the_password_alone_opens_no_page_of_whoever_has_a_second_factor(
        panel: Flask, stranger: Visitor, fleet: Fleet, declaration: Path) -> None:
    fleet.add_user("Bob")
    with fleet.file.edit() as config:
        factors.put(config, NAME, factors.new_secret(), [])
    assert stranger.login().location == "/login/code"
    before, token = declaration.read_bytes(), stranger.token("/login/code")
    for path in set(paths(panel, fleet, "GET")) - OPEN_TO_ALL - {"/login/code"}:
        answer = stranger.get(path)
        assert (answer.status_code, answer.location.partition("?")[0]) == (302, "/login"), path
    for path in set(paths(panel, fleet, "POST")) - OPEN_TO_ALL - {"/login/code", "/logout"}:
        answer = stranger.client.post(path, data={"csrf_token": token, "name": "x", "current": PASSWORD})
        assert (answer.status_code, answer.location.partition("?")[0]) == (302, "/login"), path
    assert declaration.read_bytes() == before


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example"])
def test_nor_does_the_second_step_lead_out(stranger: Visitor, fleet: Fleet, target: str) -> None:
    with fleet.file.edit() as config:
        factors.put(config, NAME, factors.new_secret(), ["abcd-efgh-ijkl-mnop"])
    answer = stranger.login(query_string={"next": target})
    assert answer.location.startswith("/login/code")
    answer = stranger.post("/login/code", {"code": "abcd-efgh-ijkl-mnop"}, query_string={"next": target})
    assert (answer.status_code, answer.location) == (302, "/")


def test_a_login_that_another_page_sends_is_refused(stranger: Visitor) -> None:
    """Or a victim would work in an account of the attacker's ("login CSRF")."""
    fields = {"csrf_token": stranger.token(), "username": NAME, "password": PASSWORD}
    for site in ("cross-site", "same-site"):
        assert stranger.client.post("/login", data=fields, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert stranger.client.post("/login", data={**fields, "csrf_token": ""}).status_code == 400
    assert stranger.get("/users").status_code == 302
