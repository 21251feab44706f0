"""One's own password and sessions, and the admins."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from tests.support.fleet import Fleet
from tests.web.visitor import NAME, PASSWORD, Visitor

NEW = "another horse battery"


def passwords(current: str = PASSWORD, new: str = NEW, again: str = NEW) -> dict[str, str]:
    return {"current": current, "password": new, "again": again}


@pytest.fixture
def elsewhere(panel: Flask) -> Visitor:
    """The same admin, in another browser."""
    visitor = Visitor(panel.test_client())
    assert visitor.login().status_code == 302
    return visitor


def test_a_new_password_logs_out_everybody_but_this_browser(
        admin: Visitor, elsewhere: Visitor, stranger: Visitor, fleet: Fleet) -> None:
    assert admin.post("/account/password", passwords()).location == "/account"
    assert admin.get("/users").status_code == 200
    assert elsewhere.get("/users").status_code == 302
    assert stranger.login(password=PASSWORD).status_code == 401
    assert stranger.login(password=NEW).status_code == 302
    assert "password changed" in [event.done for event in fleet.events(NAME)]


@pytest.mark.parametrize(("typed", "field"), [
    (passwords(current="guess"), "current"), (passwords(again="x"), "again"),
    (passwords(new="short", again="short"), "password"),
    (passwords(current=""), "current"), ({}, "current")])
def test_what_is_wrong_is_said_beside_its_field_and_nothing_changes(
        admin: Visitor, elsewhere: Visitor, typed: dict[str, str], field: str) -> None:
    answer = admin.post("/account/password", typed)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422 and f'id="{field}-error"' in page and NEW not in page
    assert elsewhere.get("/users").status_code == 200


def test_who_guesses_the_password_of_an_open_session_has_to_wait(admin: Visitor) -> None:
    for _ in range(5):
        admin.post("/account/password", passwords(current="guess"))
    page = admin.post("/account/password", passwords()).get_data(as_text=True)
    assert "Too many failed attempts" in page and admin.get("/users").status_code == 200


def test_sessions_are_listed_and_ended_one_by_one_or_all_but_this(
        admin: Visitor, elsewhere: Visitor, panel: Flask) -> None:
    third = Visitor(panel.test_client())
    third.login()
    page = admin.get("/account").get_data(as_text=True)
    ids = re.findall(r'name="id" value="(\w+)"', page)
    assert len(set(ids)) == 3 and page.count("This browser") == 1
    here = re.search(r'name="id" value="(\w+)"', page[page.index("This browser"):])[1]
    other = next(key for key in ids if key != here)
    admin.post("/account/sessions/end", {"id": other})
    assert sorted(visitor.get("/users").status_code for visitor in (elsewhere, third)) == [200, 302]
    admin.post("/account/sessions/end")
    assert [visitor.get("/users").status_code for visitor in (admin, elsewhere, third)] == [200, 302, 302]
    assert admin.post("/account/sessions/end", {"id": here}).location == "/login"
    assert admin.get("/users").status_code == 302


def test_nobody_ends_the_session_of_another_admin(admin: Visitor, panel: Flask, fleet: Fleet) -> None:
    fleet.create_admin("bob", "bob's horse battery")
    bob = Visitor(panel.test_client())
    bob.login("bob", "bob's horse battery")
    key = re.search(r'name="id" value="(\w+)"', bob.get("/account").get_data(as_text=True))[1]
    admin.post("/account/sessions/end", {"id": key})
    assert bob.get("/users").status_code == 200


class TestAdmins:
    def test_one_is_added_made_an_owner_given_a_password_and_removed(
            self, admin: Visitor, panel: Flask, fleet: Fleet) -> None:
        odd = 'O\'Brien <b>"&\\'
        assert admin.post("/admins", {"username": odd, "password": NEW}).status_code == 302
        assert "O&#39;Brien &lt;b&gt;" in admin.get("/admins").get_data(as_text=True)
        admin.post("/admins/set", {"username": odd, "role": "owner"})
        assert fleet.admin(odd).role == "owner"
        page = admin.post("/admins/password", {"username": odd}).get_data(as_text=True)
        shown = re.search(r'break-all">([^<]+)<', page)[1]
        visitor = Visitor(panel.test_client())
        assert visitor.login(odd, shown).status_code == 302
        assert "Remove" in admin.get("/admins/remove", query_string={"username": odd}).get_data(as_text=True)
        admin.post("/admins/remove", {"username": odd})
        assert fleet.admin(odd) is None and visitor.get("/users").status_code == 302

    def test_what_is_refused_is_said_and_the_last_one_stays(self, admin: Visitor, fleet: Fleet) -> None:
        assert admin.post("/admins", {"username": NAME, "password": NEW}).status_code == 422
        assert admin.post("/admins", {"username": "bob", "password": "short"}).status_code == 422
        assert admin.post("/admins", {"username": "bob", "password": NEW, "role": "king"}).status_code == 422
        for path in ("/admins/set", "/admins/remove", "/admins/password"):
            assert admin.post(path, {"username": "nobody"}).status_code == 302

    def test_who_may_not_change_settings_sees_no_admins_and_no_logins(
            self, panel: Flask, fleet: Fleet, admin: Visitor) -> None:
        fleet.create_admin("bob", "bob's horse battery")
        bob = Visitor(panel.test_client())
        bob.login("bob", "bob's horse battery")
        assert bob.get("/admins").status_code == 403
        assert bob.post("/admins", {"username": "eve", "password": NEW}).status_code == 403
        assert "login" not in bob.get("/events").get_data(as_text=True).lower().replace("/login", "")
        for page in ("/", "/users/" + fleet.add_user("Alice").id):
            assert "127.0.0.1" not in bob.get(page).get_data(as_text=True), page
        assert "admin created" in admin.get("/events").get_data(as_text=True)
        assert "admin created" not in bob.get("/events?kind=admins").get_data(as_text=True)
