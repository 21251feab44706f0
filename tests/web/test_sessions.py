"""Sessions end on the server; a browser that is known gets in whatever strangers do; strangers are told nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from tests.support.fleet import Fleet
from tests.web.html import text
from tests.web.visitor import NAME, Visitor

NGINX = {"REMOTE_ADDR": "172.28.0.3"}


def logged_in(visitor: Visitor) -> bool:
    return visitor.get("/").status_code == 200


def stolen(panel: Flask, visitor: Visitor) -> Visitor:
    """A copy of the visitor's cookies, in another browser."""
    thief = Visitor(panel.test_client())
    for cookie in visitor.client._cookies.values():
        thief.client.set_cookie(cookie.key, cookie.value)
    return thief


def test_a_copied_cookie_is_worth_nothing_after_the_logout(panel: Flask, admin: Visitor) -> None:
    copy, other = stolen(panel, admin), Visitor(panel.test_client())
    other.login()
    assert logged_in(copy)
    admin.post("/logout")
    assert not logged_in(copy)
    assert logged_in(other), "another session of the same admin goes on"


def test_a_session_lives_on_in_the_next_process_and_ends_in_both(
        panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    again = create_app(Fleet(fleet.data_dir, fleet.runtime, fleet.engine))
    copy = stolen(again, admin)
    assert logged_in(copy)
    admin.post("/logout")
    assert not logged_in(copy)


@pytest.mark.parametrize("change", ["reset_password", "remove"])
def test_sessions_end_when_the_password_or_the_admin_goes(fleet: Fleet, admin: Visitor, change: str) -> None:
    fleet.reset_password(NAME) if change == "reset_password" else fleet.remove_admin(NAME)
    assert not logged_in(admin)
    assert fleet.ledger.database.query("SELECT * FROM sessions") == []


def test_who_lost_the_ledger_logs_in_again(fleet: Fleet, admin: Visitor) -> None:
    for path in fleet.data_dir.glob("panel.db*"):
        path.unlink()
    assert not logged_in(admin)
    assert admin.login().status_code == 302 and logged_in(admin)


def test_with_a_ledger_that_takes_no_writes_people_log_in_and_out(panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    fleet.ledger.database.query("PRAGMA query_only = 1")
    visitor = Visitor(panel.test_client())
    assert visitor.login().status_code == 302 and logged_in(visitor)
    for leaving in (visitor, admin):
        copy = stolen(panel, leaving)
        leaving.post("/logout")
        assert not logged_in(copy)


def test_a_browser_that_has_logged_in_before_is_known_again_after_its_logout(panel: Flask, admin: Visitor) -> None:
    admin.post("/logout")
    for _ in range(6):
        Visitor(panel.test_client()).login(password="wrong")
    assert Visitor(panel.test_client()).login().status_code == 429
    assert admin.login().status_code == 302


def test_a_known_browser_is_known_for_one_name_only_and_its_cookie_can_not_be_made_up(
        panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    fleet.create_admin("bob", "another long password")
    admin.post("/logout")
    for _ in range(6):
        admin.login("bob", "wrong")
    assert admin.login("bob", "another long password").status_code == 429, "it was bob's name that was guessed at"
    cookie = next(c for c in admin.client._cookies.values() if c.key.startswith("d"))
    assert cookie.http_only and cookie.same_site == "Lax"
    for _ in range(6):
        Visitor(panel.test_client()).login(password="wrong")
    forger = Visitor(panel.test_client())
    forger.client.set_cookie(cookie.key, "x" + cookie.value[1:])
    assert forger.login().status_code == 429


def test_the_tunnel_is_not_locked_out_by_strangers_who_come_by_443(
        fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "172.28.0.3")
    stranger, operator = (Visitor(create_app(fleet).test_client()) for _ in range(2))
    seen = {"X-Forwarded-For": "172.28.0.1"}
    for _ in range(6):
        stranger.login(password="wrong", headers={**seen, "X-Panel-Door": "https"}, environ_base=NGINX)
    assert stranger.login(headers={**seen, "X-Panel-Door": "https"}, environ_base=NGINX).status_code == 429
    assert operator.login(headers={**seen, "X-Panel-Door": "local"}, environ_base=NGINX).status_code == 302
    told = next(e for e in fleet.events() if e.action == "login.succeeded")
    assert told.detail == "from 172.28.0.1 (from this server itself)"


def test_nobody_but_nginx_says_which_door_it_was(stranger: Visitor) -> None:
    for attempt in range(5):
        stranger.login(password="wrong", headers={"X-Panel-Door": ("local", "https", "")[attempt % 3]})
    assert stranger.login(headers={"X-Panel-Door": "local"}).status_code == 429


def test_a_broken_configuration_is_told_to_admins_and_to_no_stranger(
        fleet: Fleet, stranger: Visitor, declaration: Path) -> None:
    broken = json.loads(declaration.read_text()) | {"proxy_port": "high", "upstream_socks5": "carol:swordfish"}
    declaration.write_text(json.dumps(broken))
    for attempt in range(7):
        answer = stranger.login(password="wrong")
        page = text(answer.get_data(as_text=True))
        assert answer.status_code == (401 if attempt < 5 else 429)
        assert not any(word in page for word in (str(fleet.data_dir), "proxy_port", "carol", "swordfish", "backups"))


def test_with_a_broken_configuration_the_right_password_opens_the_dashboard_which_says_so(
        stranger: Visitor, declaration: Path) -> None:
    declaration.write_text('{"proxy_port": ')
    assert stranger.login().status_code == 302
    assert "is not valid" in text(stranger.get("/").get_data(as_text=True))


def test_a_refusal_that_a_stranger_meets_tells_nothing(
        fleet: Fleet, stranger: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.control.errors import Refused

    def refuse(*_: object) -> None:
        raise Refused("/srv/panel/config.json is not valid: users[3] ('Alice')")

    monkeypatch.setattr("app.actions.admins.check_login", refuse)
    answer = stranger.login()
    page = text(answer.get_data(as_text=True))
    assert answer.status_code == 503 and "/srv" not in page and "Alice" not in page
    monkeypatch.setattr(fleet.logins, "admin_of", refuse)
    with stranger.client.session_transaction() as session:
        session["token"], session["since"] = "x", __import__("time").time()
    answer = stranger.get("/")
    assert answer.status_code == 503 and "Alice" not in answer.get_data(as_text=True)


def test_the_first_password_is_asked_to_be_changed_on_every_page_until_it_is(
        panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    first, pages = Visitor(panel.test_client()), ("/", "/users", "/settings/general")
    assert first.login("admin", fleet.file.read().initial_password).status_code == 302
    for page in pages:
        shown = text(first.get(page).get_data(as_text=True))
        assert "You still use the first password" in shown and "Choose another one" in shown
        assert "first password" not in text(admin.get(page).get_data(as_text=True))
    new = fleet.reset_password("admin")
    first.login("admin", new)
    assert "first password" not in text(first.get("/").get_data(as_text=True))
