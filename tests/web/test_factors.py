"""The second factor in the panel: set up, asked for at a login, recovered, removed, and taken away from others."""

from __future__ import annotations

import re
import time

import pyotp
import pytest
from flask import Flask

from app.accounts import factors
from tests.support.fleet import Fleet
from tests.web.html import text
from tests.web.visitor import NAME, PASSWORD, Visitor


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def code_of(secret: str, clock: list[float]) -> str:
    """One that nobody has used yet."""
    clock[0] += 30
    return pyotp.TOTP(secret).at(int(clock[0]))


def set_up(visitor: Visitor, clock: list[float]) -> tuple[str, list[str]]:
    """(the secret, the recovery codes), as the pages show them."""
    page = visitor.get("/account/factor").get_data(as_text=True)
    secret = re.search(r'name="secret"[^>]* value="([A-Z2-7]{32})"', page)[1]
    assert secret in re.search(r'id="key">([^<]+)<', page)[1].replace(" ", "")
    answer = visitor.post("/account/factor", {"secret": secret, "current": PASSWORD, "code": code_of(secret, clock)})
    assert answer.status_code == 200
    return secret, re.findall(r"<li>([a-z2-7-]{19})</li>", answer.get_data(as_text=True))


def test_a_login_then_has_a_second_step(panel: Flask, admin: Visitor, clock: list[float]) -> None:
    elsewhere = Visitor(panel.test_client())
    elsewhere.login()
    secret, codes = set_up(admin, clock)
    assert len(codes) == 10
    assert admin.get("/users").status_code == 200 and elsewhere.get("/users").status_code == 302
    visitor = Visitor(panel.test_client())
    answer = visitor.login(query_string={"next": "/users"})
    assert answer.location == "/login/code?next=/users"
    assert visitor.get("/users").status_code == 302, "the password alone opens nothing"
    assert visitor.post("/login/code", {"code": ""}).status_code == 422
    assert visitor.post("/login/code", {"code": "000000"}).status_code == 401
    assert visitor.get("/users").status_code == 302
    code = code_of(secret, clock)
    assert visitor.post("/login/code?next=/users", {"code": code}).location == "/users"
    assert visitor.get("/users").status_code == 200
    other = Visitor(panel.test_client())
    other.login()
    assert other.post("/login/code", {"code": code}).status_code == 401, "somebody looked over the shoulder"
    assert other.post("/login/code", {"code": codes[0].upper()}).status_code == 302
    assert other.get("/users").status_code == 200
    assert "9 recovery codes are left" in text(other.get("/account").get_data(as_text=True))


def test_nobody_gets_to_the_second_step_without_the_password(
        panel: Flask, fleet: Fleet, admin: Visitor, clock: list[float]) -> None:
    secret, _ = set_up(admin, clock)
    stranger = Visitor(panel.test_client())
    assert stranger.get("/login/code").location == "/login"
    assert stranger.post("/login/code", {"code": code_of(secret, clock)}).location == "/login"
    # Half a login is worth something for five minutes, and for this password.
    stranger.login()
    clock[0] += 301
    assert stranger.post("/login/code", {"code": code_of(secret, clock)}).location == "/login"
    stranger.login()
    fleet.reset_password(NAME)
    assert stranger.post("/login/code", {"code": code_of(secret, clock)}).location == "/login"


def test_the_image_is_what_apps_read(fleet: Fleet, admin: Visitor) -> None:
    page = admin.get("/account/factor").get_data(as_text=True)
    secret = re.search(r'name="secret"[^>]* value="([A-Z2-7]{32})"', page)[1]
    said = pyotp.parse_uri(factors.address(secret, "O'Brien <b>\"&\\ علی", "proxy.example"))
    assert (said.secret, said.issuer, said.digits, said.interval) == (secret, "proxy.example", 6, 30)
    assert said.name == "O'Brien <b>\"&\\ علی"
    assert f"secret={secret}" in page and "data:image/svg+xml;base64," in page


def test_a_wrong_code_keeps_the_secret_that_was_scanned(admin: Visitor, fleet: Fleet, clock: list[float]) -> None:
    page = admin.get("/account/factor").get_data(as_text=True)
    secret = re.search(r'name="secret"[^>]* value="([A-Z2-7]{32})"', page)[1]
    for fields in ({"current": PASSWORD, "code": "000000"}, {"current": "wrong horse", "code": code_of(secret, clock)}):
        answer = admin.post("/account/factor", {"secret": secret, **fields})
        assert answer.status_code == 422 and secret in answer.get_data(as_text=True)
    assert not fleet.config().second_factors


def test_it_is_removed_with_password_and_code_only(admin: Visitor, fleet: Fleet, clock: list[float]) -> None:
    secret, codes = set_up(admin, clock)
    for fields in ({"current": PASSWORD}, {"code": code_of(secret, clock)}, {"current": PASSWORD, "code": "000000"}):
        assert admin.post("/account/factor/remove", fields).status_code == 422
    assert fleet.config().second_factors
    answer = admin.post("/account/factor/codes", {"current": PASSWORD, "code": codes[0]})
    new = re.findall(r"<li>([a-z2-7-]{19})</li>", answer.get_data(as_text=True))
    assert len(new) == 10 and set(new).isdisjoint(codes)
    assert admin.post("/account/factor/remove", {"current": PASSWORD, "code": new[0]}).status_code == 302
    assert not fleet.config().second_factors and admin.get("/users").status_code == 200


def test_an_owner_takes_it_away_from_somebody_who_has_lost_theirs_but_not_from_themselves(
        panel: Flask, admin: Visitor, fleet: Fleet, clock: list[float]) -> None:
    fleet.create_admin("bob", PASSWORD)
    bob = Visitor(panel.test_client())
    bob.login("bob")
    set_up(bob, clock)
    set_up(admin, clock)
    admin.post("/admins/factor", {"username": "bob"})
    assert [each.username for each in fleet.config().second_factors] == [NAME]
    assert bob.get("/users").status_code == 302 and bob.login("bob").location == "/"
    admin.post("/admins/factor", {"username": NAME})
    assert [each.username for each in fleet.config().second_factors] == [NAME]
    assert bob.post("/admins/factor", {"username": NAME}).status_code == 403
