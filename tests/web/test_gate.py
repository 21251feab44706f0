"""Who gets in, for every route there is and every route there will be."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from app.accounts.actor import Actor, Right
from app.config.channels import Channel
from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.routes import LOADING_ATTRIBUTES, OPEN_TO_ALL, paths
from tests.web.visitor import Visitor


@pytest.fixture(autouse=True)
def bob(fleet: Fleet) -> str:
    fleet.add_plan("Family")
    with fleet.file.edit() as config:
        config.notifications.append(Channel.model_validate(
            {"id": "c1", "name": "Hook", "kind": "webhook", "url": "http://127.0.0.1:1", "secret": "key"}))
    return fleet.add_user("Bob").id


def test_the_walk_over_the_routes_finds_the_ones_we_know(panel: Flask, fleet: Fleet, bob: str) -> None:
    shown = set(paths(panel, fleet, "GET"))
    assert {"/", "/users", "/users/new", f"/users/{bob}", f"/users/{bob}/qr.png", "/logs",
            "/settings", "/settings/general", "/settings/search"} <= shown
    plan = fleet.plans()[0].id
    verbs = ("edit", "enable", "disable", "rotate", "restart", "reset", "remove", "limit", "access", "test", "page",
             "page/renew", "page/off")
    assert {f"/users/{bob}/{verb}" for verb in verbs} | {
        f"/users/{bob}/edit/check/server_ip", "/users/new/check/server_ip", "/users/import/check/server_ip",
        f"/plans/{plan}/check/server_ip", "/plans/new/check/server_ip", "/settings",
        "/users/new", "/login", "/logout", "/language", "/start", "/stop", "/restart", "/renew", "/reset",
        "/settings/general", "/settings/general/check/server_ip",
        "/settings/domains", "/settings/certificates", "/settings/update", "/backup",
        "/account/password", "/account/sessions/end", "/login/code", "/account/factor", "/account/factor/remove",
        "/account/factor/codes", "/account/factor/question", "/account/factor/passkey", "/account/factor/passkey/keep",
        "/account/factor/passkey/remove",
        "/admins/factor", "/admins", "/admins/set", "/admins/remove", "/admins/password",
        "/account/tokens", "/account/tokens/remove",
        "/notifications/new/webhook", "/notifications/c1", "/notifications/c1/test", "/notifications/c1/remove",
        "/deleted/none/restore", "/deleted/none/forget", "/plans/new", f"/plans/{plan}", f"/plans/{plan}/remove",
        "/users/bulk/ask", "/users/bulk/do", "/users/bulk/job/0123456789abcdef/undo", "/users/import",
        "/backup/mtproto-20270101T030000Z.tar.gz", "/check", "/bans/add", "/bans/remove", "/logs/debug",
        "/logs/debug/end",
        *(f"/setup/{step}" for step in ("password", "password/keep", "address", "mode", "user", "link", "end"))
    } == set(paths(panel, fleet, "POST"))


def test_no_page_is_shown_to_a_stranger(panel: Flask, fleet: Fleet, stranger: Visitor) -> None:
    for path in set(paths(panel, fleet, "GET")) - OPEN_TO_ALL:
        answer = stranger.get(path)
        assert answer.status_code == 302 and answer.location.startswith("/login"), path
        assert "Bob" not in answer.get_data(as_text=True)


def test_nothing_can_be_changed_by_a_stranger_even_with_a_valid_token(
        panel: Flask, fleet: Fleet, stranger: Visitor, declaration: Path) -> None:
    before = declaration.read_bytes(), fleet.runtime.observe()
    for path in set(paths(panel, fleet, "POST")) - OPEN_TO_ALL:
        answer = stranger.post(path, {"name": "Mallory"})
        assert (answer.status_code, answer.location) == (302, "/login"), path
    assert (declaration.read_bytes(), fleet.runtime.observe()) == before


@pytest.mark.parametrize("token", [None, "", "forged", "IjEyMyI.aaaa.bbbb"])
def test_nothing_can_be_changed_without_a_valid_csrf_token(
        panel: Flask, fleet: Fleet, admin: Visitor, stranger: Visitor, declaration: Path,
        token: str | None) -> None:
    before = declaration.read_bytes(), fleet.runtime.observe()
    fields = {"name": "Mallory"} if token is None else {"name": "Mallory", "csrf_token": token}
    for path in paths(panel, fleet, "POST"):
        for visitor in (admin, stranger):
            answer = visitor.client.post(path, data=fields)
            assert answer.status_code == 400, path
            assert "This form has expired" in answer.get_data(as_text=True)
    assert (declaration.read_bytes(), fleet.runtime.observe()) == before
    assert admin.get("/").status_code == 200, "the admin is still logged in"


def test_a_token_of_another_session_is_refused(panel: Flask, admin: Visitor, stranger: Visitor) -> None:
    answer = admin.client.post("/users/new", data={"name": "Mallory", "csrf_token": stranger.token()})
    assert answer.status_code == 400


def test_a_get_changes_nothing(panel: Flask, fleet: Fleet, admin: Visitor, declaration: Path) -> None:
    def everything() -> tuple[object, ...]:
        return declaration.read_bytes(), fleet.ledger.events.recent(100), fleet.runtime.observe()

    before = everything()
    for path in paths(panel, fleet, "GET"):
        assert admin.get(path + "?name=Mallory&confirm=1").status_code in (200, 302), path
    assert everything() == before
    assert admin.get("/").status_code == 200, "no GET has ended the session"


def test_addresses_hold_ids_and_neither_names_nor_positions(admin: Visitor, bob: str) -> None:
    assert admin.get(f"/users/{bob}").status_code == 200
    for other in ("Bob", "0", "1", "2443", "..", "%00"):
        assert admin.get(f"/users/{other}").status_code == 404, other


def test_every_answer_has_the_security_headers(panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    for path in [*paths(panel, fleet, "GET"), "/nothing-here", "/logout"]:
        headers = admin.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy == {
            "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
            "font-src": "'self'", "manifest-src": "'self'", "connect-src": "'self'", "form-action": "'self'",
            "base-uri": "'none'", "frame-ancestors": "'none'"}
        assert headers["X-Content-Type-Options"] == "nosniff"
        allowed = dict(part.split("=", 1) for part in headers["Permissions-Policy"].split(", "))
        assert allowed["camera"] == allowed["geolocation"] == allowed["usb"] == "()"
        assert {feature for feature, who in allowed.items() if who != "()"} == {
            "clipboard-write", "publickey-credentials-create", "publickey-credentials-get"}
        assert headers["Referrer-Policy"] == "same-origin"
        assert path.startswith("/static") or headers["Cache-Control"] == "no-store", path


def test_no_page_holds_inline_code_or_names_another_host(
        panel: Flask, fleet: Fleet, admin: Visitor, stranger: Visitor) -> None:
    seen = 0
    pages = [(admin, path) for path in [*paths(panel, fleet, "GET"), "/nothing-here"]]
    for visitor, path in [*pages, (stranger, "/login")]:
        answer = visitor.get(path)
        if answer.mimetype != "text/html" or answer.status_code == 302:
            continue
        seen += 1
        for element in read(answer.get_data(as_text=True)):
            assert element.tag != "style", path
            assert element.tag != "script" or element.attributes.get("src"), path
            assert not element.text.strip() or element.tag != "script", path
            for name, value in element.attributes.items():
                assert name != "style" and not name.startswith("on"), (path, name)
                if name in LOADING_ATTRIBUTES:
                    inside = value.startswith(("/", "#")) and not value.startswith("//")
                    # A picture that stands in the page, and what opens an app on this device, load nothing.
                    own = value.startswith(("data:image/", "otpauth://")) or value == "data:,"
                    assert inside or own, (path, name, value)
    assert seen >= 8


def test_stylesheets_and_scripts_name_no_other_host() -> None:
    static = Path(__file__).parents[2] / "app/web/static"
    for file in [*static.rglob("*.css"), *static.rglob("*.js")]:
        code = file.read_text()
        for homepage in ("https://tailwindcss.com", "https://github.com/leeoniya/uPlot", "http://www.w3.org/1999/xhtml"):
            code = code.replace(homepage, "")
        assert "@import" not in code and "url(http" not in code and "://" not in code, file


def test_healthz_answers_anybody_and_tells_nothing(stranger: Visitor, declaration: Path) -> None:
    answer = stranger.get("/healthz")
    assert (answer.status_code, answer.data, answer.headers.get("Set-Cookie")) == (200, b"ok", None)
    declaration.write_text("{ broken")
    assert stranger.get("/healthz").status_code == 200


@pytest.mark.parametrize(("path", "method", "code", "words"), [
    ("/nothing", "GET", 404, "Not found"),
    ("/logout", "GET", 405, "Not allowed"),
    ("/users/0badc0de", "GET", 404, "Not found"),
])
def test_errors_come_in_the_panels_own_look(
        admin: Visitor, stranger: Visitor, path: str, method: str, code: int, words: str) -> None:
    answer = admin.client.open(path, method=method)
    assert answer.status_code == code and words in text(answer.get_data(as_text=True))
    assert "Dashboard" in text(answer.get_data(as_text=True))


def test_an_unexpected_fault_is_a_500_that_tells_no_secret(
        panel: Flask, fleet: Fleet, admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret is ee1234")

    monkeypatch.setattr("app.control.views.status", broken)
    answer = admin.get("/")
    page = text(answer.get_data(as_text=True))
    assert answer.status_code == 500 and "Internal error" in page and "ee1234" not in page


def test_a_huge_form_is_refused(admin: Visitor, declaration: Path) -> None:
    before = declaration.read_bytes()
    answer = admin.post("/users/new", {"name": "x" * 200_000})
    assert answer.status_code == 413 and "Too much text" in text(answer.get_data(as_text=True))
    assert declaration.read_bytes() == before


def test_an_action_that_this_admin_has_no_right_to_is_a_403(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        Actor("web", Right.NONE).require(Right.SUDO)

    monkeypatch.setattr("app.control.views.status", refuse)
    answer = admin.get("/")
    page = text(answer.get_data(as_text=True))
    assert answer.status_code == 403 and "Not allowed" in page and "Nothing was changed" in page
