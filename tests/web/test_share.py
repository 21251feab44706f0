"""A user's own page, for whoever was sent its address; for everybody else there is no such page."""

from __future__ import annotations

import gc
import re
import sys
import tracemalloc
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from babel.messages.pofile import read_po
from flask import Flask
from jinja2.ext import babel_extract
from playwright.sync_api import Browser
from werkzeug.exceptions import NotFound

from app import create_app
from app.actions import share as actions
from app.control.monitor import Monitor
from app.messages.translations import LOCALE
from app.rules.limits import GB
from app.rules.share import new_token
from app.web.share.limit import MOST, SECONDS, Limit
from app.web.share.page import LANGUAGES
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet, named
from tests.web.html import read, text
from tests.web.visitor import Visitor

TEMPLATE = Path(__file__).parents[2] / "app/web/templates/share/page.html"


@pytest.fixture
def address(fleet: Fleet) -> str:
    """The path of Anna's page; she has 50 GB a month, and Boris none."""
    fleet.add_user("Anna Secretova", note="owes me 50", limit_gb="50", reset_cycle="monthly 1", expires="2199-01-31")
    fleet.add_user("Boris", actor="admin:ada")
    return actions.make_page(fleet, named("admin:ada"), "Anna Secretova").path


def used(fleet: Fleet, gb: float) -> None:
    """Anna has moved so much."""
    name = f"mtg-proxy-{fleet.user('Anna Secretova').port}"
    fleet.runtime.machine.metrics(name, metrics(down=round(gb * GB)))
    Monitor(fleet, 10).tick()


def test_the_page_has_the_link_of_today_in_the_button_on_the_web_and_as_a_picture(
        fleet: Fleet, stranger: Visitor, address: str) -> None:
    answer = stranger.get(address)
    user, page = fleet.user("Anna Secretova"), answer.get_data(as_text=True)
    assert answer.status_code == 200
    links = [e.attributes["href"] for e in read(page) if e.tag == "a" and "?lang" not in e.attributes["href"]]
    assert links == [user.tg_link, user.tme_link]
    assert "data:image/png;base64," in page and user.tme_link in text(page)
    shown = text(page)
    assert "50 of 50 GB" in shown and "31 January 2199" in shown and "Connect in Telegram" in shown


def test_it_says_nothing_of_anybody_else_of_the_panel_or_of_what_the_operator_calls_whom(
        stranger: Visitor, address: str) -> None:
    page = stranger.get(address).get_data(as_text=True)
    assert not any(word in page for word in ("Anna", "Secretova", "owes", "Boris", "Manager", "login", "/static",
                                             "<script", "mtg"))


def test_the_page_stays_and_its_link_changes_with_the_user(fleet: Fleet, stranger: Visitor, address: str) -> None:
    before = fleet.user("Anna Secretova").tg_link
    fleet.update_user("Anna Secretova", {"name": "Anna Ivanova", "domain": "www.example.org"})
    fleet.rotate("Anna Ivanova")
    page = stranger.get(address).get_data(as_text=True)
    assert any(e.attributes.get("href") == fleet.user("Anna Ivanova").tg_link for e in read(page))
    assert before.replace("&", "&amp;") not in page


def answered(visitor: Visitor, path: str, method: str = "GET", **how: object) -> tuple[object, ...]:
    if path.startswith("//"):  # which the client would take for the name of a host
        raw = unquote_to_bytes(path.partition("?")[0]).decode("latin-1")
        how = {**how, "environ_overrides": {**how.get("environ_overrides", {}), "PATH_INFO": raw}}
    answer = visitor.client.open("/" + path.lstrip("/"), method=method, **how)
    # What is random in each answer, whoever asks.
    body = re.sub(r'name="csrf_token"[^>]*>', "", answer.get_data(as_text=True))
    headers = [(name, value.partition("=")[0] if name == "Set-Cookie" else value) for name, value in answer.headers]
    return answer.status_code, sorted(headers), body


