"""The list of users: who is on it, in which order, and that the address tells it all."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from app.config import values
from app.config.model import User
from app.control import listing, roster, snapshot
from app.control.listing import Query
from app.ledger import history
from app.ledger.traffic import Reading
from app.mtproto.secret import Secret
from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.visitor import Visitor

GB = 1024 ** 3


@pytest.fixture
def cast(fleet: Fleet) -> dict[str, str]:
    """Ids by name: each is in another state."""
    names = ("Jürgen Strauß", "Łukasz", "علي", "Zoë", "Dora", "Erin", "O'Brien <b>\"&\\")
    ids = {name: fleet.add_user(name, domain="www.example.com", limit_gb="5").id for name in names}
    fleet.update_user("Dora", {"at_limit": "block"})
    fleet.update_user("Erin", {"expires": (values.now() + timedelta(days=2)).strftime("%Y-%m-%d %H:%M")})
    fleet.update_user("Zoë", {"note": "book club", "tags": "family, paid"})
    account(fleet, ids, {"Łukasz": (GB, 0), "Dora": (6 * GB, 0), "علي": (2 * GB, 3)})
    fleet.reconcile()
    fleet.disable("Zoë")
    return ids


def account(fleet: Fleet, ids: dict[str, str], moved: dict[str, tuple[int, int]]) -> None:
    for down in (0, 1):
        fleet.ledger.traffic.account([
            Reading(ids[name], f"link{ids[name]}", "run", down * amount, 0, 0, connections)
            for name, (amount, connections) in moved.items()], fleet.reconciler.now().timestamp() - 10 + 10 * down)


def names(admin: Visitor, **asked: object) -> list[str]:
    page = admin.get("/users", query_string=asked).get_data(as_text=True)
    return [e.text for e in read(page) if e.tag == "bdi" and "td" in e.inside]


def test_people_are_found_by_state_not_by_container(admin: Visitor, cast: dict[str, str]) -> None:
    assert names(admin, state="online") == ["علي"]
    assert names(admin, state="idle") == ["Łukasz"]
    assert names(admin, state="disabled") == ["Zoë"]
    assert names(admin, state="blocked") == names(admin, state="over") == ["Dora"]
    assert names(admin, state="expiring") == ["Erin"]
    assert names(admin, state="never") == ["Jürgen Strauß", "Zoë", "Erin", "O'Brien <b>\"&\\"]
    assert names(admin, state="failing") == names(admin, state="slowed") == names(admin, state="expired") == []
    page = text(admin.get("/users").get_data(as_text=True))
    assert "Online (1)" in page and "Never used (4)" in page and "7 users" in page


def test_a_search_finds_every_word_whatever_the_keyboard(admin: Visitor, cast: dict[str, str]) -> None:
    assert names(admin, q="strauss jurgen") == ["Jürgen Strauß"]
    assert names(admin, q="lukasz") == ["Łukasz"]
    assert names(admin, q="علی") == ["علي"]
    assert names(admin, q="CLUB book") == names(admin, q="paid") == names(admin, tag="Family") == ["Zoë"]
    assert names(admin, q=cast["Erin"]) == ["Erin"]
    assert len(names(admin, q="example.com")) == 7 and names(admin, q="nobody") == []
    assert names(admin, q='<b>"&\\') == ["O'Brien <b>\"&\\"]
    assert names(admin, q="example", state="online") == ["علي"]


def test_a_list_is_sorted_by_its_columns(admin: Visitor, cast: dict[str, str]) -> None:
    assert names(admin, sort="name")[:3] == ["Dora", "Erin", "Jürgen Strauß"]
    assert names(admin, sort="-used")[:3] == ["Dora", "علي", "Łukasz"]
    assert names(admin, sort="-seen")[0] == "علي"
    assert names(admin, sort="expires")[0] == "Erin"
    assert names(admin, sort="state")[0] == "Dora" and names(admin, sort="-state")[0] == "Zoë"
    page = admin.get("/users?sort=-used").get_data(as_text=True)
    assert 'aria-sort="descending"' in page and "/users?sort=used" in page


def test_pages_are_links_that_keep_what_was_asked(admin: Visitor, fleet: Fleet) -> None:
    with fleet.file.edit() as config:
        config.proxies_stopped = True
    for number in range(60):
        fleet.add_user(f"Number {number:02}")
    assert len(names(admin)) == 50 and len(names(admin, size=25)) == 25
    assert names(admin, page=2) == [f"Number {number}" for number in range(50, 60)]
    assert names(admin, page=99) == names(admin, page=2), "a page after the last one is the last one"
    page = admin.get("/users?q=number&sort=-name&size=25").get_data(as_text=True)
    assert "/users?q=number&amp;sort=-name&amp;size=25&amp;page=3" in page
    assert "1 to 25 of 60" in text(page)


@pytest.mark.parametrize("asked", [
    {"page": "0"}, {"page": "-1"}, {"page": "9" * 40}, {"page": "x"}, {"size": "10000"}, {"sort": "secret"},
    {"sort": "--name"}, {"state": "x" * 10000}, {"q": "\ud7ff\x00" * 500}, {"tag": "<script>"}, {"engine": "&"}])
def test_an_address_that_makes_no_sense_shows_a_list(
        admin: Visitor, cast: dict[str, str], asked: dict[str, str]) -> None:
    for path in ("/users", "/users/list"):
        answer = admin.get(path, query_string=asked)
        assert answer.status_code == 200 and "<script>" not in answer.get_data(as_text=True).replace("<script src", "")


def test_a_question_is_the_same_after_it_was_an_address() -> None:
    query = Query("a b", "online", "mtg", "paid", "-used", 100, 3)
    assert Query.of(query.asked()) == query
    assert Query().asked() == {} and replace(query, page=1).asked(size=50).keys() == {
        "q", "state", "engine", "tag", "sort"}


def test_an_action_in_a_row_leads_back_to_the_same_list(admin: Visitor, cast: dict[str, str]) -> None:
    page = admin.get("/users?q=example&sort=-used&size=25").get_data(as_text=True)
    back = next(e.attributes["value"] for e in read(page) if e.attributes.get("name") == "back")
    answer = admin.post(f"/users/{cast['Erin']}/disable", {"back": back})
    assert answer.location == f"/users?q=example&sort=-used&size=25#user-{cast['Erin']}"
    for evil in ("//evil.example", "next=//evil.example", "q=%0d%0aLocation: x", "\\\\evil"):
        answer = admin.post(f"/users/{cast['Erin']}/enable", {"back": evil})
        assert answer.location.startswith("/users") and "evil" not in answer.location.split("?")[0]
        assert "\n" not in answer.location


def test_the_link_is_told_to_who_copies_it_and_the_list_holds_none(
        admin: Visitor, fleet: Fleet, stranger: Visitor, cast: dict[str, str]) -> None:
    user = fleet.user("Erin")
    assert f"/users/{user.id}/link" in admin.get("/users").get_data(as_text=True)
    answer = admin.get(f"/users/{user.id}/link")
    assert answer.get_data(as_text=True) == user.tme_link and answer.mimetype == "text/plain"
    assert admin.get("/users/nobody/link").status_code == 404
    assert stranger.get(f"/users/{user.id}/link").status_code == 302


def test_a_thousand_users_are_a_small_page(admin: Visitor, fleet: Fleet) -> None:
    with fleet.file.edit() as config:
        config.proxies_stopped = True
        config.users += [User(id=f"u{number:05}", name=f"علی‌رضا O'Brien {number}", port=3000 + number, note="a note",
                              secret=Secret.generate("www.example.com").hex, fake_tls_domain="www.example.com")
                         for number in range(1000)]
    gzipped = {"Accept-Encoding": "gzip"}
    assert len(admin.get("/users", headers=gzipped).data) < 20_000
    assert len(admin.get("/users/list", headers={**gzipped, "HX-Request": "true"}).data) < 5_000
    rows = roster.rows(snapshot.take(fleet))
    assert len(listing.page(rows, Query(text="brien 99")).found) == 19
    assert re.search("99[0-9]", names(admin, q="brien 99", sort="-name")[0])


def test_each_row_has_what_was_moved_in_seven_days_as_a_picture_and_in_words(admin: Visitor, fleet: Fleet) -> None:
    alice, _ = fleet.add_user("Alice").id, fleet.add_user("Bob")
    at = fleet.reconciler.now().timestamp()
    with fleet.ledger.database.transaction() as db:
        for days, megabytes in ((0, 8), (1, 4), (6, 2), (7, 999)):
            history.add(db, at - days * 86400, {alice: (megabytes * 2**20, 0)})
    asked, query = [], fleet.ledger.database.query
    fleet.ledger.database.query = lambda sql, *given, **named: asked.append(sql) or query(sql, *given, **named)
    page = read(admin.get("/users").get_data(as_text=True))
    pictures = [e for e in page if e.tag == "svg" and e.attributes.get("role") == "img"]
    assert [e.attributes["aria-label"] for e in pictures] == ["14 MB in 7 days"], "Bob moved nothing"
    path, = (e.attributes["d"] for e in page if e.tag == "path" and "table" in e.inside)
    assert path == "M4 16v-4M49 16v-8M58 16v-16"
    heads = [e.attributes.get("class") for e in page if e.tag == "th"]
    cells = [e.attributes.get("class", "").split()[0] for e in page if e.tag == "td"]
    assert heads == cells[:len(heads)] and len(cells) == 2 * len(heads), "each cell has its heading"
    assert sum("AS moved FROM series" in sql for sql in asked) == 1, "one question for all rows"
