"""The chart of traffic: for whoever is logged in, the same only once, drawn by script and without it."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, expect

from app.ledger.traffic import Reading
from app.web.chart import ticks
from tests.support.fleet import Fleet
from tests.web.desk import Desk, open_desk
from tests.web.html import read, text
from tests.web.visitor import Visitor

MB = 1024**2


@pytest.fixture
def alice(fleet: Fleet) -> str:
    user = fleet.add_user("Alice").id
    fleet.ledger.traffic.account([Reading(user, "a link", "1", 30 * MB, 10 * MB, 0, 2)])
    return user


def test_the_chart_of_everybody_and_of_alice_tell_what_was_moved(admin: Visitor, fleet: Fleet, alice: str) -> None:
    bob = fleet.add_user("Bob").id
    fleet.ledger.traffic.account([Reading(bob, "his link", "2", 5 * MB, 0, 0, 1)])
    for period, parts in (("hour", 60), ("day", 24), ("month", 30), ("year", 12)):
        both = json.loads(admin.get(f"/traffic/{period}").get_data())
        hers = json.loads(admin.get(f"/users/{alice}/traffic/{period}").get_data())
        assert len(hers["labels"]) == len(hers["moments"]) == len(hers["texts"]) == len(hers["at"]) == parts
        assert (sum(both["down"]), sum(hers["down"]), sum(hers["up"])) == (35 * MB, 30 * MB, 10 * MB)
        assert hers["before"] is None and "40 MB in all, 30 MB downloaded and 10 MB uploaded" in hers["summary"]
    assert ["30 MB", "10 MB", "40 MB", ""] in hers["texts"]


def test_whoever_has_it_gets_nothing_again_until_something_was_moved(admin: Visitor, fleet: Fleet, alice: str) -> None:
    for path in ("/traffic/year", f"/users/{alice}/traffic/year"):
        tag = admin.get(path).headers["ETag"]
        again = admin.get(path, headers={"If-None-Match": tag})
        assert again.status_code == 304 and again.get_data() == b"", path
    fleet.ledger.traffic.account([Reading(alice, "a link", "1", 31 * MB, 10 * MB, 0, 2)])
    assert admin.get("/traffic/year", headers={"If-None-Match": tag}).status_code == 200


def test_strangers_see_no_traffic_and_nobody_that_of_a_name(stranger: Visitor, admin: Visitor, alice: str) -> None:
    for path in ("/traffic/day", f"/users/{alice}/traffic/day"):
        assert stranger.get(path).status_code == 302, path
    for path in ("/traffic/century", "/traffic/../day", "/users/Alice/traffic/day", f"/users/{alice}/traffic/x"):
        assert admin.get(path).status_code == 404, path


def test_without_script_there_is_a_picture_and_a_table_of_the_period_in_the_address(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    for period, said in (("", "24 hours: 40 MB in all"), ("?period=year", "12 months: 40 MB in all"),
                         ("?period=%3Cb%3E", "24 hours: 40 MB in all")):
        page = admin.get(f"/{period}").get_data(as_text=True)
        assert said in text(page) and any(e.attributes.get("class") == "chart-down" for e in read(page)), period
        assert "30 MB" in [e.text.strip() for e in read(page) if e.tag == "td"]


def test_words_and_months_of_a_chart_are_in_the_language_of_the_browser(admin: Visitor, alice: str) -> None:
    told = json.loads(admin.get("/traffic/month", headers={"Accept-Language": "ru"}).get_data())
    english = json.loads(admin.get("/traffic/month").get_data())
    assert told["moments"] != english["moments"] and told["down"] == english["down"]


@pytest.mark.parametrize(("highest", "top", "count"), [
    (0, "10 B", 2), (1, "10 B", 2), (40 * MB, "40 MB", 5), (41 * MB, "60 MB", 4), (1024**3, "1 GB", 3),
    (950 * 1024**2, "1 GB", None), (10 * 1024**4, "10 TB", 3), (3 * 1024**5, None, None)])
def test_the_side_of_a_chart_has_round_numbers(highest: int, top: str | None, count: int | None) -> None:
    found = ticks(highest)
    assert found[0] == (0, "0 B") and found[-1][0] >= highest and 2 <= len(found) <= 6
    assert [value for value, _ in found] == sorted({value for value, _ in found})
    assert count is None or len(found) == count, found
    assert top is None or found[-1][1] == top, found


def test_the_chart_is_drawn_in_colours_of_the_theme_and_read_by_keys(desk: Desk, alice: str) -> None:
    page = desk.page
    desk.go("/")
    chart = page.get_by_role("slider", name="Traffic of everybody")
    expect(chart.locator("canvas")).to_be_visible()
    chart.focus()
    page.keyboard.press("End")
    expect(chart).to_have_attribute("aria-valuetext", page_text := chart.get_attribute("aria-valuetext") or "")
    assert "Downloaded: 30 MB" in page_text and "Uploaded: 10 MB" in page_text and "In all: 40 MB" in page_text
    expect(page.locator(".chart-tip")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuenow", "22")
    page.keyboard.press("Escape")
    expect(page.locator(".chart-tip")).to_be_hidden()
    with page.expect_response("**/traffic/year"):
        page.get_by_role("link", name="12 months").click()
    expect(page.locator("#chart-summary")).to_contain_text("12 months: 40 MB in all")
    assert page.url.endswith("?period=year")
    page.reload()
    expect(page.get_by_role("link", name="12 months")).to_have_attribute("aria-current", "true")
    expect(page.locator("#chart-summary")).to_contain_text("12 months: 40 MB in all")


def test_the_system_decides_between_dark_and_light_until_somebody_chooses(chromium: Browser, site: str) -> None:
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    seen = {}
    for scheme in ("dark", "light"):
        context, desk = open_desk(chromium, site, color_scheme=scheme)
        context.clear_cookies()
        desk.go("/login")
        seen[scheme] = desk.page.evaluate(ground)
        desk.page.get_by_role("button", name="Change theme").click()
        changed = desk.page.evaluate(ground)
        desk.page.reload()
        assert desk.page.evaluate(ground) == changed != seen[scheme]
        context.close()
    assert seen["dark"] != seen["light"]
