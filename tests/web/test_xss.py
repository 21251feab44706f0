"""What people, proxies and strangers write is text on every page: nothing of it runs, and the policy has nothing to stop."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from app import create_app
from app.control.monitor import Monitor
from app.engines.builtin import Builtin
from app.web.setting_groups import GROUPS
from tests.support.fleet import Fleet
from tests.web.desk import open_desk
from tests.web.every_page import Shown, by_get, open_page, silent_runtime
from tests.web.html import read
from tests.web.screenshots import PictureRuntime, served
from tests.web.visitor import NAME, PASSWORD, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: Each gets out of another place: of an element, an attribute, a script, a style, an address, a template, htmx's attributes.
CORPUS = (
    "<script>pwned()</script>", "<img src=x onerror=pwned()>", "\"><svg/onload=pwned()>", "' autofocus onfocus='pwned()",
    "</title><script>pwned()</script>", "</textarea><img src=x onerror=pwned()>", "</script><script>pwned()//", "javascript:pwned()",
    "{{ 7*7 }}${7*7}<%= 7*7 %>", "<a href=javascript:pwned()>x</a>", "<b hx-get=/logout hx-trigger=load>x", "<iframe srcdoc='<script>parent.pwned()'>",
    "<base href=//evil.test>", "<meta http-equiv=refresh content=0;//evil.test>", "&lt;script&gt;pwned()&lt;/script&gt;", "<style>*{display:none}",
    "--><img src=x onerror=pwned()>", "\\\"-pwned()-\\\"", "<math><mtext><img src=x onerror=pwned()>", "<x contenteditable onblur=pwned()>x")
#: What none of the panel's pages has, and some of these would add.
FOREIGN = ("iframe", "math", "object", "embed", "base", "x", "[hx-get='/logout']", "[onerror]", "[onload]", "[onfocus]", "[onblur]",
           "a[href^='javascript']", "img[src='x']", "body style", "meta[http-equiv]", "script:not([src])")


def hostile_fleet(data_dir: Path) -> Fleet:
    """Every text that somebody else can choose is one of the corpus."""
    runtime = PictureRuntime()
    fleet = Fleet(data_dir, runtime, Builtin())
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example.org"})
    plan = fleet.add_plan(CORPUS[0])
    for number, evil in enumerate(CORPUS):
        fleet.add_user(evil[:64], note=evil, tags=evil[:30].replace(",", ""), plan=plan.name if number % 2 else None)
        fleet.add_plan(f"{evil[:60]}{number}")
        fleet.ledger.events.record("cli", "user.added", evil, evil)
        fleet.ledger.events.record(f"admin:{evil}", evil, evil, evil)
        fleet.ledger.events.record_failed_login(evil, evil)
    fleet.create_admin(CORPUS[1][:64], PASSWORD)
    Monitor(fleet, 10).tick()
    for box in runtime.machine.boxes.values():
        box.log[:] = [f"2026-11-20T05:58:00Z WARNING {evil}" for evil in CORPUS] + list(CORPUS)
    second = fleet.users()[1]
    runtime.machine.fail("start", f"mtg-proxy-{second.port}", CORPUS[1])
    runtime.machine.crash(f"mtg-proxy-{second.port}", CORPUS[2])
    fleet.reconcile()
    fleet.remove(fleet.users()[-1].id)
    return fleet


def pages_with_answers(fleet: Fleet) -> list[Shown]:
    """Forms and questions that say again what was typed."""
    ids = [user.id for user in fleet.users()]
    evil = dict.fromkeys(("name", "limit_gb", "expires", "domain", "port", "tags", "note", "link", "plan", "engine", "at_limit", "speed_mbps", "reset_cycle", "max_unique_ips", "shown", "back", "names", "username", "current"), CORPUS[1])
    return [
        Shown("new", "/users/new", evil), Shown("edit", f"/users/{ids[0]}/edit", evil), Shown("import", "/users/import", evil),
        Shown("plan", "/plans/new", evil), Shown("admin", "/admins", evil), Shown("own", "/account/password", evil),
        *(Shown(f"settings-{group.name}", f"/settings/{group.name}", dict.fromkeys((*group.keys, "shown"), CORPUS[2])) for group in GROUPS if group.keys),
        Shown("settings-search", f"/settings/search?q={CORPUS[1]}"),
        *(Shown(f"ask-{what}", "/users/bulk/ask", {"id": ids, "what": what, "back": CORPUS[2], "value": CORPUS[2]}) for what in ("tag", "untag", "delete")),
        Shown("do", "/users/bulk/do", {"id": ids[:9], "what": "extend", "value": CORPUS[1], "back": CORPUS[2]}),
        Shown("job", "/users/bulk/do", {"id": [*ids[:9], CORPUS[1]], "what": "add_traffic", "value": "1", "back": CORPUS[2]}),
        Shown("list", f"/users?q={CORPUS[1]}&tag={CORPUS[2]}&sort={CORPUS[3]}"), Shown("events", f"/events?subject={CORPUS[1]}&actor={CORPUS[2]}&user=x"),
        Shown("logs", f"/logs?user={CORPUS[1]}&tail={CORPUS[2]}"), Shown("remove", f"/admins/remove?username={CORPUS[1]}"),
        Shown("gone", f"/{CORPUS[1]}"), Shown("test", f"/users/{ids[0]}/test", {}), Shown("check", "/check", {}),
        Shown("rename", "/admins/set", {"username": CORPUS[1]}), Shown("debug", "/logs/debug", {"engine": CORPUS[1], "minutes": CORPUS[2]})]


def test_nothing_that_others_write_runs_on_any_page(chromium: Browser, tmp_path: Path) -> None:
    fleet = hostile_fleet(tmp_path / "data")
    panel = create_app(fleet)
    visitor = Visitor(panel.test_client())
    visitor.login()
    with served(fleet) as site:
        context, desk = open_desk(chromium, site)
        desk.page.add_init_script("window.pwned = () => { window.isPwned = true; }; addEventListener('securitypolicyviolation', "
                                  "(e) => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));")
        desk.page.on("dialog", lambda dialog: desk.complaints.append(f"dialog {dialog.message}"))
        open_page(desk.page, site, Shown("login", "/login", {"username": NAME, "password": PASSWORD}, stranger=True))
        everybody = [Shown(user.id, f"/users/{user.id}") for user in fleet.users()]
        shown = by_get(panel, fleet, visitor) + pages_with_answers(fleet) + everybody
        assert len(shown) > 50
        found = []
        for trouble in (None, "silent"):
            for page in shown if trouble is None else [one for one in shown if one.path in ("/", "/users", "/logs")]:
                if trouble:
                    with silent_runtime(fleet, CORPUS[1]):
                        open_page(desk.page, site, page)
                else:
                    open_page(desk.page, site, page)
                desk.page.wait_for_timeout(50)
                found += [f"{page.name}: {css}" for css in FOREIGN if desk.page.locator(css).count()]
                found += [f"{page.name}: it ran"] if desk.page.evaluate("!!window.isPwned") else []
                found += [f"{page.name}: {words}" for words in desk.complaints
                          if not words.startswith("Failed to load resource") and "required format" not in words]
                desk.complaints.clear()
                assert desk.page.url.startswith(site), f"{page.name} has led to {desk.page.url}"
        assert desk.page.evaluate("() => fetch('/account').then((answer) => answer.url)").endswith("/account"), "still logged in"
        context.close()
    assert found == []


def test_parts_of_pages_and_texts_for_programs_hold_no_elements_of_theirs(tmp_path: Path) -> None:
    fleet = hostile_fleet(tmp_path / "data")
    visitor = Visitor(create_app(fleet).test_client())
    visitor.login()
    bob = fleet.users()[0].id
    for path in ("/status", "/status/lists", "/users/list", "/logs/lines", "/check/result",
                 *(f"/users/{bob}/{part}" for part in ("head", "more", "state"))):
        page = visitor.get(path).get_data(as_text=True)
        tags = {element.tag for element in read(page)}
        assert not tags & {"script", "iframe", "math", "x", "style", "base", "meta", "textarea"}, path
        for element in read(page):
            assert not [name for name in element.attributes if name.startswith("on")], path
            assert not element.attributes.get("href", "").startswith("javascript"), path
    for path in (f"/users/{bob}/link", f"/users/{bob}/traffic/day"):
        answer = visitor.get(path)
        assert answer.mimetype != "text/html" and answer.headers["X-Content-Type-Options"] == "nosniff", path
