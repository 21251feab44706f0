"""The list of users in a real browser: with and without script, and what stays as it is while it refreshes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from app.config.model import User
from app.control.monitor import Monitor
from app.mtproto.secret import Secret
from app.rules.limits import GB
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.web.desk import Desk

#: Counts what changes in the page. A phone is held up by that, not by the bytes that come.
WATCH = """() => { window.changes = 0; new MutationObserver((records) => { window.changes += records.length; })
  .observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true}); }"""


@pytest.fixture
def stopped(fleet: Fleet) -> None:
    """Users can be added by the hundred, as nothing is started for them."""
    with fleet.file.edit() as config:
        config.proxies_stopped = True


def test_a_row_s_action_keeps_the_page_the_scroll_and_what_is_ticked(
        desk: Desk, fleet: Fleet, stopped: None) -> None:
    ids = [fleet.add_user(f"Number {number:02}").id for number in range(60)]
    page = desk.page
    desk.go("/users?q=number&sort=-name&size=50&page=1")
    page.get_by_label("Choose Number 20", exact=True).check()
    row = page.locator(f"#user-{ids[15]}")
    row.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    assert before > 0
    page.evaluate("window.same = true")
    row.get_by_role("button", name="Disable").click()
    expect(row.get_by_text("Disabled")).to_be_visible()
    expect(page.get_by_text("Number 15 is disabled.")).to_have_count(1)
    assert page.evaluate("[scrollY, window.same]")[1] is True, "the page was not loaded again"
    assert page.url.endswith("/users?q=number&sort=-name&size=50&page=1")
    expect(page.get_by_label("Choose Number 20", exact=True)).to_be_checked()
    with page.expect_response("**/users/list?*"):
        pass
    expect(page.get_by_label("Choose Number 20", exact=True)).to_be_checked()


def test_sorting_and_pages_are_addresses_that_back_and_reload_keep(desk: Desk, fleet: Fleet, stopped: None) -> None:
    for number in range(60):
        fleet.add_user(f"Number {number:02}")
    page = desk.page
    desk.go("/users")
    first = page.locator("tbody tr").first
    page.get_by_role("columnheader").get_by_role("link", name="Name").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_count(1)
    page.get_by_role("columnheader").get_by_role("link", name="Name").click()
    expect(first).to_contain_text("Number 59")
    page.get_by_role("navigation", name="Pages of the list").get_by_role("link", name="2", exact=False).first.click()
    expect(first).to_contain_text("Number 09")
    assert "page=2" in page.url
    page.reload()
    expect(first).to_contain_text("Number 09")
    page.go_back()
    expect(first).to_contain_text("Number 59")
    left = page.evaluate("Object.values(localStorage).concat(Object.values(sessionStorage))")
    assert [text for text in left if "<" in text] == [], "an address may be left in the browser, and no page"


def test_many_are_disabled_and_that_is_undone(desk: Desk, fleet: Fleet) -> None:
    for name in ("Alice", "Bob", "O'Brien <b>\"&\\"):
        fleet.add_user(name)
    page = desk.page
    desk.go("/users")
    page.get_by_label("Choose all on this page").check()
    page.get_by_label("Choose Bob").uncheck()
    page.get_by_label("What to do with the chosen users").select_option("disable")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Disable users: 2 users")).to_be_visible()
    page.get_by_role("button", name="Disable users").click()
    expect(page.get_by_text("2 users are changed.")).to_be_visible()
    assert [user.enabled for user in fleet.users()] == [False, True, False]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("2 users are changed.")).to_be_visible()
    expect(page.get_by_role("heading", name="Undo")).to_be_visible()
    page.get_by_role("link", name="Back to the users").click()
    assert all(user.enabled for user in fleet.users())


def test_a_refresh_of_a_thousand_users_touches_only_what_has_changed(
        desk: Desk, fleet: Fleet, stopped: None) -> None:
    with fleet.file.edit() as config:
        config.users = [User(id=f"u{number:05}", name=f"علی‌رضا {number}", port=3000 + number,
                             secret=Secret.generate("www.example.com").hex, fake_tls_domain="www.example.com")
                        for number in range(1000)]
    page = desk.page
    desk.go("/users")
    rows = page.locator("[id^=user-u]").count()
    assert 0 < rows <= 100, "a page of the list, however many there are"
    page.evaluate(WATCH)
    for number in range(2):
        fleet.disable(f"u{number:05}")
        with page.expect_response("**/users/list"):
            pass
    expect(page.locator("#user-u00001").get_by_text("Disabled")).to_be_visible()
    assert 0 < page.evaluate("window.changes") < 100, "two rows and the line of numbers, not the whole list"


def test_when_every_row_has_changed_one_refresh_brings_them_and_they_are_shown_one_by_one(
        desk: Desk, fleet: Fleet, stopped: None) -> None:
    ids = [fleet.add_user(f"Number {number:02}").id for number in range(30)]
    page = desk.page
    desk.go("/users")
    page.get_by_label("Choose Number 29", exact=True).check()
    page.evaluate(WATCH)
    # A phone answers a finger between two rows: in no task does more than one change.
    page.evaluate("""() => {
      window.most = 0;
      new MutationObserver((records) => {
        const rows = new Set(records.map((one) => one.target.parentElement?.closest("tr")?.id).filter(Boolean));
        window.most = Math.max(window.most, rows.size);
      }).observe(document.querySelector("#list"), {subtree: true, childList: true, characterData: true});
    }""")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/users/list") else None)
    with page.expect_response(lambda answer: answer.url.endswith("/users/list") and answer.status == 200):
        with fleet.file.edit() as config:
            for user in config.users:
                user.note = "from the book club"
        asked.clear()
    expect(page.get_by_text("from the book club")).to_have_count(30)
    expect(page.locator(f"#user-{ids[29]}").get_by_text("from the book club")).to_be_visible()
    assert len(asked) <= 2, "what has changed comes at once, not in further questions"
    assert page.evaluate("window.most") == 1
    expect(page.get_by_label("Choose Number 29", exact=True)).to_be_checked()
    assert page.evaluate("window.changes") < 400


def test_on_a_phone_what_is_done_to_those_chosen_is_in_reach_as_soon_as_somebody_is(
        desk: Desk, fleet: Fleet, stopped: None) -> None:
    for number in range(30):
        fleet.add_user(f"Number {number:02}")
    page = desk.page
    page.set_viewport_size({"width": 390, "height": 844})
    desk.go("/users")
    chosen = page.get_by_label("What to do with the chosen users")
    expect(chosen).to_be_hidden()
    page.get_by_label("Choose Number 29", exact=True).check()
    expect(chosen).to_be_in_viewport()
    page.get_by_label("Choose Number 29", exact=True).uncheck()
    expect(chosen).to_be_hidden()


@pytest.mark.parametrize("language", ["en", "ru"])
def test_on_a_phone_a_row_is_two_lines_high(desk: Desk, fleet: Fleet, language: str) -> None:
    for name, limit in (("Grandma Nilufar", "50"), ("Olena (work laptop)", "100"), ("Анна Сергеевна", "")):
        fleet.add_user(name, limit_gb=limit or None)
    over = fleet.user("Olena (work laptop)")
    fleet.runtime.machine.metrics(f"mtg-proxy-{over.port}", metrics(down=int(85.2 * GB)))
    Monitor(fleet, 10).tick()
    page = desk.page
    page.context.add_cookies([{"name": "language", "value": language, "url": desk.site}])
    page.set_viewport_size({"width": 390, "height": 844})
    desk.go("/users")
    boxes = page.evaluate("[...document.querySelectorAll('.users tbody tr')].map(row => row.offsetHeight)")
    assert len(boxes) == 3 and max(boxes) <= 94, boxes
    words = page.evaluate("[...document.querySelectorAll('.users td.used')].map(cell => cell.offsetHeight)")
    assert max(words) <= 36, words