WRONG = ("A" * 22, "A" * 21, "A" * 23, "x", "%D0%B6" * 22, "%ED%A0%80", "A" * 11 + "%2F" + "A" * 10,
         "..%2f..%2flogin", "A" * 22 + "/", "A" * 22 + "/qr.png", "%00" * 22, "a" * 5000, "A" * 22 + "?lang=ru",
         "{page}x", "{page}/", "{other}")


@pytest.mark.parametrize("how", [
    {}, {"headers": {"Origin": "https://evil.example"}}, {"headers": {"Origin": "null"}},
    {"headers": {"X-Panel-Door": "share", "Sec-Fetch-Site": "cross-site"}},
    {"environ_overrides": {"HTTP_HOST": "evil.example"}}], ids=str)
def test_a_token_that_is_nobodys_is_answered_like_any_other_unknown_path(
        stranger: Visitor, address: str, how: dict[str, object]) -> None:
    token = address.removeprefix("/s/")
    other = token[:-1] + ("A" if token[-1] != "A" else "Q")
    for wrong in (each.replace("{page}", token).replace("{other}", other) for each in WRONG):
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            for start in ("/s/", "//s/", "/s//"):
                asked = answered(stranger, f"{start}{wrong}", method, **how)
                assert asked == answered(stranger, f"{start.replace('s', 't')}{wrong}", method, **how), (method, wrong)


def test_a_wrong_token_costs_as_much_with_a_hundred_pages_as_with_one(
        fleet: Fleet, stranger: Visitor, address: str) -> None:
    def calls() -> int:
        """Calls of functions that answering a wrong token takes, at least."""
        return min(counted() for _ in range(3))

    def counted() -> int:
        counted = [0]
        gc.disable()
        sys.setprofile(lambda frame, event, arg: counted.__setitem__(0, counted[0] + (event in ("call", "c_call"))))
        try:
            stranger.get(f"/s/{'B' * 22}")
        finally:
            sys.setprofile(None)
            gc.enable()
        return counted[0]

    few = calls()
    with fleet.file.edit() as config:
        config.users += [config.users[1].model_copy(update={"id": f"a{number:07}", "port": 3000 + number,
                                                           "share_token": new_token()}) for number in range(100)]
    assert calls() < few + 50, "each page would be a call or two"


def test_the_slashes_of_an_address_are_not_put_right(stranger: Visitor, address: str) -> None:
    assert {answered(stranger, path)[0] for path in (address.replace("/s/", "/s//"), address + "/", address.upper(),
                                                     "/s", "/s/")} == {404}


def test_a_page_that_was_switched_off_or_got_another_address_is_an_unknown_path_at_once(
        fleet: Fleet, stranger: Visitor, address: str) -> None:
    unknown = answered(stranger, "/t/x")
    moved = actions.renew_page(fleet, named("admin:ada"), "Anna Secretova").path
    assert answered(stranger, address) == unknown and stranger.get(moved).status_code == 200
    actions.remove_page(fleet, named("admin:ada"), "Anna Secretova")
    assert answered(stranger, moved) == unknown


def test_no_session_begins_and_none_goes_on_there(panel: Flask, admin: Visitor, stranger: Visitor,
                                                  address: str) -> None:
    for visitor in (admin, stranger):
        answer = visitor.get(address)
        assert answer.headers.getlist("Set-Cookie") == [] and "Cookie" not in answer.headers.get("Vary", "")
    assert admin.get("/").status_code == 200
    assert "Log out" not in admin.get(address).get_data(as_text=True)


def test_the_answer_is_kept_nowhere_found_by_no_search_and_tells_no_site_where_it_was(
        stranger: Visitor, address: str) -> None:
    answer = stranger.get(address)
    headers = answer.headers
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert "noindex" in headers["X-Robots-Tag"]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script" not in policy and "unsafe" not in policy
    elements = read(answer.get_data(as_text=True))
    assert not [e for e in elements if e.tag in ("script", "iframe", "object") or "style" in e.attributes
                or any(name.startswith("on") for name in e.attributes)]
    loaded = [e.attributes["src"] for e in elements if e.attributes.get("src")]
    assert all(each.startswith("data:image/png") for each in loaded) and len(loaded) == 1


