"""What browsers and scanners meet on port 443, by the name that they ask for."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from app import create_app
from app.control.records import UserView
from tests.support import edge_lab, lab443
from tests.support.lab443 import BASE, PANEL, Stage, troubles
from tests.support.stream import passes
from tests.web.desk import CHROMIUM, CHROMIUM_ARGUMENTS

NOBODY = f"nobody.{BASE}"
REQUEST = "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def own(house: Stage) -> Iterator[Stage]:
    """Two users with names under a domain of the operator's, and certificates for everything."""
    house.fleet.set_settings({"sni_mode": "own", "sni_base_domain": BASE, "panel_domain": PANEL})
    users = [house.fleet.add_user(name) for name in ("Alice", "Bob")]
    house.certify(PANEL, name="panel")
    house.certify(BASE, *(user.domain for user in users))
    yield house
    house.reset()


@pytest.fixture
def panel(own: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The panel of this fleet, where nginx looks for it."""
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "1")
    server = make_server(own.lab.gateway, own.panel_port, create_app(own.fleet), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def residents(stage: Stage) -> list[UserView]:
    return [stage.fleet.user(name) for name in ("Alice", "Bob")]


def names(stage: Stage) -> list[str]:
    return [BASE, *(user.domain for user in residents(stage))]


def s_client(stage: Stage, name: str, request: str = "") -> str:
    """What openssl prints of a connection with this SNI; it wants a valid chain for that name."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{stage.public}", "-servername", name,
         "-CAfile", str(stage.authority.file), "-verify_hostname", name, "-verify_return_error",
         *(("-quiet", "-ign_eof") if request else ())], input=request.encode(), capture_output=True, timeout=60)
    return (done.stdout + done.stderr).decode(errors="replace")


def test_openssl_meets_the_cover_site_with_a_valid_chain_under_every_users_name(own):
    title = re.search("<title>(.+?)</title>", own.lab.page(BASE)[1])[1]
    before = [own.counters(f"mtg-proxy-{user.port}").fronted for user in residents(own)]
    for name in names(own):
        shown = s_client(own, name)
        assert "Verification: OK" in shown and f"Verified peername: {name}" in shown, shown
        assert "CN = Authority of the tests" in shown
        answer = s_client(own, name, REQUEST.format("/", name))
        assert "HTTP/1.1 200 OK" in answer and f"<title>{title}</title>" in answer
    # It was each user's own proxy that sent them there, as it does with whoever has not its secret.
    after = [own.counters(f"mtg-proxy-{user.port}").fronted for user in residents(own)]
    assert after == [count + 2 for count in before]
    assert troubles(residents(own)) == []


def test_chromium_shows_the_cover_site_under_every_users_name_and_the_panel_under_its_own(own, panel):
    """The chain is checked by openssl, above: this Chromium knows the authority of the tests by their keys only."""
    store = own.fleet.port443.certificates.store.load()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[
            *(each for each in CHROMIUM_ARGUMENTS if "host-resolver" not in each),
            f"--host-resolver-rules=MAP *:443 127.0.0.1:{own.public}",
            "--ignore-certificate-errors-spki-list=" + ",".join(lab443.spki(c) for c in store.values())])
        page = browser.new_page()
        page.set_default_timeout(90_000)
        cover = own.lab.page(BASE)[1]
        for name in names(own):
            page.goto(f"https://{name}/")
            assert page.title() and f"<title>{page.title()}</title>" in cover
            assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        page.goto(f"https://{PANEL}/")
        assert page.locator("input[name=password]").count() == 1
        browser.close()


def test_a_name_that_nobody_has_gets_what_the_setting_says(own, panel):
    met = {}
    for choice in ("cover", "reject", "close", "panel"):
        own.fleet.set_settings({"unknown_sni": choice})
        met[choice] = {name: meets(own, name) for name in (NOBODY, "www.example.org", "")}
    own.fleet.set_settings({"unknown_sni": "cover"})
    for choice, by_name in met.items():
        assert set(by_name.values()) == {choice}, met


def meets(stage: Stage, name: str) -> str:
    """cover, panel, reject (a TLS alert) or close (not a byte)."""
    try:
        with stage.lab.connect(name) as stream:
            page = edge_lab.ask(stream, name or PANEL, "/login")
    except (ssl.SSLError, ConnectionError):
        answer = raw_answer(stage, name)
        assert answer == b"" or answer[0] == 0x15, answer
        return "reject" if answer else "close"
    assert page[0] in (200, 404)
    return "panel" if 'name="password"' in page[1] else "cover"


def raw_answer(stage: Stage, name: str) -> bytes:
    """What comes back after a ClientHello with this SNI."""
    with socket.create_connection(("127.0.0.1", stage.public), 30) as stream:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name or None) \
            if name else _nameless().wrap_bio(incoming, outgoing)
        with contextlib.suppress(ssl.SSLWantReadError):
            hello.do_handshake()
        stream.sendall(outgoing.read())
        with contextlib.suppress(ConnectionResetError):
            return stream.recv(65536)
    return b""


def _nameless() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def test_the_panel_has_its_name_and_sees_the_clients_own_address(own, panel):
    shown = s_client(own, PANEL)
    assert "Verification: OK" in shown and f"Verified peername: {PANEL}" in shown, shown
    guest = own.guest()
    assert guest.run(lambda: _wrong_login(own)) == 401
    told = [event for event in own.fleet.ledger.events.recent() if event.action == "login.failed"]
    assert told[0].detail == f"from {guest.ip}"


def _wrong_login(stage: Stage) -> int:
    """The status of a login with a wrong password."""
    context = ssl.create_default_context(cafile=str(stage.authority.file))
    with contextlib.closing(http.client.HTTPSConnection(PANEL, context=context, timeout=60)) as browser:
        browser._create_connection = lambda _, timeout, source: socket.create_connection((stage.lab.ip, 443), timeout)
        browser.request("GET", "/login")
        answer = browser.getresponse()
        cookie, page = answer.headers["Set-Cookie"].partition(";")[0], answer.read().decode()
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)[1]
        browser.request("POST", "/login", f"csrf_token={token}&username=admin&password=wrong", {
            "Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded",
            "Referer": f"https://{PANEL}/login"})
        return browser.getresponse().status


def test_the_name_of_a_disabled_or_removed_user_is_no_longer_known(own):
    carol, dave = own.fleet.add_user("Carol"), own.fleet.add_user("Dave")
    erin = own.fleet.add_user("Erin", domain="www.example.com")
    own.certify(*names(own), carol.domain, dave.domain)
    assert troubles((carol, dave, erin)) == []
    own.fleet.disable(carol.id)
    own.fleet.remove(dave.id)
    own.fleet.disable(erin.id)
    assert not any(passes(user.tg_link) for user in (carol, dave, erin))
    # Names of this server's own show the cover site all the same, with a valid chain: nobody sees who has gone.
    for name in (carol.domain, dave.domain):
        assert own.lab.page(name, trusted=own.authority.file)[0] == 200
    assert meets(own, erin.domain) == "cover"
    own.fleet.set_settings({"unknown_sni": "reject"})
    assert [meets(own, user.domain) for user in (carol, dave, erin)] == ["cover", "reject", "reject"]
    own.fleet.enable(carol.id)
    assert passes(carol.tg_link)
    own.fleet.set_settings({"unknown_sni": "cover"})
