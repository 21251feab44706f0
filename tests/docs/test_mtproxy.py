"""docs/mtproxy/developer_guide.md names a test for each id of the document that MTProxy goes by, and each is there."""

from __future__ import annotations

import re

import pytest

from tests.docs.test_languages import commands, rows
from tests.support.documents import ROOT, Page

GUIDE = (ROOT / "docs/mtproxy/developer_guide.md").read_text()
IDS = [f"{kind}-{number:03d}" for kind, count in (("UT", 6), ("IT", 6), ("E2E", 5), ("PERF", 5), ("SEC", 5))
       for number in range(1, count + 1)]
#: (file, function) of every test that the guide names.
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", GUIDE)))


def test_the_guide_for_users_says_the_same_in_both_languages_and_its_links_lead_somewhere() -> None:
    english, russian = Page(ROOT / "docs/mtproxy/user_guide.md"), Page(ROOT / "docs/ru/mtproxy/user_guide.md")
    assert [level for level, _ in english.headings] == [level for level, _ in russian.headings]
    assert (commands(english), rows(english)) == (commands(russian), rows(russian))
    assert english.prose.count("\n- **") == russian.prose.count("\n- **")
    for page in (english, russian):
        for link in page.links:
            assert "://" in link or (page.path.parent / link).exists(), f"{page}: {link}"


def test_each_id_of_the_document_has_the_name_of_a_test() -> None:
    told = dict(re.findall(r"^\| ((?:UT|IT|E2E|PERF|SEC)-\d+) \| (`tests/[^`]+`)", GUIDE, re.MULTILINE))
    assert sorted(told) == sorted(IDS)


@pytest.mark.parametrize(("file", "function"), NAMED)
def test_what_is_named_is_there(file: str, function: str) -> None:
    assert re.search(rf"^(async )?def {function}\(", (ROOT / file).read_text(), re.MULTILINE)
