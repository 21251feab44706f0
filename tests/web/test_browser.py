"""The panel in a real browser, as a person uses it."""

from __future__ import annotations

import io
import itertools
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from app.actions import users
from app.ledger.traffic import Reading
from tests.support.fleet import Fleet
from tests.web.desk import Desk, open_desk

ROOT = Path(__file__).resolve().parents[2]

#: For every visible piece of text: its contrast with what is behind it, where that is below WCAG's AA.
CONTRAST = """() => {
  const brush = Object.assign(document.createElement('canvas'), {width: 1, height: 1})
    .getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    brush.clearRect(0, 0, 1, 1); brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const light = (rgb) => rgb.map((c) => c / 255)
    .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const poor = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.nodeValue.trim() || !node.checkVisibility() || node.closest('.sr-only')) continue;
    looked += 1;
    const ground = behind(node);
    const ink = over(rgba(getComputedStyle(node).color), ground);
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${walker.currentNode.nodeValue.trim()}`);
  }
  return {looked, poor};
}"""

#: Buttons, inputs and links that a finger would miss.
SMALL_TARGETS = """() => [...document.querySelectorAll('a, button, input, select, textarea, summary')]
  .filter((e) => e.checkVisibility() && !e.closest('.sr-only') && !e.classList.contains('sr-only'))
  .map((e) => ['radio', 'checkbox'].includes(e.type) ? e.closest('label') : e)
  .filter((e) => e.type !== 'hidden' && e.getBoundingClientRect().height < 44)
  .map((e) => `${e.getBoundingClientRect().height} ${e.textContent.trim() || e.name}`)"""

OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def pasted(page: Page) -> str:
    """What Ctrl+V puts into a field: the clipboard, as every program sees it. The field is none of the page's, where
    text has consequences."""
    field = page.evaluate_handle("() => document.body.appendChild(document.createElement('input'))").as_element()
    field.press("Control+V")
    text = field.input_value()
    field.evaluate("(field) => field.remove()")
    return text


def copy(page: Page, button: Locator) -> None:
    """Clicks it, and sees to it that it said so: it does for some seconds only."""
    there = button.element_handle()
    there.evaluate("(button) => { button.said = []; new MutationObserver(() => button.said.push("
                   "button.textContent.trim())).observe(button, {subtree: true, childList: true}); }")
    there.click()
    expect(page.locator("[data-announcer]")).to_have_text("Link copied")
    assert there.evaluate("(button) => button.said")[0] == "Copied"