def test_without_a_login_exactly_these_routes_answer(panel: Flask, fleet: Fleet, stranger: Visitor,
                                                     address: str) -> None:
    user, answering = fleet.users()[1].id, set()
    values = {"user_id": user, "filename": "panel.js", "name": "mtproto-20270101T030000Z.tar.gz",
              "token": address.removeprefix("/s/")}
    for rule in panel.url_map.iter_rules():
        path = rule.build({key: values.get(key, "1") for key in rule.arguments}, append_unknown=False)[1]
        if "GET" not in rule.methods:
            continue
        answer = stranger.get(path)
        # A program without a token is told so, and nothing else.
        if not answer.headers.get("Location", "").startswith("/login") and answer.status_code != 401:
            answering.add(rule.endpoint)
    assert answering == {"static", "health.healthz", "auth.login", "share.page"}


def test_by_the_door_of_these_pages_nothing_else_of_the_panel_answers(
        panel: Flask, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "127.0.0.1")
    client, door = create_app(fleet).test_client(), {"X-Panel-Door": "share", "X-Forwarded-Proto": "https"}
    said = {client.open(rule.rule, method=method, headers=door).data for rule in panel.url_map.iter_rules()
            for method in ("GET", "POST", "PUT")} | {client.get(path, headers=door).data
                                                    for path in ("/", "/s/" + "A" * 22, "/nothing")}
    assert said == {b"Not Found\n"}
    assert client.get(address, headers=door).status_code == 200


def test_who_is_slowed_or_blocked_is_told_why_and_until_when(fleet: Fleet, stranger: Visitor, address: str) -> None:
    fleet.set_settings({"throttle_speed_mbps": "2"})
    used(fleet, 60)
    shown = text(stranger.get(address).get_data(as_text=True))
    assert "slow now: 2 Mbit/s" in shown and "Full speed again on" in shown and "0 of 50 GB" in shown
    assert "Connect in Telegram" in shown
    fleet.update_user("Anna Secretova", {"at_limit": "block"})
    page = stranger.get(address).get_data(as_text=True)
    assert "does not let you in now" in text(page) and "It works again on" in text(page) and "tg://" not in page
    fleet.update_user("Anna Secretova", {"reset_cycle": "never"})
    assert "Ask whoever sent you this page" in text(stranger.get(address).get_data(as_text=True))


def test_who_has_no_access_is_told_so_and_sees_no_link(fleet: Fleet, stranger: Visitor, address: str) -> None:
    fleet.disable("Anna Secretova")
    page = stranger.get(address).get_data(as_text=True)
    assert "Your access is switched off" in text(page) and "tg://" not in page and "t.me" not in page
    fleet.enable("Anna Secretova")
    with fleet.file.edit() as config:
        config.users[0].expires_at = config.users[0].created_at
    page = stranger.get(address).get_data(as_text=True)
    assert "Your access has ended" in text(page) and "tg://" not in page
    fleet.remove("Anna Secretova")
    assert stranger.get(address).status_code == 404


def test_proxies_that_are_stopped_are_told_of_and_the_link_stays(fleet: Fleet, stranger: Visitor, address: str) -> None:
    fleet.stop_everything()
    page = stranger.get(address).get_data(as_text=True)
    assert "does not run at the moment" in text(page) and "tg://" in page


def test_a_new_link_is_a_post_once_an_hour_and_needs_neither_cookie_nor_script(
        fleet: Fleet, stranger: Visitor, address: str) -> None:
    before = fleet.user("Anna Secretova").tg_link
    assert "Get a new link" not in stranger.get(address).get_data(as_text=True)
    assert stranger.client.post(address).status_code == 409
    fleet.set_settings({"share_renew": "true"})
    assert "Get a new link" in stranger.get(address).get_data(as_text=True)
    assert fleet.user("Anna Secretova").tg_link == before, "a GET changes nothing"
    answer = stranger.client.post(address + "?lang=ru", headers={"Origin": "null"})
    assert (answer.status_code, answer.location) == (303, f"{address}?renewed=1&lang=ru")
    assert fleet.user("Anna Secretova").tg_link != before
    assert "You have a new link" in text(stranger.get(address + "?renewed=1").get_data(as_text=True))
    again = stranger.client.post(address)
    assert again.status_code == 409 and "There is no new link now" in text(again.get_data(as_text=True))
    assert "an hour after it" in text(stranger.get(address).get_data(as_text=True))


