"""A real browser window at the panel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page

from tests.web.visitor import NAME, PASSWORD

#: The machine's own, which does not mind that other tests change the network.
CHROMIUM = Path(__file__).parents[1] / "support/chromium"

#: Nothing leaves this machine, whatever a page or Chromium itself would like to fetch.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--host-resolver-rules=MAP * 127.0.0.1"]


@dataclass
class Desk:
    """A browser window at the panel, and what went wrong in it."""

    page: Page
    site: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.site + path)

    def login(self) -> None:
        self.go("/login")
        self.page.get_by_label("Name").fill(NAME)
        self.page.get_by_label("Password").fill(PASSWORD)
        with self.next_page():
            self.page.get_by_role("button", name="Log in").click()
        if "/setup/" in self.page.url:  # where the first run of this panel is not over
            self.go("/")
        self.page.get_by_role("heading", name="Running").wait_for()

    @contextmanager
    def next_page(self) -> Iterator[None]:
        """What is done in this block leads to another page; goes on when its script has run.

        Until then a click on what the script is for does what it does without script.
        """
        with self.page.expect_navigation():
            yield

    @contextmanager
    def refusal(self) -> Iterator[None]:
        """What is done in this block is refused with a 422, which Chromium notes as an error of its own."""
        with self.page.expect_console_message(lambda message: "422" in message.text), self.next_page():
            yield
        assert [c for c in self.complaints if "422" not in c] == []
        self.complaints.clear()


#: What htmx notes of a refresh that did not come to its end, as somebody has gone to another page.
ENDED = ("htmx:afterRequest", "htmx:sendError", "htmx:sendAbort", "htmx:timeout")
#: What a browser notes of a feature that is denied or allowed by name, and that it does not have itself.
UNKNOWN = ("Error with Permissions-Policy header: Unrecognized feature",)


def open_desk(browser: Browser, site: str, width: int = 1280, theme: str = "dark",
              **options: object) -> tuple[BrowserContext, Desk]:
    """A window of this width; it notes errors, CSP violations, and requests to any other host."""
    context = browser.new_context(viewport={"width": width, "height": 844}, **options)
    context.set_default_timeout(60_000)
    context.add_cookies([{"name": "theme", "value": theme, "url": site}])
    desk = Desk(context.new_page(), site)
    desk.page.on("console", lambda message: desk.complaints.append(message.text)
                 if message.type in ("error", "warning") and not message.text.startswith(ENDED + UNKNOWN) else None)
    desk.page.on("pageerror", lambda error: desk.complaints.append(str(error)))
    desk.page.on("request", lambda r: None if r.url.startswith(site + "/")
                 else desk.complaints.append(f"request to {r.url}"))
    return context, desk
