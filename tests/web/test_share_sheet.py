"""The system's share sheet: on a user's page for the operator, where the browser has one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from app.accounts.actor import CLI
from app.actions import share
from tests.support.fleet import Fleet
from tests.web.desk import open_desk

#: A browser with a share sheet: what is offered to it is noted, and then somebody closes it.
SHEET = """window.offered = [];
navigator.share = (what) => { offered.push(what.text); return Promise.reject(new DOMException("", "AbortError")); };"""


@pytest.mark.parametrize("name", ["Grandma", "O'Brien <b>\"&\\"])
def test_the_link_the_message_and_the_page_of_a_user_can_be_handed_to_it(
        chromium: Browser, site: str, fleet: Fleet, name: str) -> None:
    user = fleet.add_user(name)
    page_of_user = share.make_page(fleet, CLI, user.id).path
    context, desk = open_desk(chromium, site)
    context.add_init_script(SHEET)
    desk.login()
    page = desk.page
    desk.go(f"/setup/link?user={user.id}")
    page.get_by_role("button", name="Share…").click()
    assert page.evaluate("offered") == [user.tme_link]
    assert desk.complaints == []
    desk.go(f"/users/{user.id}")
    page.get_by_text("A message ready to send").first.click()
    page.locator("details").get_by_role("button", name="Share…").first.click()
    page.locator("#own-page").get_by_role("button", name="Share…").click()
    message, address = page.evaluate("offered")
    assert user.tme_link in message and address.endswith(page_of_user)
    assert desk.complaints == []
    context.close()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_where_there_is_none_no_button_promises_one(
        chromium: Browser, site: str, fleet: Fleet, script: bool) -> None:
    user = fleet.add_user("Grandma")
    share.make_page(fleet, CLI, user.id)
    context, desk = open_desk(chromium, site, java_script_enabled=script)
    desk.login()
    for path in (f"/users/{user.id}", f"/setup/link?user={user.id}"):
        desk.go(path)
        for button in desk.page.locator("[data-share]").all():
            expect(button).to_be_hidden()
    context.close()
