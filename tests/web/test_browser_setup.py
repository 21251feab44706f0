"""The first run in a real browser, to a link that a real proxy process and the test DC have proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.engines.builtin import SPEED_FILE, Builtin
from app.runtimes.process.runtime import ProcessRuntime
from tests.support.cover import Cover
from tests.support.dc import DataCenter
from tests.support.fleet import Fleet
from tests.web.desk import Desk, open_desk

OWN = "my own long password"


@pytest.fixture
def fleet(tmp_path: Path, dc: DataCenter, cover: Cover, free_port: Callable[[], int]) -> Iterator[Fleet]:
    """A new installation with local processes, behind which the test DC is Telegram."""
    runtime = ProcessRuntime(tmp_path / "data", SPEED_FILE)
    runtime.start_timeout = runtime.stop_timeout = runtime.scrape_timeout = runtime.throttle_timeout = 60.0
    fleet = Fleet(tmp_path / "data", runtime, Builtin())
    fleet.set_settings({
        "proxy_bind": "127.0.0.1", "proxy_port": str(free_port()), "upstream_socks5": dc.socks5,
        "domain_pool": cover.host, "fake_tls_domain": cover.host, "domain_fronting_ip": cover.ip,
        "domain_fronting_port": str(cover.port)})
    yield fleet
    fleet.stop_everything()


def log_in(desk: Desk, password: str) -> Page:
    page = desk.page
    desk.go("/login")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(password)
    with desk.next_page():
        page.get_by_role("button", name="Log in").click()
    return page


def choose_password(page: Page, first: str) -> None:
    page.get_by_label("Your password until now").fill(first)
    page.get_by_label("New password", exact=True).fill(OWN)
    page.get_by_label("New password again").fill(OWN)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("heading", name="The address of this server")).to_be_visible()


def check_address(page: Page) -> None:
    page.get_by_label("Host name in links").fill("")
    page.get_by_label("IP address in links").fill("127.0.0.1")
    page.get_by_role("button", name="Save and check").click()
    expect(page.get_by_text("links lead to 127.0.0.1")).to_be_visible()
    page.get_by_role("link", name="Next: Ports").click()


def add_grandma(page: Page) -> None:
    page.get_by_role("button", name="Use this").click()
    page.get_by_label("Name").fill("Grandma")
    page.get_by_role("button", name="Add user").click()
    expect(page.get_by_role("heading", name="The link of Grandma")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_from_the_first_login_to_a_link_that_is_proven(
        chromium: Browser, site: str, fleet: Fleet, script: bool) -> None:
    context, desk = open_desk(chromium, site, java_script_enabled=script)
    first = fleet.file.read().initial_password
    page = log_in(desk, first)
    choose_password(page, first)
    # Left here, it goes on here.
    desk.go("/")
    page.get_by_role("link", name="Continue setting up").click()
    check_address(page)
    add_grandma(page)
    if not script:
        page.get_by_role("button", name="Test this link").click()
    expect(page.get_by_text("The link works, as seen from this server (127.0.0.1).")).to_be_visible()
    expect(page.locator(".step-ok")).to_have_count(5)
    expect(page.get_by_label("Web link")).to_have_value(fleet.user("Grandma").tme_link)
    expect(page.get_by_role("img", name="QR code with the app link of Grandma")).to_be_visible()
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", name="Grandma").first).to_be_visible()
    desk.go("/")
    expect(page.get_by_role("link", name="Continue setting up")).to_have_count(0)
    assert desk.complaints == []
    context.close()


def test_where_telegram_cannot_be_reached_that_step_is_named(
        chromium: Browser, site: str, fleet: Fleet, free_port: Callable[[], int]) -> None:
    fleet.set_settings({"server_ip": "127.0.0.1", "upstream_socks5": f"127.0.0.1:{free_port()}"})
    fleet.add_user("Grandma")
    context, desk = open_desk(chromium, site, width=390)
    page = log_in(desk, fleet.file.read().initial_password)
    page.get_by_role("button", name="Keep the first password").click()
    expect(page.get_by_role("heading", name="The link of Grandma")).to_be_visible()
    expect(page.locator(".step-failed")).to_contain_text("Telegram answers through it")
    expect(page.get_by_text("this server does not reach Telegram")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert desk.complaints == []
    context.close()
