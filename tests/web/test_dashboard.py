"""The dashboard tells how all of it is, who needs what, and leads there; it is no longer with more users."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.control import views
from app.ledger.traffic import Reading
from app.messages import Problem
from app.messages import text as told
from tests.support.fleet import Fleet
from tests.web.html import Element, read, text
from tests.web.visitor import Visitor

MB = 1024**2
EVIL = "O'Brien <b>\"&\\ علی‌رضا"


def page(admin: Visitor, path: str = "/") -> str:
    return admin.get(path).get_data(as_text=True)


def links(shown: str) -> dict[str, str]:
    """Where links lead, by their text."""
    return {" ".join(e.text.split()): e.attributes["href"] for e in read(shown) if e.tag == "a"}


def bar(shown: str) -> list[Element]:
    return [e for e in read(shown) if e.tag == "rect" and e.attributes.get("class", "").startswith("of-")]


def use(fleet: Fleet, user: str, megabytes: int, connections: int = 0) -> None:
    fleet.ledger.traffic.account([Reading(user, f"link of {user}", user, megabytes * MB, 0, 0, connections)])


def test_the_numbers_lead_to_those_they_count(admin: Visitor, fleet: Fleet) -> None:
    alice, bob = fleet.add_user("Alice").id, fleet.add_user("Bob").id
    fleet.add_user("Carol", expires=f"{fleet.reconciler.now() + timedelta(days=2):%Y-%m-%d}")
    use(fleet, alice, 30, connections=2)
    use(fleet, bob, 10)
    fleet.status()
    use(fleet, alice, 30, connections=2)
    found = links(page(admin))
    assert any(name.startswith("Online now 1 2 connections") and href == "/users?state=online"
               for name, href in found.items()), found
    assert any(name.startswith("Used today 2 40 MB") for name in found), found
    assert any(name.startswith("Need attention 1 1 ending soon") for name in found), found
    assert found["1 online"] == "/users?state=online" and found["1 idle"] == "/users?state=idle"


def test_everybody_is_in_the_bar_in_proportion(admin: Visitor, fleet: Fleet) -> None:
    for number in range(8):
        user = fleet.add_user(f"User {number}")
        if number < 2:
            fleet.disable(user.id)
    shares = {e.attributes["class"]: float(e.attributes["width"]) for e in bar(page(admin))}
    assert shares == {"of-never": 747.0, "of-disabled": 247.0}


def test_who_needs_something_has_a_reason_and_a_button_that_helps(admin: Visitor, fleet: Fleet) -> None:
    soon = f"{fleet.reconciler.now() + timedelta(days=2):%Y-%m-%d}"
    ends = fleet.add_user(EVIL, expires=soon).id
    over = fleet.add_user("Over", limit_gb="1", speed_mbps="none").id
    use(fleet, over, 1200)
    shown = page(admin)
    found = links(shown)
    assert found[f"Extend: {EVIL}"] == f"/users/{ends}/access"
    assert found["Raise the limit: Over"] == f"/users/{over}/limit"
    assert EVIL in text(shown) and "Access ends soon" in text(shown) and "Over the limit" in text(shown)
    fleet.update_user(over, {"limit_gb": "none"})
    fleet.update_user(ends, {"expires": ""})
    assert "Nobody. All is well." in page(admin, "/status/lists") and "all is well" in text(page(admin))


def test_the_most_traffic_of_today_is_in_its_order(admin: Visitor, fleet: Fleet) -> None:
    users = [fleet.add_user(f"User {number}") for number in range(12)]
    for number, user in enumerate(users):
        use(fleet, user.id, 5 * number)
    top = [" ".join(e.text.split()) for e in read(page(admin)) if e.tag == "li" and "ol" in e.inside]
    assert top == [f"User {number} {5 * number} MB" for number in range(11, 1, -1)]


def test_whoever_was_deleted_is_not_in_the_list_of_today(admin: Visitor, fleet: Fleet) -> None:
    user = fleet.add_user("Gone").id
    use(fleet, user, 30)
    fleet.remove(user)
    fleet.add_user("Here")
    assert "Used today 0 0 B" in text(page(admin)) and "No traffic yet." in text(page(admin))


def test_the_page_is_as_long_for_many_users_as_for_some(admin: Visitor, fleet: Fleet) -> None:
    def long(count: int) -> int:
        for number in range(count):
            use(fleet, fleet.add_user(f"User {len(fleet.config().users):04}", limit_gb="100").id, 10 + number)
        return len(page(admin))

    some = long(15)
    assert long(15) < some * 1.05
    assert "User 0000" not in page(admin), "nobody is on it but who leads, or needs something"


def test_those_who_need_attention_are_those_in_the_list_that_the_number_leads_to(admin: Visitor, fleet: Fleet) -> None:
    soon = f"{fleet.reconciler.now() + timedelta(days=2):%Y-%m-%d}"
    fleet.add_user("All is well")
    for number in range(5):
        fleet.add_user(f"Ends {number}", expires=soon)
    address = next(href for name, href in links(page(admin)).items() if name.startswith("Need attention 5"))
    shown = {name for name in links(page(admin, address)) if name.startswith(("Ends", "All"))}
    assert shown == {f"Ends {number}" for number in range(5)}


def test_used_today_leads_to_exactly_those_who_used_it(admin: Visitor, fleet: Fleet) -> None:
    used = [fleet.add_user(f"User {number}").id for number in range(3)]
    fleet.add_user("Nobody")
    for number, user in enumerate(used):
        use(fleet, user, 5 + number)
    href = next(href for name, href in links(page(admin)).items() if name.startswith("Used today 3"))
    rows = [e.attributes["id"] for e in read(page(admin, href)) if e.attributes.get("id", "").startswith("user-")]
    assert rows == [f"user-{user}" for user in reversed(used)], "whoever used it most stands first"


def test_of_many_with_a_reason_the_link_leads_to_exactly_those(admin: Visitor, fleet: Fleet) -> None:
    soon = f"{fleet.reconciler.now() + timedelta(days=2):%Y-%m-%d}"
    ids = [fleet.add_user(f"User {number}", expires=soon).id for number in range(5)]
    over = fleet.add_user("Over", expires=soon, limit_gb="1", speed_mbps="none").id
    use(fleet, over, 1200)
    href = links(page(admin))["All 5: Access ends soon"]
    shown = page(admin, href)
    rows = [e.attributes["id"] for e in read(shown) if e.attributes.get("id", "").startswith("user-")]
    assert rows == [f"user-{user}" for user in ids], "Over has a reason that comes first"
    assert "Access ends soon (5)" in text(shown)


def test_a_certificate_that_fails_is_a_row_with_its_reason_and_a_button(
        admin: Visitor, fleet: Fleet, monkeypatch) -> None:
    fleet.add_user("Alice")
    failing = Problem("certificate.trouble", {"name": "panel", "domain": "panel.example", "reason": told("no answer")})
    status = views.status
    monkeypatch.setattr(views, "status", lambda *given, **how: replace(
        found := status(*given, **how), problems=[*found.problems, failing]))
    shown = page(admin)
    assert links(shown)["Open: panel.example"] == "/settings/port-443#all-certificates"
    found = next(name for name in links(shown) if name.startswith("Need attention"))
    assert found == "Need attention 0 1 certificate" and "All is well" not in text(shown)
    assert not any(e.attributes.get("id") == "problems" for e in read(shown)), "it is told once"
