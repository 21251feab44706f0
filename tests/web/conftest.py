"""The panel over a real fleet in a temporary data folder, a client that logs in, and a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, expect, sync_playwright
from werkzeug.serving import make_server

from app import create_app
from app.accounts.actor import CLI
from app.actions import first_run
from app.engines.builtin import Builtin
from tests.support import templates
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.desk import CHROMIUM, CHROMIUM_ARGUMENTS, Desk, open_desk
from tests.web.visitor import NAME, PASSWORD, Visitor

STYLESHEET = Path(__file__).parents[2] / "app/web/static/build/panel.css"
templates.share()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A fleet without users, with the admin `ada`, whose links point to proxy.example."""
    fleet = Fleet(tmp_path / "data", MemoryRuntime(), Builtin())
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example"})
    first_run.end(fleet, CLI)
    return fleet


@pytest.fixture
def panel(fleet: Fleet) -> Flask:
    app = create_app(fleet)
    # However busy this machine is, what is quick is told at once.
    app.extensions["all_proxies"].patience = 30
    return app


@pytest.fixture
def stranger(panel: Flask) -> Visitor:
    return Visitor(panel.test_client())


@pytest.fixture
def admin(panel: Flask) -> Visitor:
    visitor = Visitor(panel.test_client())
    assert visitor.login().status_code == 302
    return visitor


@pytest.fixture
def declaration(fleet: Fleet) -> Path:
    """The file that every change ends up in."""
    return fleet.data_dir / "config.json"


@pytest.fixture
def site(panel: Flask) -> Iterator[str]:
    """The panel on a real socket. panel.test is this machine for our Chromium, over plain http: no secure
    context, so no navigator.clipboard, like most panels right after their installation."""
    panel.extensions["system"].set_settings({"panel_hosts": "panel.test"})
    server = make_server("127.0.0.1", 0, panel, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://panel.test:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


# Not for the session: as long as it is there, its event loop keeps every other test from asyncio.run().
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    assert STYLESHEET.exists(), "build the stylesheet first: cd app/web/frontend && npm ci && npm run build"
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS,
                                             timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture
def desk(chromium: Browser, site: str) -> Iterator[Desk]:
    """A window with script, logged in. The test fails if anything in it complained."""
    context, desk = open_desk(chromium, site)
    desk.login()
    yield desk
    context.close()
    assert desk.complaints == []
