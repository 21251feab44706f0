"""The page of the audit log."""

from __future__ import annotations

import re

import pytest

from app.messages.english.events import TEMPLATES
from app.web.history import KINDS
from app.web.pages.events import SHOWN


def test_every_action_that_can_be_noted_is_of_one_kind() -> None:
    beginnings = [begin for _, kinds in KINDS.values() for begin in kinds]
    for code in TEMPLATES:
        if code.partition(".")[0] not in ("event", "place", "renewal"):
            assert sum(code.startswith(begin) for begin in beginnings) == 1, code


def test_events_are_filtered_by_kind_actor_and_name(admin, fleet) -> None:
    fleet.add_user("Alice", actor="admin:ada")
    fleet.add_user('O\'Brien <b>"&\\', actor="cli")
    fleet.set_settings({"monitor_seconds": "11"})
    page = admin.get("/events").get_data(as_text=True)
    assert page.count("user added") == 2 and "settings changed" in page and "O&#39;Brien &lt;b&gt;" in page
    assert "settings changed" not in admin.get("/events?kind=users").get_data(as_text=True)
    by_ada = admin.get("/events?kind=users&actor=admin:ada").get_data(as_text=True)
    assert by_ada.count("user added") == 1 and "Alice" in by_ada
    assert admin.get("/events?subject=Alice").get_data(as_text=True).count("user added") == 1
    assert "Nothing like this" in admin.get("/events?subject=Nobody").get_data(as_text=True)


def test_many_are_paged_and_none_is_shown_twice_or_left_out(admin, fleet) -> None:
    for number in range(2 * SHOWN + 5):
        fleet.ledger.events.record("cli", "user.added", f"User-{number}")
    path, seen = "/events?kind=users", []
    while path:
        page = admin.get(path).get_data(as_text=True)
        seen += re.findall(r">(User-\d+)<", page)
        older = re.search(r'href="(/events\?before=[^"]+)"', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == [f"User-{number}" for number in reversed(range(2 * SHOWN + 5))]


@pytest.mark.parametrize("query", ["kind=x", "before=x", "before=1e999", "before=-1", "actor=%00", "before=9" * 40,
                                   "subject=%ff", "kind=users&kind=admins"])
def test_an_odd_address_is_a_page_all_the_same(admin, query) -> None:
    assert admin.get(f"/events?{query}").status_code == 200


def test_the_history_of_a_user_is_on_the_page_and_behind_the_name_under_every_name(admin, fleet) -> None:
    bob = fleet.add_user("Bob")
    fleet.update_user("Bob", {"name": "Robert", "note": "x"}, actor="admin:ada")
    fleet.add_user("Bob")
    page = admin.get(f"/users/{bob.id}/more").get_data(as_text=True)
    assert "User added" in page and "User changed" in page
    assert "&#34;Name&#34;, &#34;Note&#34;" in page, "as the form calls them"
    assert f"/events?user={bob.id}" in admin.get("/events").get_data(as_text=True)
    events = admin.get(f"/events?user={bob.id}").get_data(as_text=True)
    assert events.count("user added") == 1 and "every name of this user" in events and ">Robert<" in events
    fleet.remove("Robert", for_good=True)
    assert "no longer there" in admin.get(f"/events?user={bob.id}").get_data(as_text=True)
    assert "user added" in admin.get(f"/events?user={bob.id}&kind=users").get_data(as_text=True)
