"""Nothing changes but by a POST that a page of this panel sent: every route, every method, every kind of sender."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser

from app.config.channels import Channel
from tests.support.fleet import Fleet
from tests.web.desk import Desk, open_desk
from tests.web.html import text
from tests.web.routes import every_path
from tests.web.visitor import NAME, PASSWORD, Visitor

METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "X")
SAFE = ("GET", "HEAD")
#: What a browser says of a page that is not the panel's own.
OTHER_PAGES = (
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8000"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin, same-site"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://[evil"},
)


@pytest.fixture(autouse=True)
def bob(fleet: Fleet) -> str:
    """A user; their counters are as fresh as a page wants them, however long the test takes."""
    bob = fleet.add_user("Bob").id
    fleet.sampled_at = float("inf")
    return bob


@pytest.fixture
def everything(fleet: Fleet, declaration: Path) -> Callable[[], tuple[object, ...]]:
    """Call it for all that a request could change: the declaration, the ledger, and what runs."""
    def look() -> tuple[object, ...]:
        with closing(sqlite3.connect(fleet.data_dir / "panel.db")) as ledger:
            return declaration.read_bytes(), list(ledger.iterdump()), fleet.runtime.observe()
    return look


def test_no_other_method_than_post_changes_anything(
        panel: Flask, fleet: Fleet, admin: Visitor, stranger: Visitor,
        everything: Callable[[], object]) -> None:
    fleet.add_plan("Family")
    with fleet.file.edit() as config:
        config.notifications = [Channel(id="hook", name="Hook", kind="webhook", enabled=False)]
    token = admin.token()
    before = everything()
    for method in METHODS:
        for path in every_path(panel, fleet):
            for visitor in (admin, stranger):
                answer = visitor.client.open(
                    path, method=method, headers={"X-HTTP-Method-Override": "POST", "X-CSRFToken": token},
                    data={"csrf_token": token, "name": "Mallory", "_method": "POST"})
                # What only a form is sent to may be the address of a page by another rule.
                known = method in SAFE and panel.url_map.bind("localhost").test(path, method)
                assert answer.status_code in ((200, 302) if known else (405,)), (method, path)
                assert method != "HEAD" or answer.data == b""
        assert everything() == before, method
    assert admin.get("/").status_code == 200, "the admin is still logged in"


def test_a_head_is_answered_like_a_get(panel: Flask, fleet: Fleet, admin: Visitor, stranger: Visitor) -> None:
    for path in every_path(panel, fleet):
        for visitor in (admin, stranger):
            get, head = visitor.get(path), visitor.client.head(path)
            assert (head.status_code, head.mimetype) == (get.status_code, get.mimetype), path


def test_what_another_page_sends_changes_nothing_even_with_a_valid_token(
        panel: Flask, fleet: Fleet, admin: Visitor, everything: Callable[[], object]) -> None:
    fields = {"csrf_token": admin.token(), "name": "Mallory"}
    before = everything()
    for headers in OTHER_PAGES:
        for path in every_path(panel, fleet):
            assert admin.client.post(path, data=fields, headers=headers).status_code == 403, (path, headers)
        assert everything() == before, headers
        assert admin.get("/", headers=headers).status_code == 200, "a link may lead here, and the session goes on"


def test_a_refused_page_is_told_what_to_look_at(admin: Visitor) -> None:
    answer = admin.post("/stop", headers={"Origin": "https://evil.example"})
    page = text(answer.get_data(as_text=True))
    assert "https://evil.example" in page and "Nothing was changed" in page and "Host" in page


@pytest.mark.parametrize("headers", [
    {},                                                        # curl, and browsers of before 2018
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},       # a browser that was told to send no referrer
    {"Sec-Fetch-Site": "none"},                                # a form sent again by hand
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://panel.example"},  # a proxy that changes Host
    {"Origin": "http://localhost"},
    {"Origin": "http://LOCALHOST"},
], ids=str)
def test_a_page_of_the_panel_may_send_what_it_likes(admin: Visitor, headers: dict[str, str]) -> None:
    assert admin.post("/stop", headers=headers).location == "/"


@pytest.mark.parametrize(("origin", "host"), [
    ("http://127.0.0.1:8081", "127.0.0.1:8081"),               # a tunnel on another port
    ("http://[::1]:8080", "[::1]:8080"),
    ("https://panel.example", "panel.example"),                # a proxy that speaks HTTPS before us
    ("https://panel.example", "panel.example:443"),
    ("https://panel.example:8443", "panel.example:8443"),
    ("http://panel.example", "panel.example:80"),
])
def test_an_origin_is_compared_with_the_address_that_was_asked(
        panel: Flask, fleet: Fleet, origin: str, host: str) -> None:
    fleet.set_settings({"panel_domain": "panel.example"})
    visitor = Visitor(panel.test_client())
    page = visitor.get("/login", base_url=f"http://{host}").get_data(as_text=True)
    token = page.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    fields = {"csrf_token": token, "username": NAME, "password": PASSWORD}
    answer = visitor.client.post("/login", data=fields, base_url=f"http://{host}", headers={"Origin": origin})
    assert answer.status_code == 302


@pytest.fixture
def neighbour() -> Iterator[str]:
    """A page on another port of 127.0.0.1: another origin, but the same site for a browser's cookies."""
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Cats</title>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_beside_the_panel_in_a_real_browser_does_nothing(
        chromium: Browser, site: str, fleet: Fleet, panel: Flask, neighbour: str,
        everything: Callable[[], object]) -> None:
    here = f"http://127.0.0.1:{site.rpartition(':')[2]}"
    context, desk = open_desk(chromium, here)
    try:
        desk.login()
        before = everything()
        window = Desk(context.new_page(), neighbour)
        window.go("/")
        addresses = [here + path for path in every_path(panel, fleet)]
        arrived = window.page.evaluate("""async (addresses) => {
          let arrived = 0;
          for (const address of addresses) for (const method of ['HEAD', 'GET', 'POST']) {
            try {
              await fetch(address, {method, mode: 'no-cors', credentials: 'include',
                body: method === 'POST' ? new URLSearchParams({name: 'Mallory'}) : undefined});
              arrived += 1;
            } catch (error) { /* the browser itself refused */ }
          }
          return arrived;
        }""", addresses)
        assert arrived >= 2 * len(addresses)
        assert everything() == before
        desk.page.reload()
        desk.page.get_by_role("heading", name="Running").wait_for()
    finally:
        context.close()
