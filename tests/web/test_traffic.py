"""Limits, periods and probes on the pages, and resetting traffic from them."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.control.monitor import Monitor
from app.lib.kept import Kept
from app.web.forms import CYCLES
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.web.desk import Desk
from tests.web.html import Element, read, text, value_of
from tests.web.test_proxies import notices, offered
from tests.web.visitor import Visitor

GB = 1024**3
ALICE = "mtg-proxy-2443"


@pytest.fixture
def alice(fleet: Fleet) -> str:
    return fleet.add_user("Alice", limit_gb="10", speed_mbps="2").id


def moved(fleet: Fleet, down: float, up: float = 0, more: str = "", name: str = ALICE) -> None:
    """The engine has relayed so many GB in all, and the monitor finds out."""
    fleet.runtime.machine.metrics(name, metrics(down=round(down * GB), up=round(up * GB)) + more)
    Monitor(fleet, 10).tick()


def bar(page: str) -> Element:
    return next(e for e in read(page) if e.tag == "progress")


def chosen(page: str, name: str) -> str:
    """The value that the select with this name shows."""
    started = False
    for element in read(page):
        if element.tag == "select":
            started = element.attributes["name"] == name
        if started and element.tag == "option" and "selected" in element.attributes:
            return element.attributes["value"]
    return ""


def details(page: str, term: str) -> str:
    """What a definition list says of a term, for every time that it does."""
    elements = [e for e in read(page) if e.tag in ("dt", "dd")]
    return " | ".join(" ".join(after.text.split()) for before, after in itertools.pairwise(elements)
                      if " ".join(before.text.split()) == term and after.tag == "dd")


@pytest.mark.parametrize(("used", "colour", "share"), [
    (7.9, "bar", "79"), (8, "bar bar-near", "80"), (9.4, "bar bar-near", "94"), (9.5, "bar bar-over", "95"),
    (10, "bar bar-over", "100"), (30, "bar bar-over", "100")])
def test_the_bar_has_the_colour_of_the_mark_that_was_reached(
        admin: Visitor, fleet: Fleet, alice: str, used: float, colour: str, share: str) -> None:
    moved(fleet, used / 2, used / 2)
    for path in (f"/users/{alice}", f"/users/{alice}/state"):
        shown = bar(admin.get(path).get_data(as_text=True)).attributes
        assert (" ".join(shown["class"].split()), shown["value"]) == (colour, share), path


def test_what_counts_is_the_period_and_what_was_downloaded_is_for_ever(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    moved(fleet, 9)
    fleet.reset_traffic(alice)
    moved(fleet, 10, 0.5)
    page = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert "1.5 of 10 GB" in text(page) and bar(page).attributes["value"] == "15"
    assert "1.5 of 10 GB" in text(admin.get("/users").get_data(as_text=True))
    page = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert (details(page, "Downloaded"), details(page, "Uploaded")) == ("10 GB", "512 MB")
    assert "Counted since" in text(page) and "Counted since the beginning" not in text(page)
    fleet.update_user(alice, {"limit_gb": "none"})
    page = text(admin.get(f"/users/{alice}").get_data(as_text=True))
    assert "No limit 1.5 GB counted since" in page


def test_a_user_over_the_limit_is_told_the_speed_and_when_it_was_verified(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    fleet.update_user(alice, {"reset_cycle": f"monthly {(date.today() + timedelta(days=14)).day}"})
    moved(fleet, 11)
    assert "Slowed to 2 Mbit/s: 11 GB of 10 GB used" in text(admin.get("/").get_data(as_text=True))
    page = text(admin.get(f"/users/{alice}").get_data(as_text=True))
    assert "Slowed to 2 Mbit/s (verified " in page and " s ago)" in page
    assert "Used 11.00 of 10 GB: slowed to 2 Mbit/s until " in page
    assert "when the traffic is reset." in page
    fleet.update_user(alice, {"limit_gb": "12"})
    for path in ("/", f"/users/{alice}"):
        page = text(admin.get(path).get_data(as_text=True))
        assert "Slowed to" not in page and "Used 11.00 GB" not in page, path


def test_who_is_blocked_has_a_badge_and_a_reason_and_no_working_link(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    fleet.update_user(alice, {"at_limit": "block"})
    moved(fleet, 11)
    for path in ("/users", f"/users/{alice}"):
        page = admin.get(path).get_data(as_text=True)
        badges = {e.text for e in read(page) if "state" in e.attributes.get("class", "").split()}
        assert badges == {"Blocked"}, path
    assert "Running 0 of 0" in text(admin.get("/").get_data(as_text=True))
    page = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert "This link does not work while the user is blocked." in notices(page)
    assert text(page).count("Used 11.00 of 10 GB: blocked until the traffic is reset") == 1
    assert f"/users/{alice}/restart" not in offered(page) and f"/users/{alice}/reset" in offered(page)
    fleet.disable(alice)
    page = admin.post(f"/users/{alice}/enable", follow_redirects=True).get_data(as_text=True)
    assert "The link does not work while the user is blocked." in text(page) and "valid again" not in text(page)


def test_probes_are_shown_apart_and_are_never_billed(admin: Visitor, fleet: Fleet, alice: str) -> None:
    page = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert details(page, "Probes").startswith("0 turned away")
    moved(fleet, 1, more="mtg_domain_fronting 14\n")
    assert fleet.user(alice).probes == 14
    page = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert details(page, "Probes").startswith("14 turned away") and "Never counted" in details(page, "Probes")
    assert details(page, "Downloaded") == "1 GB"


def test_tries_with_the_right_key_are_shown_apart_and_explained_or_said_not_to_be_known(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    moved(fleet, 1)
    page = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert details(page, "Right key, refused").startswith("not known")
    moved(fleet, 1, more="builtin_wrong_clock 7\nbuiltin_clock_behind_seconds 600\n"
                         'builtin_wrong_name{sni="missing"} 2\nbuiltin_wrong_name{sni="other"} 0\n')
    page = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert details(page, "Right key, refused") == "7 for the time, 2 without a domain, 0 for another domain"
    assert details(page, "Probes").startswith("0 turned away")
    explained = [e.text for e in read(page) if "hint" in e.attributes.get("class", "").split()]
    assert len(explained) == 2 and "600 s behind this server's" in explained[0]
    assert "Alice: 7 attempts with the right key" in text(admin.get("/").get_data(as_text=True))


def test_the_speed_now_and_when_somebody_was_last_seen(
        admin: Visitor, fleet: Fleet, alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert (details(page, "Speed now"), details(page, "Last seen")) == ("0 kbit/s down0 kbit/s up", "never")
    moved(fleet, 0.001)
    seen = admin.get(f"/users/{alice}").get_data(as_text=True)
    assert details(seen, "Last seen").endswith(" s ago")
    rates = {"down_rate": 425_000.0, "up_rate": 12_500.0}
    totals = fleet.ledger.traffic.totals

    def measured() -> dict:
        return {user: replace(total, **rates) for user, total in totals().items()}

    monkeypatch.setattr(fleet.ledger.traffic, "totals", measured)
    fleet.kept = Kept()  # nothing that was read before
    page = admin.get(f"/users/{alice}/state").get_data(as_text=True)
    assert details(page, "Speed now") == "3.4 Mbit/s down100 kbit/s up"
    page = text(admin.get("/").get_data(as_text=True))
    assert "0 connections, 3.5 Mbit/s" in page


# Forms

OWN = {"limit_gb": "none", "speed_mbps": "none", "at_limit": "block", "reset_cycle": "weekly friday"}


def declared(fleet: Fleet, ref: str) -> tuple:
    user = fleet.user(ref)
    return user.own_limit_gb, user.own_speed_mbps, user.own_at_limit, user.own_reset_cycle


def test_a_user_may_have_none_or_their_own_of_everything_and_go_back_to_what_is_set_for_all(
        admin: Visitor, fleet: Fleet) -> None:
    admin.post("/users/new", {"name": "Alice", **OWN})
    assert declared(fleet, "Alice") == (None, None, "block", "weekly friday")
    user = fleet.user("Alice")
    page = admin.get(f"/users/{user.id}/edit").get_data(as_text=True)
    assert (value_of(page, "limit_gb"), value_of(page, "speed_mbps")) == ("none", "none")
    assert (chosen(page, "at_limit"), chosen(page, "reset_cycle")) == ("block", "weekly friday")
    fields = {"name": "Alice", "domain": user.domain}
    admin.post(f"/users/{user.id}/edit", {**fields, "limit_gb": "5", "speed_mbps": "0.5",
                                          "at_limit": "throttle", "reset_cycle": "monthly 31"})
    assert declared(fleet, "Alice") == (5, 0.5, "throttle", "monthly 31")
    admin.post(f"/users/{user.id}/edit", {**fields, **dict.fromkeys(OWN, "")})
    assert declared(fleet, "Alice") == (0, 0, "", "")


def test_saving_an_untouched_form_keeps_none_and_every_choice(
        admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    user = fleet.add_user("Alice", **OWN, expires_after_days="30")
    page = admin.get(f"/users/{user.id}/edit").get_data(as_text=True)
    fields = {name: value_of(page, name) for name in ("name", "domain", "limit_gb", "speed_mbps", "expires",
                                                      "expires_after_days", "note")}
    fields |= {name: chosen(page, name) for name in ("at_limit", "reset_cycle")}
    assert fields["expires_after_days"] == "30"
    before = declaration.read_bytes()
    answer = admin.post(f"/users/{user.id}/edit", fields, follow_redirects=True)
    assert "Nothing was changed" in text(answer.get_data(as_text=True))
    assert declaration.read_bytes() == before


def test_every_cycle_that_is_offered_is_accepted(admin: Visitor, fleet: Fleet, alice: str) -> None:
    page = admin.get(f"/users/{alice}/edit").get_data(as_text=True)
    options = [e.attributes["value"] for e in read(page) if e.tag == "option"]
    offered = [value for value in options if value in CYCLES]
    assert offered == list(CYCLES) and len(offered) == 2 + 7 + 31
    for value in ("", *offered):
        assert fleet.update_user(alice, {"reset_cycle": value}).own_reset_cycle == value


def test_the_form_names_what_is_set_for_everybody(admin: Visitor, fleet: Fleet, alice: str) -> None:
    page = text(admin.get("/users/new").get_data(as_text=True))
    assert "Default: no limit" in page and "Default: never" in page
    fleet.set_settings({"traffic_limit_gb": "50", "throttle_speed_mbps": "3", "at_limit": "block",
                        "reset_cycle": "monthly 22"})
    for path in ("/users/new", f"/users/{alice}/edit"):
        page = text(admin.get(path).get_data(as_text=True))
        for words in ("Default: 50 GB", "Default: 3 Mbit/s", "Default: block",
                      "Default: monthly on the 22nd"):
            assert words in page, (path, words)


@pytest.mark.parametrize(("field", "value", "message"), [
    ("at_limit", "explode", "'explode' is not allowed; allowed: throttle or block"),
    ("reset_cycle", "monthly 32", "'monthly 32' is no reset cycle; allowed: never, daily"),
    ("expires_after_days", "soon", "'soon' days are not allowed; allowed: a whole number"),
    ("expires_after_days", "99999", "'99999' days are not allowed"),
    ("limit_gb", "unlimited", "or none"),
])
def test_what_is_refused_is_told_beside_its_field_and_changes_nothing(
        admin: Visitor, alice: str, declaration: Path, field: str, value: str, message: str) -> None:
    before = declaration.read_bytes()
    for path in ("/users/new", f"/users/{alice}/edit"):
        answer = admin.post(path, {"name": "Bob", "domain": "www.example.com", field: value})
        assert answer.status_code == 422, path
        page = read(answer.get_data(as_text=True))
        assert message in next(e.text for e in page if e.attributes.get("id") == f"{field}-error")
        control = next(e for e in page if e.attributes.get("id") == field)
        assert control.attributes["aria-invalid"] == "true"
    assert declaration.read_bytes() == before


def test_days_from_the_first_use_are_shown_until_it_comes(admin: Visitor, fleet: Fleet) -> None:
    admin.post("/users/new", {"name": "Alice", "expires_after_days": "30"})
    user = fleet.user("Alice")
    assert (user.expires_after_days, user.expires_at) == (30, None)
    page = admin.get(f"/users/{user.id}").get_data(as_text=True)
    assert details(page, "Expires") == "30 days after the first use"
    assert "30 days from the first use" in text(admin.get("/users").get_data(as_text=True))
    moved(fleet, 0.1)
    user = fleet.user("Alice")
    assert user.expires_at and not user.expires_after_days
    assert "first use" not in text(admin.get(f"/users/{user.id}").get_data(as_text=True))


@pytest.mark.parametrize("had", [{"expires": "2099-01-31"}, {"expires_after_days": "30"}])
def test_a_date_and_days_together_are_refused_whichever_of_them_was_there(
        admin: Visitor, fleet: Fleet, declaration: Path, had: dict[str, str]) -> None:
    user = fleet.add_user("Alice", **had)
    before = declaration.read_bytes()
    fields = {"name": "Alice", "domain": user.domain, "expires": "2099-01-31", "expires_after_days": "30"}
    answer = admin.post(f"/users/{user.id}/edit", fields)
    assert answer.status_code == 422 and "can't both be set" in text(answer.get_data(as_text=True))
    assert declaration.read_bytes() == before
    other = {"expires": "", "expires_after_days": "7"} if "expires" in had else {
        "expires": "2099-05-06", "expires_after_days": ""}
    admin.post(f"/users/{user.id}/edit", fields | other)
    after = fleet.user("Alice")
    assert (str(after.expires_after_days or ""), bool(after.expires_at)) == (
        other["expires_after_days"], bool(other["expires"]))


# Resetting

def test_resetting_one_user_asks_first_lifts_the_block_and_leaves_the_others_alone(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    fleet.update_user(alice, {"at_limit": "block"})
    bob = fleet.add_user("Bob", limit_gb="1", speed_mbps="2").id
    moved(fleet, 5, name="mtg-proxy-2444")
    moved(fleet, 11)
    question = text(admin.get(f"/users/{alice}/reset").get_data(as_text=True))
    assert "Reset Alice's traffic?" in question and "also ends a slowdown or a block at the limit" in question
    assert "The totals of downloads and uploads stay." in question
    assert fleet.user(alice).state == "blocked", "a question resets nothing"
    page = admin.post(f"/users/{alice}/reset", follow_redirects=True)
    assert page.request.path == f"/users/{alice}"
    page = page.get_data(as_text=True)
    assert "Alice's traffic is reset and counts from zero again." in notices(page)
    assert "0 of 10 GB" in text(page) and details(page, "Downloaded") == "11 GB"
    assert (fleet.user(alice).state, fleet.user(bob).throttled_bps) == ("running", 2_000_000)
    events = fleet.ledger.events.recent()
    assert [(e.actor, e.subject) for e in events if e.action == "traffic.reset"] == [("admin:ada", "Alice")]


def test_resetting_all_asks_first_and_lifts_every_throttle(admin: Visitor, fleet: Fleet, alice: str) -> None:
    fleet.add_user("Bob", limit_gb="1", speed_mbps="2")
    moved(fleet, 5, name="mtg-proxy-2444")
    moved(fleet, 11)
    assert [u.throttled_bps for u in fleet.users()] == [2_000_000, 2_000_000]
    assert "/reset" in offered(admin.get("/").get_data(as_text=True))
    question = text(admin.get("/reset").get_data(as_text=True))
    assert "Reset the traffic of all users?" in question and "uploads stay" in question
    assert [u.warning for u in fleet.users()] == [100, 100], "a question resets nothing"
    page = admin.post("/reset", follow_redirects=True).get_data(as_text=True)
    assert "The traffic of all users is reset" in notices(page) and "Slowed to" not in text(page)
    assert [(u.throttled_bps, u.period_down, u.bytes_down) for u in fleet.users()] == [
        (None, 0, 11 * GB), (None, 0, 5 * GB)]


def test_a_reset_is_asked_in_a_dialog_of_the_user_and_of_the_dashboard(
        desk: Desk, fleet: Fleet, alice: str) -> None:
    moved(fleet, 11)
    page = desk.page
    for path, title, yes, told in (
            (f"/users/{alice}", "Reset Alice's traffic?", "Reset traffic", "Alice's traffic is reset"),
            ("/", "Reset the traffic of all users?", "Reset all traffic", "The traffic of all users is reset")):
        desk.go(path)
        if path == "/":
            page.locator("#menu > summary").click()
        link, dialog = page.get_by_role("link", name=yes), page.get_by_role("dialog", name=title)
        link.click()
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        if path == "/":
            page.locator("#menu > summary").click()
        link.click()
        dialog.get_by_role("button", name=yes).click()
        expect(page.get_by_text(told)).to_be_visible()
        assert fleet.user(alice).throttled_bps is None and fleet.user(alice).period_down == 0
        moved(fleet, 11 + 11 * (path != "/"))


def test_a_reset_that_the_ledger_refuses_is_told_and_changes_nothing(
        admin: Visitor, fleet: Fleet, alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moved(fleet, 11)

    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(fleet.ledger.traffic, "reset", locked)
    for path in ("/reset", f"/users/{alice}/reset"):
        page = admin.post(path, follow_redirects=True).get_data(as_text=True)
        assert "database is locked" in notices(page) and "is reset" not in notices(page), path
    assert fleet.user(alice).throttled_bps == 2_000_000


def test_a_reset_needs_a_token_a_login_and_somebody_who_exists(
        admin: Visitor, stranger: Visitor, fleet: Fleet, alice: str) -> None:
    moved(fleet, 11)
    for path in ("/reset", f"/users/{alice}/reset"):
        assert admin.client.post(path).status_code == 400
        assert "/login" in stranger.post(path).location
    assert fleet.user(alice).period_down == 11 * GB
    assert admin.get("/users/00000000/reset").status_code == 404
    assert admin.post("/users/00000000/reset").status_code == 404
    fleet.remove(alice)
    page = admin.get("/").get_data(as_text=True)
    assert "/reset" not in offered(page)