def test_ten_thousand_wrong_tokens_leave_nothing_behind_and_the_right_one_as_it_was(
        panel: Flask, stranger: Visitor, address: str) -> None:
    routes = panel.url_map.bind("localhost")

    def ask(count: int) -> None:
        for _ in range(count):
            with pytest.raises(NotFound):
                routes.match(f"/s/{new_token()}")

    ask(10)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    ask(10_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 300_000
    assert {stranger.get(f"/s/{new_token()}").status_code for _ in range(20)} == {404}
    assert len(panel.extensions["share_limit"]) == 0 and stranger.get(address).status_code == 200


def test_a_page_may_be_asked_for_so_often_from_one_place_and_another_place_is_not_held_up(
        panel: Flask, stranger: Visitor, address: str) -> None:
    def ask(client: str) -> int:
        return stranger.get(address, environ_overrides={"REMOTE_ADDR": client}).status_code

    assert {ask(f"2001:db8::{number:x}") for number in range(MOST)} == {200}
    late = stranger.get(address, environ_overrides={"REMOTE_ADDR": "2001:db8::ffff"})
    assert late.status_code == 429 and 0 < int(late.headers["Retry-After"]) <= SECONDS
    assert "asked for too often" in text(late.get_data(as_text=True)) and "tg://" not in late.get_data(as_text=True)
    assert ask("2001:db8:0:1::1") == 200 and ask("198.51.100.7") == 200


def test_the_count_begins_anew_after_its_time_and_remembers_so_many_places() -> None:
    now = [100.0]
    limit = Limit(most=2, places=10, clock=lambda: now[0])
    assert [limit.wait("a", "x") for _ in range(3)] == [0.0, 0.0, SECONDS]
    now[0] += SECONDS
    assert limit.wait("a", "x") == 0.0
    for number in range(1000):
        limit.wait("a", str(number))
    assert len(limit) == 10


@pytest.mark.parametrize(("wanted", "got", "direction"), [
    ("ru-RU,ru;q=0.9", "ru", "ltr"), ("fa-IR", "fa", "rtl"), ("ar", "ar", "rtl"), ("uk", "uk", "ltr"),
    ("tr-TR,en;q=0.5", "tr", "ltr"), ("de", "en", "ltr"), ("", "en", "ltr"), ("xx;q=k,,é", "en", "ltr")])
def test_the_page_is_in_the_visitors_language(stranger: Visitor, address: str, wanted: str, got: str,
                                              direction: str) -> None:
    page = stranger.get(address, headers={"Accept-Language": wanted}).get_data(as_text=True)
    root = next(e for e in read(page) if e.tag == "html")
    assert (root.attributes["lang"], root.attributes["dir"]) == (got, direction)
    assert ("Connect in Telegram" in page) == (got == "en")
    chosen = stranger.get(f"{address}?lang=tr", headers={"Accept-Language": wanted}).get_data(as_text=True)
    assert "Telegram'da bağlan" in chosen
    odd = stranger.get(f"{address}?lang=../../etc", headers={"Accept-Language": wanted}).get_data(as_text=True)
    assert f'<html lang="{got}"' in odd


def marked() -> dict[str, set[str]]:
    """Every text of the page that is marked for translation, with the values in it."""
    with TEMPLATE.open("rb") as file:
        found = [message if isinstance(message, str) else message[0]
                 for _, _, message, _ in babel_extract(file, ("_",), (), {"newstyle_gettext": "true"})]
    return {message: set(re.findall(r"%\((\w+)\)s", message)) for message in found}


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_every_text_of_the_page_is_translated_and_has_its_values(language: str) -> None:
    with (LOCALE / language / "LC_MESSAGES/share.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    texts = marked()
    assert len(texts) > 40
    translated = {str(message.id): str(message.string) for message in catalogue if message.id and message.string
                  and not message.fuzzy}
    assert texts.keys() == translated.keys(), texts.keys() ^ translated.keys()
    for message, values in texts.items():
        assert set(re.findall(r"%\((\w+)\)s", translated[message])) == values, message
        assert translated[message].count("%%") == message.count("%%")
    assert not [m for m, t in translated.items() if t == m and m != "Android"]


def test_no_text_of_the_page_is_left_unmarked() -> None:
    bare = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", TEMPLATE.read_text(), flags=re.DOTALL)
    bare = re.sub(r"<[^>]*>", " ", bare)
    assert re.findall(r"[A-Za-z]{2,}", bare) == []


def test_a_ledger_that_cant_be_read_and_a_broken_file_show_a_page_of_its_own(
        fleet: Fleet, stranger: Visitor, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret is ee1234")

    (fleet.data_dir / "config.json").write_text("{ broken")
    assert stranger.get(address).status_code == 200, "the last good declaration counts"
    monkeypatch.setattr("app.control.share_views.page", broken)
    answer = stranger.get(address)
    assert answer.status_code == 500 and "ee1234" not in answer.get_data(as_text=True)
    assert "does not work at the moment" in answer.get_data(as_text=True)
    assert "login" not in answer.get_data(as_text=True)


def test_an_admin_makes_renews_and_removes_the_page_of_a_user(fleet: Fleet, admin: Visitor, stranger: Visitor) -> None:
    anna = fleet.add_user("Anna")

    def shown() -> str | None:
        """The address on the page of the user."""
        return next((e.attributes["value"] for e in read(admin.get(f"/users/{anna.id}").get_data(as_text=True))
                     if e.attributes.get("aria-label") == "Address of this page"), None)

    def post(verb: str) -> str:
        answer = admin.post(f"/users/{anna.id}/page{verb}")
        assert answer.status_code == 302 and answer.location == f"/users/{anna.id}#own-page"
        return text(admin.get(f"/users/{anna.id}").get_data(as_text=True))

    assert shown() is None
    assert "The page is there" in post("")
    first = shown()
    assert "This is how you reach the panel now" in text(admin.get(f"/users/{anna.id}").get_data(as_text=True))
    assert first.startswith("http://localhost/s/") and stranger.get(first).status_code == 200
    assert "has a new address" in post("/renew") and shown() != first
    assert stranger.get(first).status_code == 404 and stranger.get(second := shown()).status_code == 200
    assert "switched off" in post("/off") and shown() is None and stranger.get(second).status_code == 404
    assert admin.post("/users/0badc0de/page").status_code == 404
    assert admin.post("/users/Anna/page").status_code == 404, "a name is no address"
    assert admin.get(f"/users/{anna.id}/page").status_code == 405


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("language", LANGUAGES)
def test_in_a_browser_the_page_fits_a_phone_loads_nothing_else_and_makes_a_new_link_without_script(
        fleet: Fleet, chromium: Browser, site: str, address: str, script: bool, language: str) -> None:
    fleet.set_settings({"share_renew": "true"})
    before, complaints = fleet.user("Anna Secretova").tg_link, []
    context = chromium.new_context(viewport={"width": 320, "height": 700}, java_script_enabled=script)
    context.set_default_timeout(60_000)
    try:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("request", lambda r: None if r.url.startswith((f"{site}/s/", "data:")) else complaints.append(r.url))
        page.goto(f"{site}{address}?lang={language}")
        assert page.locator("a.connect").get_attribute("href") == before
        assert page.locator("figure img").bounding_box()["width"] > 150
        widest = page.locator("body").bounding_box()
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 320.5 for box in (
            widest, page.locator("a.connect").bounding_box(), page.locator(".link").bounding_box()))
        page.locator("details").last.locator("summary").click()
        page.locator("form button").click()
        page.locator(".note").wait_for()
        assert page.url == f"{site}{address}?renewed=1&lang={language}"
        assert page.locator("a.connect").get_attribute("href") == fleet.user("Anna Secretova").tg_link != before
        assert page.locator("html").get_attribute("dir") == ("rtl" if language in ("ar", "fa") else "ltr")
        assert context.cookies() == []
    finally:
        context.close()
    assert complaints == []
