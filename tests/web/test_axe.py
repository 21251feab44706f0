"""Every page can be used by whoever can't see it well: axe-core finds nothing on any of them, in no state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from app import create_app
from tests.support.fleet import Fleet
from tests.web.every_page import Shown, by_get, further, open_page, silent_runtime, unreadable
from tests.web.screenshots import TROUBLED, empty_fleet, fleet_on_443, full_fleet, served
from tests.web.visitor import Visitor

pytestmark = pytest.mark.slow

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
#: Language, theme and width: every pair of these is there. Each page of a panel in use is looked at in two that have
#: nothing in common, the next page in the other two; of other panels in one.
VIEWS = (("en", "light", 1280), ("ru", "dark", 390), ("en", "dark", 390), ("ru", "light", 1280))
FOUND = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.flatMap(
    rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 200)} (${node.failureSummary.slice(0, 200)})`))"""


@pytest.fixture
def windows(chromium: Browser) -> Iterator[tuple[Page, Page]]:
    """One of the admin's, and one of a stranger's."""
    contexts: list[BrowserContext] = [chromium.new_context(bypass_csp=True) for _ in range(2)]
    for context in contexts:
        context.set_default_timeout(120_000)
        context.add_init_script(AXE)
    yield tuple(context.new_page() for context in contexts)
    for context in contexts:
        context.close()


def faults(window: Page, site: str, shown: Shown, language: str, theme: str, width: int) -> list[str]:
    """What axe-core finds on this page, and whether it is wider than the window."""
    window.context.add_cookies([{"name": "language", "value": language, "url": site}])
    path = f"{shown.path}?lang={language}" if shown.path.startswith("/s/") else shown.path
    window.emulate_media(color_scheme=theme, reduced_motion="reduce")
    window.set_viewport_size({"width": width, "height": 844})
    open_page(window, site, Shown(shown.name, path, shown.fields))
    found = [f"{shown.name} {language} {theme} {width}: {fault}" for fault in window.evaluate(FOUND)]
    if (wide := window.evaluate("document.documentElement.scrollWidth")) > width:
        found.append(f"{shown.name} {language} {width}: is {wide} wide")
    return found


def log_in(window: Page, site: str, panel: object) -> Visitor:
    """The same session in the browser and beside it."""
    visitor = Visitor(panel.test_client())
    visitor.login()
    window.goto(f"{site}/login")
    window.get_by_label("Name").fill("ada")
    window.get_by_label("Password").fill("correct horse battery")
    with window.expect_navigation():
        window.get_by_role("button", name="Log in").click()
    return visitor


def views(which: str, number: int) -> tuple[tuple[str, str, int], ...]:
    """Those of VIEWS for the page of this number."""
    if which != "full":
        return (VIEWS[number % 4],)
    return VIEWS[:2] if number % 2 else VIEWS[2:]


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("which", ["full", "443", "empty", "silent", "unreadable"])
def test_axe_finds_nothing_on_any_page(windows: tuple[Page, Page], tmp_path: Path, which: str) -> None:
    make = {"443": fleet_on_443, "empty": empty_fleet}.get(which, full_fleet)
    fleet: Fleet = make(tmp_path / "data")
    panel = create_app(fleet)
    trouble = {"silent": silent_runtime, "unreadable": unreadable}.get(which, nullcontext)
    with served(fleet) as site:
        visitor = log_in(windows[0], site, panel)
        pages = by_get(panel, fleet, visitor) + (further(fleet) if which == "full" else [])
        if trouble is not nullcontext:
            pages = [page for page in pages if page.name in TROUBLED]
        with trouble(fleet):
            found = [fault for number, page in enumerate(pages) for view in views(which, number)
                     for fault in faults(windows[page.stranger], site, page, *view)]
    assert len(pages) >= 5 and found == [], "\n".join(found)
