"""The documentation is the same in every language: pages, headings, tables, commands, links."""

from __future__ import annotations

import re

import pytest

from tests.support.documents import LANGUAGES, Page, pages

ENGLISH = pages("en")
OTHERS = [language for language in LANGUAGES if language != "en"]
BOTH = [(english, there) for language in OTHERS
        for name, english in ENGLISH.items() if (there := pages(language).get(name))]


def commands(page: Page) -> list[tuple[str, str]]:
    """Its code blocks without their comments, which are words of their language."""
    return [(language, "\n".join(re.sub(r"(^|\s+)#.*$", "", line) for line in text.splitlines()))
            for language, text in page.blocks]


def rows(page: Page) -> list[str]:
    """The first cell of each row of a table that is code only, and so the same in every language."""
    return re.findall(r"^\| (`[^|]*`) \|", page.prose, re.MULTILINE)


@pytest.mark.parametrize("language", OTHERS)
def test_each_language_has_every_page(language: str) -> None:
    missing = ENGLISH.keys() - pages(language).keys()
    assert not missing, f"translate {', '.join(sorted(missing))} into docs/{language}"
    more = pages(language).keys() - ENGLISH.keys()
    assert not more, f"docs/{language} has pages that English lacks: {', '.join(sorted(more))}"


@pytest.mark.parametrize(("english", "there"), BOTH, ids=str)
def test_each_page_has_the_same_sections(english: Page, there: Page) -> None:
    assert [level for level, _ in there.headings] == [level for level, _ in english.headings], (
        f"{there} needs the sections of {english}: {', '.join(text for _, text in english.headings)}")


@pytest.mark.parametrize(("english", "there"), BOTH, ids=str)
def test_each_page_has_the_same_commands(english: Page, there: Page) -> None:
    for ours, theirs in zip(commands(english), commands(there), strict=False):
        assert theirs == ours, f"{there}: copy this block from {english} (comments may be translated)"
    assert len(there.blocks) == len(english.blocks), f"{there} needs the {len(english.blocks)} code blocks of {english}"


@pytest.mark.parametrize(("english", "there"), BOTH, ids=str)
def test_each_page_has_the_same_rows_in_its_tables(english: Page, there: Page) -> None:
    assert rows(there) == rows(english), f"{there} needs the rows of the tables of {english}, in the same order"


@pytest.mark.parametrize("page", pages("ru").values(), ids=str)
def test_nothing_is_left_in_english(page: Page) -> None:
    text = re.sub(r"`[^`]*`|«[^»]*»|\]\([^)]*\)", "", page.prose)
    for paragraph in re.split(r"\n\n|\n(?=[-|]|\d+\.)", text):
        latin, cyrillic = len(re.findall(r"[A-Za-z]", paragraph)), len(re.findall(r"[А-Яа-яё]", paragraph))
        assert latin < 60 or cyrillic > latin / 2, f"{page}: translate this into Russian: {paragraph.strip()}"
