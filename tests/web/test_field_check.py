"""Forms of users and plans: a field is checked as it is left, as saving checks it, and what was typed stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.fleet import Fleet
from tests.web.desk import Desk
from tests.web.html import read
from tests.web.test_two_at_once import shown
from tests.web.visitor import Visitor


def beside(page: str, key: str) -> str:
    """What stands beside a field as its error; "" for nothing."""
    return "".join(e.text for e in read(page) if e.attributes.get("id") == f"{key}-error").strip()


def inputs(page: str, key: str) -> list[dict[str, str]]:
    return [e.attributes for e in read(page) if e.tag == "input" and e.attributes.get("name") == key]


WRONG = (("limit_gb", "much", "number"), ("expires_after_days", "soon", "days"), ("domain", "a b", "host name"),
         ("expires", "31.12.2090", "2027-01-31"), ("expires", "2020-01-01", "past"), ("name", "", "name"))


@pytest.mark.parametrize(("key", "typed", "words"), WRONG)
def test_a_field_of_a_user_is_checked_as_saving_checks_it(
        admin: Visitor, fleet: Fleet, declaration: Path, key: str, typed: str, words: str) -> None:
    alice = fleet.add_user("Alice")
    before = declaration.read_bytes()
    saved = admin.post("/users/new", {"name": "Bob", key: typed})
    said = beside(saved.text, key)
    assert saved.status_code == 422 and words in said
    for form in (f"/users/{alice.id}/edit", "/users/new"):
        at = "expires" if key == "expires_after_days" else key
        answer = admin.post(f"{form}/check/{at}", {"name": "Carol", key: typed, "shown": shown(admin.get(form).text)
                                                    if form.endswith("edit") else ""})
        assert answer.status_code == 200 and beside(answer.text, key) == said, form
        fine = admin.post(f"{form}/check/note", {"name": "Carol", key: typed, "note": "x"})
        assert "-error" not in fine.text, "only of the field that was left"
    assert declaration.read_bytes() == before


def test_a_plan_and_what_many_are_given_are_checked_the_same_way(admin: Visitor, fleet: Fleet) -> None:
    plan = fleet.add_plan("Family", limit_gb="5")
    for form in ("/plans/new", f"/plans/{plan.id}", "/users/import"):
        answer = admin.post(f"{form}/check/limit_gb", {"limit_gb": "much"})
        assert "number" in beside(answer.text, "limit_gb"), form
        assert inputs(answer.text, "limit_gb")[0]["value"] == "much", form
        assert beside(admin.post(f"{form}/check/limit_gb", {"limit_gb": "7"}).text, "limit_gb") == ""
        assert admin.post(f"{form}/check/secret_key", {"limit_gb": "7"}).status_code == 404
    assert "Family" in beside(admin.post("/plans/new/check/name", {"name": "family"}).text, "name")
    assert beside(admin.post(f"/plans/{plan.id}/check/name", {"name": "Family"}).text, "name") == "", "its own name"


def test_names_of_many_are_checked_line_by_line(admin: Visitor, fleet: Fleet) -> None:
    fleet.add_user("Alice")
    typed = "Bob\n\n alice \nBOB\n" + "x" * 200
    said = [e.text for e in read(admin.post("/users/import/check/names", {"names": typed}).text) if e.tag == "li"]
    assert [each.partition(":")[0] for each in said] == ["Alice", "BOB", "X" + "x" * 199], said
    assert "already" in said[0] and "twice" in said[1] and "64" in said[2]
    assert said == [e.text for e in read(admin.post("/users/import", {"names": typed}).text)
                    if e.tag == "li" and ":" in e.text], "as when they are sent"
    for fine in ("", "Bob\nCarol"):
        assert "names-errors" not in admin.post("/users/import/check/names", {"names": fine}).text
    many = "\n".join(f"User {number}" for number in range(501))
    assert "500" in admin.post("/users/import/check/names", {"names": many}).text
    assert [user.name for user in fleet.users()] == ["Alice"]


def test_of_two_fields_that_say_one_thing_each_is_checked_with_the_other(admin: Visitor) -> None:
    both = {"name": "Alice", "expires": "2090-01-31", "expires_after_days": "30"}
    said = beside(admin.post("/users/new/check/expires", both).text, "expires_after_days")
    assert said and said == beside(admin.post("/users/new", both).text, "expires_after_days")


def test_a_date_that_no_browser_shows_in_its_input_for_dates_stays_in_sight(admin: Visitor, fleet: Fleet) -> None:
    alice = fleet.add_user("Alice", expires="2090-01-31")
    for form in ("/users/new", f"/users/{alice.id}/edit", "/users/import"):
        for typed, kind in (("31.12.2090", "text"), ("2090-02-30", "text"), ("2020-01-01", "date")):
            page = admin.post(form, {"name": "Bob", "names": "Bob", "expires": typed}).text
            found, = inputs(page, "expires")
            assert (found["value"], found["type"]) == (typed, kind), (form, typed)
            assert beside(page, "expires"), (form, typed)
    assert inputs(admin.get(f"/users/{alice.id}/edit").text, "expires")[0]["type"] == "date"


def test_in_a_browser_the_error_comes_as_the_field_is_left_and_goes_when_it_is_mended(
        desk: Desk, fleet: Fleet) -> None:
    page = desk.page
    desk.go("/users/new")
    expect(page.get_by_label("Note")).to_be_hidden()
    page.get_by_text("Details optional").click()
    page.get_by_label("Name", exact=True).fill("Alice")
    page.get_by_role("group", name="Traffic limit").get_by_text("Custom").click()
    limit = page.get_by_label("Traffic limit")
    limit.fill("much")
    page.get_by_label("Note").focus()
    expect(page.locator("#limit_gb-error")).to_be_visible()
    expect(page.get_by_label("Note")).to_be_focused()
    expect(limit).to_have_value("much")
    limit.fill("10")
    page.get_by_label("Note").focus()
    expect(page.locator("#limit_gb-error")).to_have_count(0)
    # By the keyboard alone: what is not chosen is out of sight, and out of the way.
    expires = page.get_by_role("group", name="Expires")
    expect(page.locator("#expires")).to_be_hidden()
    expires.get_by_label("Never").focus()
    page.keyboard.press("ArrowRight")
    expect(expires.get_by_label("On a date")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.locator("#expires")).to_be_focused()
    # Half a date is sent as none by a browser: then access would not end.
    page.keyboard.type("31")
    page.get_by_role("button", name="Add user").click()
    expect(page).to_have_url(f"{desk.site}/users/new")
    assert fleet.users() == []
    # Out of sight it holds nobody up.
    expires.get_by_text("Never").click()
    with desk.next_page():
        page.get_by_role("button", name="Add user").click()
    assert [user.name for user in fleet.users()] == ["Alice"]


def test_what_few_need_is_folded_away_for_somebody_new_unless_something_stands_in_it(
        admin: Visitor, fleet: Fleet) -> None:
    def is_open(page: str) -> bool:
        more = next(e.attributes for e in read(page) if e.tag == "details" and "more" in e.attributes["class"])
        return "open" in more

    alice = fleet.add_user("Alice")
    assert not is_open(admin.get("/users/new").text) and is_open(admin.get(f"/users/{alice.id}/edit").text)
    assert not is_open(admin.post("/users/new", {"name": ""}).text)
    for key in ("note", "domain", "link", "tags"):
        assert is_open(admin.post("/users/new", {"name": "", key: "x"}).text), key


def test_on_a_phone_the_link_to_send_comes_before_how_it_goes(desk: Desk, fleet: Fleet) -> None:
    alice = fleet.add_user("Alice")
    page = desk.page
    desk.go(f"/users/{alice.id}")
    link = page.get_by_role("heading", name="The link to send")
    now = page.get_by_role("heading", name="Now", exact=True)
    for width, first in ((390, True), (1280, False)):
        page.set_viewport_size({"width": width, "height": 844})
        assert (link.bounding_box()["y"] < now.bounding_box()["y"]) == first, width