def test_from_the_first_login_to_the_last_deletion(desk: Desk, fleet: Fleet) -> None:
    page = desk.page
    assert not page.evaluate("isSecureContext"), "plain http: the clipboard permission is not to be had"
    page.get_by_role("link", name="Add a user").click()
    page.get_by_label("Name").fill("Grandma")
    page.get_by_role("group", name="Traffic limit").get_by_text("Custom").click()
    page.get_by_label("Traffic limit").fill("-5")
    with desk.refusal():
        page.get_by_role("button", name="Add user").click()
    expect(page.get_by_text("The traffic limit '-5' is not allowed")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Grandma")
    expect(page.get_by_label("Traffic limit")).to_be_focused()
    page.get_by_label("Traffic limit").fill("5")
    with desk.next_page():
        page.get_by_role("button", name="Add user").click()

    expect(page.get_by_role("status").filter(has_text="Grandma is added.")).to_be_visible()
    user = fleet.user("Grandma")
    expect(page.get_by_label("Web link")).to_have_value(user.tme_link)
    expect(page.get_by_label("App link")).to_have_value(user.tg_link)
    copy(page, page.get_by_role("button", name="Copy").nth(1))
    code = page.get_by_role("img", name="QR code")
    code.evaluate("(image) => image.decode()")  # it may still be on its way
    seen = zxingcpp.read_barcodes(Image.open(io.BytesIO(code.screenshot())))
    assert [c.text for c in seen] == [user.tg_link]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    assert [c.text for c in zxingcpp.read_barcodes(Image.open(download.value.path()))] == [user.tg_link]

    desk.go("/users")
    assert pasted(page) == user.tg_link
    copy(page, page.get_by_role("button", name="Copy link"))
    assert pasted(page) == user.tme_link
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Disable Grandma").click()
    expect(page.locator("tbody tr").get_by_text("Disabled").locator("visible=true")).to_be_visible()
    assert fleet.user(user.id).state == "disabled"
    page.get_by_role("button", name="Enable Grandma").click()
    expect(page.get_by_text("Grandma is enabled.")).to_be_visible()
    with desk.next_page():
        page.get_by_role("link", name="Grandma").click()

    page.get_by_role("link", name="New link").click()
    dialog = page.get_by_role("dialog", name="Give Grandma a new link?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert fleet.user(user.id).secret == user.secret
    page.get_by_role("link", name="New link").click()
    with desk.next_page():
        dialog.get_by_role("button", name="Make a new link").click()
    expect(page.get_by_text("The old one no longer works.")).to_be_visible()
    assert fleet.user(user.id).secret != user.secret
    expect(page.get_by_label("App link")).to_have_value(fleet.user(user.id).tg_link)

    page.get_by_role("link", name="Delete").click()
    page.get_by_role("dialog", name="Delete Grandma?").get_by_role("button", name="Delete Grandma").click()
    expect(page.get_by_text("Grandma is deleted.")).to_be_visible()
    expect(page.get_by_text("No users yet")).to_be_visible()
    assert fleet.users() == []
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()


def test_a_refresh_takes_nobody_the_answer_of_what_they_do(
        desk: Desk, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow server: the user is gone, and the browser still waits for the page that says so."""
    user = fleet.add_user("Grandma")
    page = desk.page
    desk.go(f"/users/{user.id}")
    remove, gone = users.remove, threading.Event()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if gone.is_set() else None)

    def slowly(*what: Any, **more: Any) -> Any:
        done = remove(*what, **more)
        gone.set()
        time.sleep(6)  # longer than the pause between two refreshes
        return done

    monkeypatch.setattr(users, "remove", slowly)
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("dialog", name="Delete Grandma?").get_by_role("button", name="Delete Grandma").click()
    expect(page.get_by_text("Grandma is deleted.")).to_be_visible()
    assert [url for url in asked if user.id in url] == []


def test_the_same_works_without_script(chromium: Browser, site: str, fleet: Fleet) -> None:
    context, desk = open_desk(chromium, site, java_script_enabled=False)
    desk.login()
    page = desk.page
    expect(page.get_by_title("Switch between dark and light")).to_be_hidden()
    page.get_by_role("link", name="Add a user").click()
    page.get_by_label("Name").fill("Grandma")
    page.get_by_role("button", name="Add user").click()
    old = fleet.user("Grandma")
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    expect(page.get_by_label("App link")).to_have_value(old.tg_link)
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("Grandma is disabled.")).to_be_visible()
    page.get_by_role("button", name="Enable").click()
    page.get_by_role("link", name="New link").click()
    page.get_by_role("button", name="Make a new link").click()
    expect(page.get_by_label("App link")).to_have_value(fleet.user(old.id).tg_link)
    assert fleet.user(old.id).secret != old.secret
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name").fill("Granny")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete Granny").click()
    expect(page.get_by_text("Granny is deleted.")).to_be_visible()
    assert fleet.users() == [] and desk.complaints == []
    context.close()


def test_the_dashboard_follows_by_itself_and_leaves_focus_and_selection_alone(
        desk: Desk, fleet: Fleet) -> None:
    user = fleet.add_user("Grandma", limit_gb="1")
    fleet.add_user("Mehmet")
    page = desk.page
    desk.go("/")
    expect(page.get_by_role("heading", name="Running 2 of 2")).to_be_visible()
    fleet.ledger.traffic.account([Reading(user.id, "a link", "1", 1024**2, 0, 0, 3)])
    top = page.get_by_role("region", name="Most traffic today")
    link = top.get_by_role("link", name="Grandma")
    expect(link).to_be_visible()
    page.evaluate("() => { document.querySelector('h1').mark = 'same'; "
                  "document.querySelector('#top').mark = 'same'; "
                  "getSelection().selectAllChildren(document.querySelector('#top-title')); }")
    link.focus()
    fleet.ledger.traffic.account([Reading(user.id, "a link", "1", 900 * 1024**2, 0, 0, 3)])
    fleet.disable("Mehmet")
    fleet.add_user("Olena")
    expect(top).to_contain_text("900 MB")
    expect(page.get_by_role("link", name="1 disabled")).to_be_visible()
    expect(page.get_by_role("region", name="Latest events")).to_contain_text("User added: Olena")
    expect(link).to_be_focused()
    assert page.evaluate("() => [document.querySelector('h1').mark, document.querySelector('#top').mark, "
                         "String(getSelection())]") == ["same", "same", "Most traffic today"]
    fleet.remove(user.id)
    expect(page.get_by_role("link", name="Grandma")).to_have_count(0)


def test_a_panel_that_stops_answering_is_told_and_an_ended_session_leads_to_the_login(
        desk: Desk, fleet: Fleet) -> None:
    page = desk.page
    page.route("**/status**", lambda route: route.abort())  # each live part: what answers says that all is well
    notice = page.get_by_text("The panel does not answer.")
    expect(notice).to_be_visible()
    page.unroute("**/status**")
    expect(notice).to_be_hidden()
    assert desk.complaints and all("net::ERR_FAILED" in c for c in desk.complaints)
    desk.complaints.clear()
    fleet.reset_password("ada")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_search_finds_while_typing_and_outlives_a_refresh(desk: Desk, fleet: Fleet) -> None:
    for name in ("Grandma Nilufar", "Mehmet", "Дариуш"):
        fleet.add_user(name)
    page = desk.page
    desk.go("/users")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    search = page.get_by_role("searchbox")
    search.press_sequentially("ДАР")
    expect(rows).to_have_count(1)
    expect(search).to_be_focused()
    with page.expect_response("**/users/list?*"):
        pass
    expect(rows).to_have_count(1)
    assert unquote(page.url).endswith("/users?q=ДАР")
    page.reload()
    expect(rows).to_have_count(1)
    search.fill("nobody")
    expect(page.get_by_text("Nobody matches.")).to_be_visible()
    desk.go("/users?q=mehm")
    expect(rows).to_have_count(1)
    search.fill("")
    expect(rows).to_have_count(3)
    assert page.url.endswith("/users")


def test_the_theme_is_changed_at_once_and_kept(desk: Desk) -> None:
    page = desk.page
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Switch between dark and light").click()
    light = page.evaluate(ground)
    assert dark != light
    desk.go("/users")
    assert page.evaluate(ground) == light


def test_everything_can_be_reached_by_keyboard(desk: Desk, fleet: Fleet) -> None:
    fleet.add_user("Grandma")
    page = desk.page
    desk.go("/users")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    reached = []
    focused = "() => document.activeElement.textContent.trim() || document.activeElement.name"
    for _ in range(32):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(focused))
    wanted = ["Dashboard", "Users", "Logs", "Settings", "Log out", "q", "Add many", "Add a user", "Grandma",
              "Copy link", "Disable Grandma"]
    assert [name for name in reached if name in wanted] == wanted
    page.get_by_role("link", name="Grandma").focus()
    with desk.next_page():
        page.keyboard.press("Enter")
    page.get_by_role("link", name="Delete").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("link", name="Delete")).to_be_focused()


@pytest.mark.parametrize("script", [True, False])
def test_every_page_of_the_top_bar_is_in_sight_at_every_width(chromium: Browser, site: str, script: bool) -> None:
    context, desk = open_desk(chromium, site, java_script_enabled=script)
    desk.login()
    page = desk.page
    for language, width in itertools.product(("en", "ru"), (320, 390, 640, 1024, 1280)):
        context.add_cookies([{"name": "language", "value": language, "url": site}])
        page.set_viewport_size({"width": width, "height": 844})
        desk.go("/logs")
        if width < 1024:
            expect(page.locator("header nav a:visible")).to_have_count(0)
            page.locator("#pages > summary").click()
        links = page.locator("header nav a:visible")
        expect(links).to_have_count(5)
        for part in page.locator("#pages > summary:visible").all() + links.all():
            box = part.bounding_box()
            assert box["height"] >= 44 and box["x"] >= 0 and box["x"] + box["width"] <= width, (language, width)
            assert part.evaluate("""part => { const box = part.getBoundingClientRect();
                return [3, box.width - 3].every(x => part.contains(document.elementFromPoint(
                    box.x + x, box.y + box.height / 2))); }"""), f"{part.inner_text()} at {width} is covered or cut off"
        assert page.locator("header").bounding_box()["height"] < 80
        assert not script or page.evaluate(OVERFLOW) <= 0
        expect(page.locator("header nav [aria-current=page]:visible")).to_have_text(
            "Logs" if language == "en" else "Логи")
    with desk.next_page():
        links.nth(3).click()
    assert "/settings" in page.url and desk.complaints == []
    context.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_every_page_fits_and_is_legible(
        chromium: Browser, site: str, fleet: Fleet, width: int, theme: str) -> None:
    domain = "a" * 60 + "." + "b" * 60 + ".example.com"
    long = fleet.add_user("W" * 64, note="n" * 400, limit_gb="1", domain=domain)
    fleet.ledger.traffic.account([Reading(long.id, "a link", "1", 2 * 1024**3, 1024**3, 0, 3)])
    near = fleet.add_user("Near the limit", limit_gb="1", expires="2099-01-31")
    fleet.ledger.traffic.account([Reading(near.id, "another link", "1", 900 * 1024**2, 0, 0, 123)])
    fleet.disable(fleet.add_user("Disabled").id)
    fleet.runtime.machine.fail("start", "mtg-proxy-2446", "port 2446 is taken by nginx, pid 123")
    fleet.add_user("Failed")
    fleet.set_settings({"server_domain": "", "proxy_tag": "0123456789abcdef0123456789abcdef"})
    fleet.runtime.machine.boxes["mtg-proxy-2443"].log.append("z" * 3000)

    context, desk = open_desk(chromium, site, width, theme)
    page = desk.page
    desk.go("/login")
    stopped = ["/", "/users", f"/users/{long.id}"]
    paths = ["/login", "/", "/users", "/users/new", "/no-such-page", "/stop", "/restart", "/logs?tail=x",
             "/settings/links", "/settings/port-443", "/settings/engines", *(
        f"/users/{long.id}{rest}" for rest in ("", "/edit", "/rotate", "/restart", "/remove"))]
    for number, path in enumerate([*paths, *stopped]):
        if path == "/" and number == 1:
            desk.login()
        if number == len(paths):
            fleet.stop_all()
        desk.go(path)
        assert page.evaluate("() => document.documentElement.dataset.theme") == theme
        assert page.evaluate(OVERFLOW) <= 0, path
        seen = page.evaluate(CONTRAST)
        assert seen["looked"] > 4 and seen["poor"] == [], path
        if width == 390:
            assert page.evaluate(SMALL_TARGETS) == [], path
    assert [c for c in desk.complaints if "404" not in c] == []
    context.close()


def test_the_list_fits_a_phone_in_russian_whose_words_are_longer(chromium: Browser, site: str, fleet: Fleet) -> None:
    fleet.add_user("Alice", tags="family")
    context, desk = open_desk(chromium, site, 390)
    desk.login()
    context.add_cookies([{"name": "language", "value": "ru", "url": site}])
    desk.go("/users")
    assert desk.page.evaluate(OVERFLOW) <= 0
    context.close()


def test_a_long_name_stays_in_its_row_and_cell(chromium: Browser, site: str, fleet: Fleet) -> None:
    fleet.add_user("W" * 64, note="n" * 400)
    context, desk = open_desk(chromium, site)
    desk.login()
    desk.go("/users")
    row, over = desk.page.evaluate("""() => {
      const name = document.querySelector('tbody a.link');
      const cell = name.closest('td').getBoundingClientRect();
      return [name.closest('tr').clientHeight,
              name.closest('td').nextElementSibling.getBoundingClientRect().left - cell.right];
    }""")
    assert row <= 48 and over >= -1
    assert desk.page.evaluate(OVERFLOW) <= 0
    context.close()
