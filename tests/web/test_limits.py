"""Limits in forms: a default with its value, none, or a value of one's own; never a word that has to be typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.test_field_check import beside
from tests.web.test_two_at_once import shown
from tests.web.test_users_many import done
from tests.web.visitor import Visitor


def ways(page: str, key: str) -> dict[str, str]:
    """value -> label of what can be chosen; the one that is chosen has a star."""
    elements = read(page)
    labels = {e.attributes["for"]: e.text.strip() for e in elements if e.tag == "label" and "for" in e.attributes}
    return {e.attributes["value"] + ("*" if "checked" in e.attributes else ""): labels[e.attributes["id"]]
            for e in elements if e.attributes.get("name") == f"{key}_choice"}


def sent(page: str) -> dict[str, str]:
    """What a browser would send of the form of a page."""
    found = {}
    for e in read(page):
        if e.tag == "input" and (e.attributes.get("type") != "radio" or "checked" in e.attributes):
            found.setdefault(e.attributes.get("name", ""), e.attributes.get("value", ""))
    return found


def test_each_says_what_its_default_is_now(admin: Visitor, fleet: Fleet) -> None:
    assert ways(admin.get("/users/new").text, "limit_gb") == {
        "default*": "Default: no limit", "none": "No limit", "custom": "Custom"}
    fleet.set_settings({"traffic_limit_gb": "50", "max_unique_ips": "3"})
    plan = fleet.add_plan("Family", limit_gb="100", speed_mbps="none", expires_after_days="30")
    alice = fleet.add_user("Alice", plan="Family", limit_gb="none", max_unique_ips="2").id
    for page, found in (
            (admin.get("/users/new").text, ("Default: 50 GB", "Default: 1 Mbit/s", "Default: 3", "Default: never")),
            (admin.get(f"/plans/{plan.id}").text, ("Default: 50 GB", "Default: 1 Mbit/s", "Default: 3", None)),
            (admin.get(f"/users/{alice}/edit").text,
             ("Default: 100 GB", "Default: not slowed down", "Default: 3", None)),
            (admin.post("/users/new/check/limit_gb", {"plan": "Family"}).text, ("Default: 100 GB", None, None, None)),
            (admin.post("/users/new/check/expires", {"plan": "Family"}).text,
             (None, None, None, "Default: 30 days after the first use"))):
        for key, words in zip(("limit_gb", "speed_mbps", "max_unique_ips", "expires"), found, strict=True):
            offered = ways(page, key)
            assert (offered.get("default") or offered.get("default*")) == words, (key, offered)
    page = admin.get(f"/users/{alice}/edit").text
    chosen = [value for key in ("limit_gb", "max_unique_ips", "expires") for value in ways(page, key) if "*" in value]
    assert chosen == ["none*", "custom*", "days*"]
    field, = (e.attributes for e in read(page) if e.attributes.get("name") == "limit_gb")
    assert "data-select" in field, "what is typed there replaces the word"


CHOSEN = (
    ({"limit_gb_choice": "default", "limit_gb": "7"}, {"traffic_limit_gb": 0}),
    ({"limit_gb_choice": "none", "limit_gb": "7"}, {"traffic_limit_gb": None}),
    ({"limit_gb_choice": "custom", "limit_gb": "7,5"}, {"traffic_limit_gb": 7.5}),
    ({"limit_gb_choice": "custom", "limit_gb": "none"}, {"traffic_limit_gb": None}),
    ({"speed_mbps_choice": "none", "speed_mbps": ""}, {"throttle_speed_mbps": None}),
    ({"max_unique_ips_choice": "none"}, {"max_unique_ips": None}),
    ({"expires_choice": "date", "expires": "2090-01-31", "expires_after_days": "30"}, {"expires_after_days": 0}),
    ({"expires_choice": "days", "expires": "2090-01-31", "expires_after_days": "30"},
     {"expires_after_days": 30, "expires_at": None}),
    ({"expires_choice": "none", "expires": "2090-01-31", "expires_after_days": "30"},
     {"expires_after_days": 0, "expires_at": None}),
    # As an older page, or a script, sends it.
    ({"limit_gb": "none", "speed_mbps": "0", "expires_after_days": "30"},
     {"traffic_limit_gb": None, "throttle_speed_mbps": 0, "expires_after_days": 30}),
)


#: Many who are added have no fields for these.
NOT_OF_MANY = {"speed_mbps", "max_unique_ips_choice"}


@pytest.mark.parametrize(("of", "typed", "found"), [
    (of, *chosen) for of in ("new", "edit", "many") for chosen in CHOSEN
    if of != "many" or not NOT_OF_MANY & chosen[0].keys()])
def test_what_is_chosen_counts_and_not_what_stands_in_a_field_out_of_sight(
        admin: Visitor, fleet: Fleet, of: str, typed: dict[str, str], found: dict[str, object]) -> None:
    if of == "edit":
        path = f"/users/{fleet.add_user('Alice', limit_gb='3', expires='2099-01-31').id}/edit"
        page = admin.get(path).text
        older = {"name": "Alice", "domain": fleet.user("Alice").domain, "expires": "", "shown": shown(page)}
        answer = admin.post(path, (sent(page) if any("choice" in key for key in typed) else older) | typed)
    elif of == "new":
        answer = admin.post("/users/new", {"name": "Alice"} | typed)
    else:
        answer = admin.post("/users/import", {"names": "Alice"} | typed)
    assert answer.status_code == 302, text(answer.text)[:600]
    declared = next(user for user in fleet.config().users if user.name == "Alice")
    assert {key: getattr(declared, key) for key in found} == found


def test_a_page_that_is_sent_as_it_is_changes_nothing(admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    plan = fleet.add_plan("Family", limit_gb="none", expires_after_days="3")
    for number, fields in enumerate((
            {}, {"limit_gb": "none", "expires": "2099-01-31"},
            {"limit_gb": "0.5", "expires_after_days": "7", "plan": "Family"})):
        path = f"/users/{fleet.add_user(f'Alice {number}', **fields).id}/edit"
        before = declaration.read_bytes()
        admin.post(path, {"plan": fields.get("plan", "")} | sent(admin.get(path).text))
        assert declaration.read_bytes() == before, fields
    admin.post(f"/plans/{plan.id}", sent(admin.get(f"/plans/{plan.id}").text))
    assert declaration.read_bytes() == before


def test_a_choice_without_its_value_is_refused_kindly_with_all_else_and_stays_as_it_was(
        admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    plan, alice = fleet.add_plan("Family").id, fleet.add_user("Alice").id
    before = declaration.read_bytes()
    for path in ("/users/new", f"/users/{alice}/edit", "/users/import", "/plans/new", f"/plans/{plan}"):
        for typed in ("", " ", "0", "0,0"):
            answer = admin.post(path, {"name": "", "names": "", "limit_gb_choice": "custom", "limit_gb": typed,
                                       "tags": "a" * 99})
            assert answer.status_code == 422, path
            assert "choose one of \"Default: no limit\", \"No limit\"" in beside(answer.text, "limit_gb"), path
            assert "custom*" in ways(answer.text, "limit_gb")
            if "plans" not in path:
                assert beside(answer.text, "tags"), "all errors at once"
    for form in ("/users/new", f"/users/{alice}/edit", "/users/import", "/plans/new", f"/plans/{plan}"):
        answer = admin.post(f"{form}/check/limit_gb", {"limit_gb_choice": "custom", "limit_gb": ""})
        assert answer.status_code == 200 and beside(answer.text, "limit_gb"), "as saving checks it"
        wrong = admin.post(form, {"name": "Bob", "names": "Bob", "limit_gb_choice": "purple", "limit_gb": "7"})
        assert wrong.status_code == 422 and "Choose one of" in text(wrong.text), form
    for typed in ({"expires_choice": "date"}, {"expires_choice": "days", "expires_after_days": "0"}):
        page = admin.post("/users/new", {"name": "Bob"} | typed).text
        assert beside(page, "expires") or beside(page, "expires_after_days")
    assert declaration.read_bytes() == before


def test_never_is_never_with_a_plan_that_ends_access_too(admin: Visitor, fleet: Fleet) -> None:
    fleet.add_plan("Guests", expires_after_days="3")
    for name, choice, days in (("Alice", "none", 0), ("Bob", "default", 3)):
        assert admin.post("/users/new", {"name": name, "plan": "Guests", "expires_choice": choice}).status_code == 302
        assert fleet.user(name).expires_after_days == days
    path = f"/users/{fleet.user('Bob').id}/edit"
    admin.post(path, sent(admin.get(path).text) | {"plan": "Guests", "expires_choice": "none"})
    assert (fleet.user("Bob").expires_after_days, fleet.user("Bob").expires_at) == (0, None)


def test_what_somebody_else_has_chosen_meanwhile_is_called_as_on_the_page(admin: Visitor, fleet: Fleet) -> None:
    alice = fleet.add_user("Alice").id
    old = sent(admin.get(f"/users/{alice}/edit").text)
    fleet.update_user(alice, {"limit_gb": "none"}, "cli")
    refused = admin.post(f"/users/{alice}/edit", old | {"limit_gb_choice": "custom", "limit_gb": "70"})
    assert refused.status_code == 422 and "from 'Default' to 'No limit'" in text(refused.text)
    assert fleet.user(alice).own_limit_gb is None
    again = admin.post(f"/users/{alice}/edit", sent(refused.text))
    assert again.status_code == 302 and fleet.user(alice).own_limit_gb == 70


def test_many_get_a_limit_in_the_same_way(admin: Visitor, fleet: Fleet) -> None:
    ids = [fleet.add_user(name, limit_gb="5").id for name in ("Alice", "Bob")]
    page = admin.post("/users/bulk/ask", {"what": "limit", "id": ids}).text
    assert list(ways(page, "value").values()) == ["Default", "No limit", "Custom"]
    for typed, wrong in (({"value_choice": "custom", "value": ""}, "Enter a value here"),
                         ({"value_choice": "custom", "value": "much"}, "much"),
                         ({"value": "much"}, "much"), ({"value_choice": "purple"}, "Choose one of")):
        answer = admin.post("/users/bulk/do", {"what": "limit", "id": ids} | typed)
        assert answer.status_code == 422 and wrong in text(answer.text)
        field, = (e.attributes for e in read(answer.text) if e.attributes.get("id") == "value")
        assert field["value"] == typed.get("value", "")
    for typed, found in (({"value_choice": "none", "value": "9"}, None), ({"value_choice": "custom", "value": "9"}, 9),
                         ({"value_choice": "default", "value": "9"}, 0), ({"value": "none"}, None)):
        done(admin, admin.post("/users/bulk/do", {"what": "limit", "id": ids} | typed))
        assert [user.own_limit_gb for user in fleet.users()] == [found] * 2
