"""docs/screenshots/pages has a picture of every page, in each language that it has."""

from __future__ import annotations

from pathlib import Path

from tests.web.contact_sheets import SHEETS, index, names, shown
from tests.web.screenshots import full_fleet


def test_every_page_of_the_url_map_has_its_picture(tmp_path: Path) -> None:
    """`python -m tests.web.contact_sheets` makes them anew."""
    pages = shown(full_fleet(tmp_path))
    assert len(pages) > 40
    assert {file.name for file in SHEETS.glob("*.webp")} == {name for page in pages for name in names(page)}
    assert (SHEETS / "README.md").read_text() == index(pages)
