"""What a setting or a field may hold, its form may send; what is too large is told, and costs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.settings_pages import at
from tests.web.visitor import Visitor


def fields(page: str) -> dict[str, str]:
    """What a browser would send of the settings page, as it was shown."""
    found = {}
    for element in read(page):
        name = element.attributes.get("name")
        if element.tag == "input" and name and element.attributes.get("type") not in ("radio", "checkbox"):
            found[name] = element.attributes.get("value", "")
        elif element.tag == "textarea" and name:
            found[name] = element.text.strip().replace("\n", "\r\n")
    return found


@pytest.mark.parametrize(("key", "words"), [
    ("domain_pool", [f"{'a' * 60}.{'b' * 60}.site-{number}.example.com" for number in range(900)]),
    ("mtg_timing_urls", [f"https://site-{number}.example.com/{'a' * 150}" for number in range(900)]),
])
def test_a_list_of_900_can_be_saved_and_saved_again(
        fleet: Fleet, admin: Visitor, key: str, words: list[str]) -> None:
    other = {"domain_pool": "domain_grace_days", "mtg_timing_urls": "proxy_memory_mb"}[key]
    sent = fields(admin.get(at(key)).get_data(as_text=True))
    answer = admin.post(at(key), sent | {key: "\r\n".join(words)})
    assert (answer.status_code, answer.location) == (302, at(key))
    assert fleet.settings()[key] == words
    sent = fields(admin.get(at(key)).get_data(as_text=True))
    assert len(sent[key].split()) == 900
    answer = admin.post(at(key), sent | {other: "99"})
    assert (answer.status_code, fleet.settings()[other]) == (302, 99)
    assert fleet.settings()[key] == words


def test_a_note_of_a_thousand_emoji_can_be_saved(fleet: Fleet, admin: Visitor) -> None:
    note = "😀" * 1000
    assert admin.post("/users/new", {"name": "Bob", "note": note}).status_code == 302
    assert fleet.user("Bob").note == note
    answer = admin.post(f"/users/{fleet.user('Bob').id}/edit", {"name": "Bob", "note": note + "😀"})
    assert answer.status_code == 422 and "1,000" in text(answer.get_data(as_text=True))


def test_a_list_beyond_every_form_is_refused_with_the_way_that_takes_it(
        admin: Visitor, declaration: Path) -> None:
    before = declaration.read_bytes()
    answer = admin.post("/settings/links", {"domain_pool": "\r\n".join(f"site-{n}.example.com" for n in range(40_000))})
    page = text(answer.get_data(as_text=True))
    assert answer.status_code == 413 and "512 kB" in page
    assert declaration.read_bytes() == before
