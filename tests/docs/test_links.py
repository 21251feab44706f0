"""Every link of the documentation leads somewhere, and every command in it can be typed as it stands."""

from __future__ import annotations

import pytest

from tests.support.documents import LANGUAGES, ROOT, Page, pages

EVERY_PAGE = [page for language in LANGUAGES for page in pages(language).values()]
EVERY_PAGE.append(Page(ROOT / "docs/architecture.md"))


@pytest.mark.parametrize("page", EVERY_PAGE, ids=str)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Page) -> None:
    for link in page.links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists() and target.is_relative_to(ROOT), f"{page}: {link}: there is no such file"
        if anchor:
            known = Page(target).anchors
            assert anchor in known, f"{page}: {link}: there is no such heading; there are {', '.join(sorted(known))}"
