"""Makes the pictures of every page: `python -m tests.web.contact_sheets` writes docs/screenshots/pages.

A sheet for each page and language holds four views: a desk (1440 pixels wide) and a phone (390), light and dark, each
from the top of the page, and smaller than they were. README.md beside them leads to all.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from app import create_app
from tests.support.fleet import Fleet
from tests.web.desk import CHROMIUM, CHROMIUM_ARGUMENTS, open_desk
from tests.web.every_page import Shown, by_get, further, open_page
from tests.web.screenshots import LANGUAGES, PICTURES, THEMES, full_fleet, served
from tests.web.visitor import Visitor

SHEETS = PICTURES / "pages"
#: Beside those that the URL map leads to.
ALSO = ("login", "share", "share-blocked", "not-found", "users-new-refused", "users-bulk-done", "users-tested")
#: The page of a user has more languages than the panel.
OF_FRIENDS = (*LANGUAGES, "fa")
#: Width of the window, and of its view on the sheet, and how much of the page's height is seen, pixels.
VIEWS = ((1440, 640, 2000), (390, 260, 1800))
GAP = 12


def shown(fleet: Fleet) -> list[Shown]:
    """The pages that have a sheet."""
    panel = create_app(fleet)
    admin = Visitor(panel.test_client())
    admin.login()
    return by_get(panel, fleet, admin) + [page for page in further(fleet) if page.name in ALSO]


def names(page: Shown) -> list[str]:
    """Its files, one a language."""
    languages = OF_FRIENDS if page.path.startswith("/s/") else LANGUAGES
    return [f"{page.name}-{language}.webp" for language in languages]


def views(browser: Browser, site: str, pages: list[Shown], width: int, height: int) -> Iterator[
        tuple[str, str, Image.Image]]:
    """(file, theme, picture) of each page at this width."""
    inside, desk = open_desk(browser, site, width)
    outside, stranger = open_desk(browser, site, width)
    desk.login()
    for page in pages:
        who = stranger if page.stranger else desk
        for theme in THEMES:
            who.page.emulate_media(color_scheme=theme)
            for file in names(page):
                language = file.removesuffix(".webp").rpartition("-")[2]
                who.page.context.add_cookies([{"name": "theme", "value": theme, "url": site},
                                              {"name": "language", "value": language, "url": site}])
                path = f"{page.path}?lang={language}" if page.path.startswith("/s/") else page.path
                open_page(who.page, site, Shown(page.name, path, page.fields))
                who.page.wait_for_load_state("networkidle")
                whole = who.page.evaluate("() => document.documentElement.scrollHeight")
                who.page.set_viewport_size({"width": width, "height": min(height, max(844, whole))})
                yield file, theme, Image.open(io.BytesIO(who.page.screenshot())).convert("RGB")
                who.page.set_viewport_size({"width": width, "height": 844})
    inside.close()
    outside.close()


def sheet(parts: list[Image.Image]) -> Image.Image:
    """The views beside each other."""
    made = Image.new("RGB", (sum(part.width for part in parts) + GAP * (len(parts) + 1),
                             max(part.height for part in parts) + 2 * GAP), (128, 128, 128))
    at = GAP
    for part in parts:
        made.paste(part, (at, GAP))
        at += part.width + GAP
    return made


def index(pages: list[Shown]) -> str:
    """README.md."""
    lines = ["# Every page of the panel", "",
             "Light and dark, at 1440 and 390 pixels. `python -m tests.web.contact_sheets` makes them.", "",
             "| page | |", "|---|---|"]
    for page in sorted(pages, key=lambda page: page.name):
        links = " ".join(f"[{name.removesuffix('.webp').rpartition('-')[2]}]({name})" for name in names(page))
        lines.append(f"| {page.name} | {links} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ["MTPROTO_VERSION"] = "v1.0.0"
    os.environ["MTPROTO_EDGE"] = "172.28.255.254"
    parts: dict[str, list[Image.Image]] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        fleet = full_fleet(Path(folder))
        pages = shown(fleet)
        with served(fleet) as site:
            for width, wanted, height in VIEWS:
                for file, _theme, picture in views(browser, site, pages, width, height):
                    smaller = picture.resize((wanted, picture.height * wanted // width), Image.Resampling.LANCZOS)
                    parts.setdefault(file, []).append(smaller)
        browser.close()
    SHEETS.mkdir(parents=True, exist_ok=True)
    for left in SHEETS.glob("*.webp"):
        left.unlink()
    for file, views_of_it in parts.items():
        sheet(views_of_it).save(SHEETS / file, quality=60, method=6)
    (SHEETS / "README.md").write_text(index(pages))


if __name__ == "__main__":
    main()
