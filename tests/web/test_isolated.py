"""Names written from right to left stand in sentences, titles and tables without moving the words beside them."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from app.messages import Problem
from app.messages.catalogue import sentence
from app.messages.isolated import isolated
from app.web.language import gettext, in_words
from tests.support.fleet import Fleet
from tests.web.html import read
from tests.web.visitor import Visitor

REZA = "علی‌رضا"
ALONE = f"\u2068{REZA}\u2069"


@pytest.mark.parametrize("name", [REZA, "دانا 2", "a דנה", "x\u202ey", "\u2067mine"])
def test_a_name_that_moves_others_is_isolated_once(name: str) -> None:
    shown = isolated(name)
    assert shown[0] == "\u2068" and shown[-1] == "\u2069"
    inside = shown[1:-1]
    assert inside.count("\u2066") + inside.count("\u2067") + inside.count("\u2068") == inside.count("\u2069")


@pytest.mark.parametrize("name", ["O'Brien <b>\"&\\", "Jürgen", "Анна", "山田", "👨‍👩‍👧", "", "10.0.0.1"])
def test_other_names_are_as_they_were(name: str) -> None:
    assert isolated(name) == name


def test_a_name_ends_no_isolate_but_its_own() -> None:
    assert isolated(f"{REZA}\u2069\u202e.exe") == f"\u2068{REZA}\u202e.exe\u2069"
    assert isolated(f"{ALONE} is saved.") == f"\u2068{ALONE} is saved.\u2069", "a sentence with a name in it"


def test_what_is_markup_stays_markup() -> None:
    assert isinstance(isolated(Markup(f"<b>{REZA}</b>")), Markup)
    assert isolated(Markup(f"<b>{REZA}</b>")) == f"\u2068<b>{REZA}</b>\u2069"


def test_every_way_to_fill_a_text_isolates(admin: Visitor) -> None:
    with admin.client.application.test_request_context():
        said = gettext("%(name)s is saved.", name=REZA)
        assert said == f"{ALONE} is saved."
        problem = Problem("factor.none", {"name": REZA})
        assert ALONE in in_words(problem)
        assert "\u2068" not in sentence(problem), "a terminal is told the name as it is"
        template = admin.client.application.jinja_env.from_string(
            "{{ _('%(name)s is saved.', name=name) }} {% trans %}{{ name }} is saved.{% endtrans %} "
            "{{ ngettext('%(num)d user of %(name)s', '%(num)d users of %(name)s', 2, name=name) }}")
        assert template.render(name=REZA).count(ALONE) == 3


def test_a_persian_name_on_every_page_that_says_something_of_it(admin: Visitor, fleet: Fleet) -> None:
    reza = fleet.add_user(REZA)
    for path in ("", "/edit", "/limit", "/access"):
        title = next(e for e in read(admin.get(f"/users/{reza.id}{path}").text) if e.tag == "title").text
        assert ALONE in title, path
    assert f"Delete {ALONE}?" in admin.get(f"/users/{reza.id}/remove").text
    assert f"{ALONE} is disabled." in admin.post(f"/users/{reza.id}/disable", follow_redirects=True).text
    events = admin.get("/events").text
    assert f"<bdi>{REZA}</bdi></a>: " in events
