"""After a logout the browser's Back button shows nothing of the panel: for every page of the URL map, and those that
a form has made; whatever browsers keep, in their cache of answers, of whole pages, or in storage."""

from __future__ import annotations

import pytest
from flask import Flask
from playwright.sync_api import Browser, Error, Page, expect

from app.config.channels import Channel
from tests.support.fleet import Fleet
from tests.web.desk import open_desk
from tests.web.every_page import Shown, open_page
from tests.web.routes import OPEN_TO_ALL, every_page, every_path
from tests.web.visitor import PASSWORD, Visitor

#: What stands on pages of the panel and nowhere else.
NAMES = ("Grandma Nilufar", "Family plan", "Status page", "proxy.example", "tg://", "Dashboard")
#: A tab keeps 50 pages at most.
AT_ONCE = 40
#: What a page of the login asks of the browser's cache, each address in turn: the address where the answer came from.
KEPT = """async (paths) => {
  const found = [];
  for (const path of paths) {
    try {
      const kept = await fetch(path, {cache: 'only-if-cached', mode: 'same-origin'});
      if (kept.ok) found.push(path);
    } catch { /* there is none */ }
    const answer = await fetch(path, {cache: 'force-cache'});
    if (!new URL(answer.url).pathname.startsWith('/login')) found.push(`${path} is answered by ${answer.url}`);
  }
  return found;
}"""
#: What is in the browser's storage: names only. htmx notes which address the tab is at, as the address bar does.
STORED = """async () => [...Object.keys(localStorage), ...Object.keys(sessionStorage),
    ...(await indexedDB.databases()).map((each) => each.name)
    ].filter((name) => name !== 'htmx-current-path-for-history')"""


@pytest.fixture(autouse=True)
def things(fleet: Fleet) -> None:
    """Something for every kind of page."""
    fleet.add_user("Grandma Nilufar", limit_gb="5")
    fleet.add_plan("Family plan")
    with fleet.file.edit() as config:
        config.notifications.append(Channel.model_validate(
            {"id": "c1", "name": "Status page", "kind": "webhook", "url": "http://127.0.0.1:1", "secret": "key"}))


def own_pages(panel: Flask, fleet: Fleet) -> list[str]:
    """The address of all that is only for who is logged in."""
    return [path for path in every_page(panel, fleet) if path not in OPEN_TO_ALL and path != "/login/code"]


def made_by_forms(fleet: Fleet) -> list[Shown]:
    """Pages that show a secret once, or what was typed."""
    return [Shown("token", "/account/tokens",
                  {"name": "Status page", "scope": "read", "days": "90", "current": PASSWORD}),
            Shown("admin", "/admins", {"username": "olga", "role": "operator"}),
            Shown("refused", "/users/new", {"name": "Grandma Nilufar", "limit_gb": "a lot"}),
            Shown("tested", f"/users/{fleet.users()[0].id}/test", {}),
            Shown("added", "/users/import", {"names": "Family plan"})]


def log_out(page: Page) -> None:
    page.get_by_role("button", name="Log out", exact=True).click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()


def test_no_answer_for_an_admin_may_be_kept(panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    """Pages, their parts, JSON, pictures, files; and what forms, errors and other methods answer."""
    kinds, token = set(), admin.token("/users/new")
    for path in own_pages(panel, fleet):
        for how in ({}, {"headers": {"HX-Request": "true"}}):
            answer = admin.get(path, **how)
            assert answer.headers["Cache-Control"] == "no-store", path
            kinds.add(answer.mimetype)
            if tag := answer.headers.get("ETag"):
                again = admin.get(path, headers={**how.get("headers", {}), "If-None-Match": tag})
                assert again.headers["Cache-Control"] == "no-store", path
    assert {"text/html", "application/json", "image/png", "image/svg+xml", "text/plain"} <= kinds
    for path, methods in every_path(panel, fleet).items():
        for answer in (admin.client.open(path, method="HEAD"), admin.client.open(path, method="DELETE"),
                       admin.client.post(path, data={"csrf_token": "old"}),
                       *([admin.client.post(path, data={"csrf_token": token, "name": "x" * 70_000})]
                         if "POST" in methods else ())):
            assert path.startswith("/static") or answer.headers["Cache-Control"] == "no-store", path


def test_the_api_and_the_pages_of_users_are_kept_by_no_cache_either(panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    for rule in panel.url_map.iter_rules():
        if rule.endpoint.startswith("api.") or rule.endpoint == "share.page":
            path = rule.rule.replace("<user_id>", fleet.users()[0].id)
            answer = admin.get("/s/nobody" if rule.endpoint == "share.page" else path)
            assert answer.headers["Cache-Control"] == "no-store", path


@pytest.mark.timeout(600)
def test_back_after_a_logout_leads_to_the_login_from_every_page(
        chromium: Browser, site: str, panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    own = own_pages(panel, fleet)
    shown = [Shown(path, path) for path in own if admin.get(path).mimetype == "text/html"
             and admin.get(path).status_code == 200]
    context, desk = open_desk(chromium, site)
    page = desk.page
    for start in range(0, len(shown), AT_ONCE // 2):
        desk.login()
        for each in shown[start:start + AT_ONCE // 2]:
            open_page(page, site, each)
        if start == 0:
            page.evaluate("(paths) => Promise.all(paths.map((path) => fetch(path)))", own)
        desk.go("/account")
        log_out(page)
        assert page.evaluate(STORED) == []
        if start == 0:
            assert page.evaluate(KEPT, own) == []
        assert went_back(page) >= min(AT_ONCE, len(shown) - start) // 2
    context.close()


def went_back(page: Page) -> int:
    """Goes back as far as the tab can, and looks at each page; how many there were."""
    for steps in range(2 * AT_ONCE):
        if page.go_back() is None:
            return steps
        seen = page.content()
        assert [name for name in NAMES if name in seen] == [], page.url
        assert "/login" in page.url
    raise AssertionError("there is no end to it")


@pytest.mark.parametrize("which", range(5))
def test_back_after_a_logout_shows_no_page_that_a_form_has_made(
        chromium: Browser, site: str, fleet: Fleet, which: int) -> None:
    context, desk = open_desk(chromium, site)
    desk.login()
    open_page(desk.page, site, made_by_forms(fleet)[which])
    assert desk.page.get_by_role("button", name="Log out", exact=True).count() == 1
    log_out(desk.page)
    try:
        desk.page.go_back()
    except Error as error:
        # The answer is not there any more, and the browser asks nothing again without a question.
        assert "ERR_CACHE_MISS" in str(error)
    else:
        assert "/login" in desk.page.url
        assert [name for name in NAMES if name in desk.page.content()] == []
    context.close()
