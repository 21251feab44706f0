"""The page for whoever was sent a link: the same in each language that it is in, and to be found."""

from __future__ import annotations

import re

import pytest

from tests.support.documents import LANGUAGES, ROOT, Page, pages

#: Persian is for them only: whoever runs a panel reads English or Russian.
PERSIAN = Page(ROOT / "docs/fa/friends.md")
ENGLISH = pages("en")["docs/friends.md"]
TRANSLATED = [pages("ru")["docs/friends.md"], PERSIAN]


def shape(page: Page) -> list[str]:
    """What each line begins with: headings, numbers of steps, rows, points."""
    return re.findall(r"^(?:#{1,6} |\d+\. |\||- |!\[)", page.text, re.MULTILINE)


@pytest.mark.parametrize("page", TRANSLATED, ids=str)
def test_each_language_says_the_same(page: Page) -> None:
    assert shape(page) == shape(ENGLISH)


@pytest.mark.parametrize("page", [ENGLISH, *TRANSLATED], ids=str)
def test_each_leads_to_the_others(page: Page) -> None:
    others = {one.path for one in (ENGLISH, *TRANSLATED)} - {page.path}
    assert others == {(page.path.parent / link).resolve() for link in page.links if link.endswith(".md")}


def test_every_link_of_the_persian_page_leads_to_a_file() -> None:
    assert PERSIAN.links
    assert [link for link in PERSIAN.links if not (PERSIAN.path.parent / link).resolve().exists()] == []


def test_persian_is_written_from_right_to_left_and_nothing_is_left_in_english() -> None:
    lines = PERSIAN.text.strip().splitlines()
    # With an empty line after it GitHub reads Markdown inside; `dir` is among the attributes that it keeps.
    assert lines[:2] == ['<div dir="rtl">', ""] and lines[-2:] == ["", "</div>"]
    for line in lines[1:-1]:
        told = re.sub(r"`[^`]*`|\]\([^)]*\)", "", line)
        words = re.findall(r"[A-Za-z]{3,}", told)
        assert not words, f"translate this into Persian: {line}"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["README.md", "docs/share.md"])
def test_it_is_found_from_the_readme_and_from_the_page_of_a_user(language: str, name: str) -> None:
    page = pages(language)[name]
    targets = {(page.path.parent / link).resolve() for link in page.links}
    assert pages(language)["docs/friends.md"].path in targets and PERSIAN.path in targets
