"""Every page of the URL map without JavaScript: all that is needed is in sight, and every button does what it says."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from flask import Flask
from playwright.sync_api import APIRequestContext, APIResponse, Browser, Page
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from app import create_app
from tests.support.fleet import Fleet
from tests.web.every_page import Shown, by_get, further, open_page, second_factor
from tests.web.html import read
from tests.web.routes import endpoints
from tests.web.screenshots import empty_fleet, fleet_on_443, full_fleet, new_fleet, served
from tests.web.visitor import NAME, PASSWORD, Visitor

pytestmark = pytest.mark.slow

#: What stays hidden without script, each with the reason why nobody misses it.
HIDDEN = {
    "[data-share]": "the system's share sheet; the link and the message stand beside it",
    "[data-offline]": "that live parts do not come, and there are none",
    "input[autocomplete=username]": "for password managers",
    "form#one": "the buttons of the list are in it by their form=, and in sight",
    "form[data-passkey], form[data-passkey] *": "passkeys need JavaScript; a code does the same, or <noscript> tells",
    "[data-passkey-unable]": "the same",
    "[data-chart-before]": "the key to what is not in the picture"}
#: What buttons there are that only script can serve, each with what does the same without it.
NEEDS_SCRIPT = {
    "[data-copy]": "the text stands beside it, to be selected",
    "[data-copy-from]": "the user's page, or the page of all links, has it as text",
    "[data-theme-toggle]": "the theme is the system's",
    "[data-follow]": "the page is loaded again",
    "[data-choose-all]": "each has a box of its own, and all who match can be chosen"}
#: What of the URL map is sent by no form of these pages, and why.
WITHOUT_FORM = {
    **dict.fromkeys(("settings.check", "users.check", "users.check_new", "users.check_common", "plans.check",
                     "plans.check_new"), "tells an error while it is typed; saving tells the same"),
    "settings.save_of_before": "of tabs that show a page of an older version: test_old_tabs.py",
    "bans.add": "shown while bans are switched on: test_bans.py",
    "bans.remove": "shown while an address is banned: test_bans.py",
    "factors.question": "asks a passkey; a code does the same",
    "factors.keep_passkey": "takes what JavaScript got from the browser",
    "factors.passkey": "shown by HTTPS under a name; a passkey needs JavaScript: test_passkeys.py",
    "dashboard.renew": "shown while proxies run an old image: test_browser_proxies.py",
    "logs.debug": "shown for engines that can log more: test_debug_log.py", "logs.end_debug": "the same",
    "settings.update": "shown when there is a newer release: test_settings.py",
    "users.undo": "shown when a job has ended: test_users_many.py",
}

#: What is wrong with a page for whoever has no script; its forms, button by button; its links.
LOOK = """([hidden, needs]) => {
  document.querySelectorAll('details').forEach((each) => { each.open = true; });
  const wrong = [], forms = [], links = new Set();
  const seen = (e) => e.checkVisibility();
  const say = (what, e) => wrong.push(`${what}: ${e.outerHTML.slice(0, 160)}`);
  const all = (what) => [...document.querySelectorAll(what)].filter((e) => !e.closest('dialog'));
  for (const e of all('[hidden]')) if (!e.matches(hidden)) say('is hidden', e);
  for (const e of all('.needs-script')) {
    if (!e.matches(needs) && !e.querySelector(needs)) say('needs script', e);
    if (seen(e)) say('does nothing', e);
  }
  for (const e of all('canvas, [onclick], a:not([href]):not([id]), [role=button]:not(button)'))
    if (seen(e)) say('does nothing', e);
  for (const e of all('[hx-get], [hx-post], [hx-put], [hx-delete]')) {
    const filled = e.matches('[data-live]') && e.textContent.trim();
    if (!filled && !e.matches('form, a[href]') && !e.closest('form')) say('does nothing by itself', e);
    if (e.matches('form') && e.method === 'post' && !e.action) say('leads nowhere', e);
  }
  for (const e of all('div, section, ul, ol, table, tbody, dl, span[id], p[id], pre')) {
    const message = e.closest('[aria-live]')
      || e.matches('#notices, #work, [data-log-notices], [role=status], [role=alert]');
    if (seen(e) && !e.textContent.trim() && !message && !e.querySelector('img, svg, input, progress, textarea'))
      say('is empty', e);
  }
  for (const e of all('input, select, textarea')) {
    if (e.type === 'hidden' || !seen(e) || e.readOnly) continue;
    if (!e.form) say('is in no form', e);
    else if (!e.name) say('has no name', e);
    else if (![...e.form.elements].some((each) => each.type === 'submit' && seen(each))) say('has no button', e);
  }
  for (const e of all('button, input[type=submit]')) {
    if (!seen(e)) continue;
    if (e.type !== 'submit' || !e.form) { say('does nothing', e); continue; }
    const data = [...new FormData(e.form, e)].map(([name, value]) => [name, String(value)]);
    forms.push({
      action: e.getAttribute('formaction') || e.form.getAttribute('action') || location.pathname + location.search,
      method: (e.getAttribute('formmethod') || e.form.method).toUpperCase(), data,
      button: e.textContent.trim(), value: e.name && `${e.name}=${e.value}`});
  }
  for (const e of all('a[href]')) {
    const address = new URL(e.href);
    if (address.origin !== location.origin) {
      if (!/^(https:..(t[.]me|github[.]com).|tg:|otpauth:)/.test(e.href)) say('leads away', e);
    }
    else if (!e.getAttribute('href').startsWith('#')) links.add(address.pathname + address.search);
    else if (!document.getElementById(address.hash.slice(1))) say('leads to no part of the page', e);
  }
  for (const e of document.querySelectorAll('[data-dialog]')) if (!e.matches('a[href]')) say('asks nothing', e);
  return {wrong, forms, links: [...links]};
}"""


@dataclass(frozen=True)
class Sent:
    """What a press on a button sends. page: where it was found."""

    page: str
    action: str
    method: str
    data: tuple[tuple[str, str], ...]
    button: str
    value: str
    stranger: bool

    @property
    def alike(self) -> tuple[object, ...]:
        """The same for the buttons of every row of a list."""
        names = sorted({name for name, _ in self.data})
        same = (re.sub(r"[0-9a-f]{8,}", "ID", text) for text in (urlsplit(self.action).path, self.value))
        return self.method, *same, *names


EXHIBITS = {"full": full_fleet, "443": fleet_on_443, "empty": empty_fleet, "new": new_fleet, "factor": full_fleet}


def window(chromium: Browser, site: str) -> Page:
    context = chromium.new_context(base_url=site, java_script_enabled=False)
    context.set_default_timeout(60_000)
    return context.new_page()


def log_in(page: Page, site: str, name: str = NAME, password: str = PASSWORD) -> None:
    page.goto(f"{site}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    with page.expect_navigation():
        page.get_by_role("button", name="Log in").click()


def answered(panel: Flask, method: str, address: str) -> str:
    """The endpoint of the URL map that answers this, "" for none."""
    try:
        return panel.url_map.bind("localhost").match(urlsplit(address).path, method)[0]
    except RequestRedirect:
        return "redirect"
    except HTTPException:
        return ""


def look(page: Page, site: str, shown: Shown) -> dict:
    open_page(page, site, shown)
    return page.evaluate(LOOK, [", ".join(HIDDEN), ", ".join(NEEDS_SCRIPT)])


def walk(which: str, chromium: Browser, folder: Path) -> tuple[list[str], set[str]]:
    """(what is wrong with the pages of a panel in this state, the endpoints that their buttons send to)."""
    fleet = EXHIBITS[which](folder)
    panel = create_app(fleet)
    name, password = ("admin", fleet.file.read().initial_password) if which == "new" else (NAME, PASSWORD)
    visitor = Visitor(panel.test_client())
    visitor.login(name, password)
    wrong: list[str] = []
    buttons: dict[tuple, Sent] = {}
    links: dict[str, str] = {}
    with served(fleet) as address:
        site = address.replace("panel.test", "127.0.0.1")
        pages = by_get(panel, fleet, visitor) + (further(fleet) if which == "full" else [])
        own, away = window(chromium, site), window(chromium, site)
        log_in(own, site, name, password)
        if which == "factor":
            pages = second_factor(fleet)
        for shown in pages:
            seen = look(away if shown.stranger else own, site, shown)
            wrong += [f"{shown.name} ({shown.path}): {fault}" for fault in seen["wrong"]]
            for form in seen["forms"]:
                sent = Sent(shown.name, form["action"], form["method"], tuple(map(tuple, form["data"])), form["button"],
                            form["value"], shown.stranger)
                buttons.setdefault(sent.alike, sent)
            for link in seen["links"]:
                links.setdefault(link, shown.name)
        wrong += [f"{where}: the link {link} leads to no page" for link, where in links.items()
                  if not answered(panel, "GET", link)]
        with Sender(fleet, site, own, away, name, password) as sender:
            for sent in buttons.values():
                wrong += sender.send(sent)
        for each in (own, away):
            each.context.close()
    assert len(buttons) > 5 and len(links) > 5
    return wrong, {answered(panel, "POST", sent.action) for sent in buttons.values() if sent.method == "POST"}


@pytest.fixture(scope="module")
def walks(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], set[str]]]:
    return {which: walk(which, chromium, tmp_path_factory.mktemp(which) / "data") for which in EXHIBITS}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("which", EXHIBITS)
def test_every_page_has_all_it_needs_and_every_button_does_what_it_says(walks: dict, which: str) -> None:
    wrong, _ = walks[which]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.timeout(900)
def test_all_that_can_be_changed_can_be_changed_by_a_button_of_a_page(walks: dict, tmp_path: Path) -> None:
    fleet = full_fleet(tmp_path / "data")
    sent = set().union(*(endpoints for _, endpoints in walks.values()))
    never = {endpoint for endpoint, _ in endpoints(create_app(fleet), fleet, "POST")} - sent
    assert never == WITHOUT_FORM.keys(), " ".join(sorted(never ^ WITHOUT_FORM.keys()))


class Sender:
    """Presses buttons as a browser without script does, each on the panel as it was before."""

    def __init__(self, fleet: Fleet, site: str, own: Page, away: Page, *who: str) -> None:
        self.fleet, self.site, self.window, self.who = fleet, site, own, who
        self.own, self.away = own.context.request, away.context.request
        #: Of a session after the one whose pages were read.
        self.token = ""

    def __enter__(self) -> Sender:
        self.declared = self.fleet.file.path.read_bytes()
        return self

    def __exit__(self, *_: object) -> None:
        self.fleet.file.path.write_bytes(self.declared)

    def send(self, sent: Sent) -> list[str]:
        """What was wrong with the answer."""
        who = self.away if sent.stranger else self.own
        address = f"{sent.method} {sent.action} ({sent.button!r} on {sent.page})"
        action = self.site + sent.action
        if sent.method == "GET":
            answer = who.get(action.partition("?")[0] + "?" + urlencode(sent.data))
            return [] if answer.status == 200 else [f"{address}: {answer.status}"]
        if "/s/" not in sent.action and not dict(sent.data).get("csrf_token"):
            return [f"{address}: has no token"]
        data = {**dict(sent.data), "csrf_token": self.token} if self.token and not sent.stranger else sent.data
        answer = who.post(action, data=urlencode(data), max_redirects=0, headers={
            "Content-Type": "application/x-www-form-urlencoded", "Origin": self.site, "Sec-Fetch-Site": "same-origin"})
        if answer.status in (302, 303):
            answer = self.followed(who, answer)
        if answer.url.endswith("/login") and not sent.stranger:
            self.window.context.add_cookies([{"name": "language", "value": "en", "url": self.site}])
            log_in(self.window, self.site, *self.who)
            self.token = self.window.locator("[name=csrf_token]").first.get_attribute("value")
        told = answer.status == 200 or (answer.status in (401, 422) and tells(answer))
        if self.fleet.file.path.read_bytes() != self.declared:
            self.fleet.file.path.write_bytes(self.declared)
        return [] if told else [f"{address}: {answer.status} {answer.url}"]

    def followed(self, who: APIRequestContext, answer: APIResponse) -> APIResponse:
        """The page that it leads to, once what goes on there has ended: without script, the page asks again itself."""
        end = time.monotonic() + 60
        answer = who.get(urljoin(answer.url, answer.headers["location"]))
        while 'http-equiv="refresh"' in answer.text() and time.monotonic() < end:
            time.sleep(0.1)
            answer = who.get(answer.url)
        return answer


def tells(answer: APIResponse) -> bool:
    """Whether the page says what was wrong."""
    return any(e.text.strip() for e in read(answer.text()) if e.attributes.get("role") == "alert"
               or {"text-bad", "notice-error"} & set(e.attributes.get("class", "").split()))
