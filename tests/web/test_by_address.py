"""The panel by HTTPS at the bare address: a real nginx, the real panel behind it, and a real browser."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from app import create_app
from app.accounts.actor import CLI
from app.actions import first_run
from app.checks.addresses import Addresses
from app.cli.instance import listen
from app.cli.server import Server
from app.config.model import Config
from app.edge.nginx.edge import Nginx
from app.engines.builtin import Builtin
from app.lib import portmap
from app.runtimes.docker.service import Service
from tests.support import edge_lab
from tests.support.cover import free_port
from tests.support.docker_lab import unhurried
from tests.support.edge_lab import Lab
from tests.support.fleet import Fleet
from tests.support.memory_certbot import MemoryCertbot
from tests.support.memory_runtime import MemoryRuntime
from tests.web.desk import open_desk
from tests.web.visitor import NAME, PASSWORD

pytestmark = pytest.mark.timeout(300)


@dataclass
class Installation:
    """The panel with its nginx. fleet: who knows it at this machine's loopback address."""

    fleet: Fleet
    lab: Lab

    @property
    def url(self) -> str:
        return self.fleet.status().edge.by_address.url

    @property
    def path(self) -> str:
        return "/" + self.url.split("/", 3)[3]

    def ask(self, path: str, more: str = "") -> tuple[int, str]:
        """(status, whole answer) by HTTPS at the bare address; no name is told, as browsers tell none."""
        with self.lab.connect("", portmap.DOOR) as stream:
            return edge_lab.ask(stream, f"127.0.0.1:{self.lab.ports[portmap.DOOR]}", path, head=True, more=more)

    def shown(self) -> str:
        """The SHA-256 of the certificate that is shown there."""
        with self.lab.connect("", portmap.DOOR) as stream:
            return hashlib.sha256(stream.getpeercert(binary_form=True)).digest().hex(":").upper()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder, port, patch = tmp_path_factory.mktemp("door"), free_port(), pytest.MonkeyPatch()
    with edge_lab.lab(folder / "data/nginx", panel_port=port) as lab, listen(lab.gateway, port) as listener:
        patch.setenv("MTPROTO_TRUSTED_PROXIES", lab.ip)
        fleet = Fleet(folder / "data", MemoryRuntime(), Builtin(), lab.nginx, MemoryCertbot(time.time, 160 / 24),
                      Addresses(lambda *_: []), door_port=lab.ports[portmap.DOOR])
        fleet.create_admin(NAME, PASSWORD, sudo=True)
        fleet.set_settings({"server_ip": "127.0.0.1", "panel_by_address": "true"})
        first_run.end(fleet, CLI)
        server = Server(create_app(fleet), listener)
        thread = threading.Thread(target=server.run)
        thread.start()
        yield Installation(fleet, lab)
        server.task_dispatcher.shutdown()
        server.asyncore.close_all(server._map)
        thread.join()
        patch.undo()


def test_the_fingerprint_that_is_told_is_that_of_the_certificate_that_is_shown(installed: Installation) -> None:
    told = installed.fleet.status().edge.by_address
    assert told.self_signed and told.fingerprint == installed.shown()
    assert "127.0.0.1, an address that only this network knows" in told.reason


def test_somebody_logs_in_with_a_browser_and_the_cookie_is_for_that_path_and_https_only(
        installed: Installation, chromium: Browser) -> None:
    site = installed.url.rstrip("/")
    context, desk = open_desk(chromium, site, ignore_https_errors=True)
    try:
        desk.login()
        cookies = [cookie for cookie in context.cookies() if cookie["name"] not in ("theme",)]
        assert cookies and {(cookie["path"], cookie["secure"]) for cookie in cookies} == {
            (installed.path.rstrip("/"), True)}
        desk.go("/settings/panel")
        assert desk.page.get_by_text(installed.shown()).is_visible()
        assert desk.page.get_by_text(site).first.is_visible()
        with desk.next_page():
            desk.page.get_by_role("button", name="Log out").click()
        assert desk.page.url == f"{site}/login"
    finally:
        context.close()
    assert desk.complaints == []


@pytest.mark.parametrize("path", ["/", "/login", "/settings", "/healthz", "/static/build/panel.css", "/{path}x/",
                                  "/x{path}/", "/{PATH}/", "//login", "/{path}/../login", "/{path}/%2e%2e/login"])
def test_whoever_does_not_know_the_path_meets_the_cover_site(installed: Installation, path: str) -> None:
    secret = installed.path.strip("/")
    asked = path.replace("{path}", secret).replace("{PATH}", secret.swapcase())
    status, answer = installed.ask(asked)
    panels = installed.ask(installed.path + "login")[1]
    assert status in (200, 404) and "Log in" in panels and "Log in" not in answer and "Set-Cookie" not in answer
    assert secret not in answer


def test_the_path_without_its_slash_leads_to_the_panel(installed: Installation) -> None:
    status, answer = installed.ask(installed.path.rstrip("/"))
    assert status == 301 and f"Location: {installed.path}\r\n" in answer


def test_a_browser_is_not_told_to_insist_on_https_there_and_is_told_the_rest(installed: Installation) -> None:
    answer = installed.ask(installed.path + "login")[1]
    assert "Strict-Transport-Security" not in answer
    for line in ("X-Frame-Options: DENY", "Cross-Origin-Opener-Policy: same-origin", "Referrer-Policy: "):
        assert answer.count(line) == 1


def test_plain_http_to_that_port_leads_to_https_and_shows_nothing(installed: Installation) -> None:
    with socket.create_connection(installed.lab.address(portmap.DOOR), 30) as stream:
        status, answer = edge_lab.ask(stream, "203.0.113.7:9443", installed.path + "login", head=True)
    assert status == 301 and f"Location: https://203.0.113.7:9443{installed.path}login\r\n" in answer
    assert "Log in" not in answer


def test_what_a_visitor_claims_of_a_path_or_an_address_is_not_believed(installed: Installation) -> None:
    answer = installed.ask(installed.path, "X-Forwarded-Prefix: /evil\r\nX-Forwarded-For: 198.51.100.1\r\n"
                                           "X-Forwarded-Host: evil.example\r\n")[1]
    assert f"Location: {installed.path}login" in answer and "evil" not in answer


def test_443_is_as_it_was_and_shows_the_panel_to_nobody(installed: Installation) -> None:
    for name in ("", "anything.example"):
        with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
            installed.lab.connect(name)


def test_a_certificate_of_an_authority_takes_the_own_ones_place_by_itself(installed: Installation) -> None:
    own = installed.shown()
    installed.fleet.set_settings({"acme_directory": "https://ca.lan/directory"})
    try:
        assert [each.ok for each in installed.fleet.renew_certificates()] == [True]
        told = installed.fleet.status().edge.by_address
        assert not told.self_signed and not told.reason and told.fingerprint == installed.shown() != own
    finally:
        installed.fleet.set_settings({"acme_directory": ""})


def test_another_path_is_another_door_and_the_old_one_is_shut(installed: Installation) -> None:
    before = installed.path
    installed.fleet.set_settings({"panel_path": ""})
    assert installed.path != before and len(installed.path) == 24
    assert "Log in" in installed.ask(installed.path + "login")[1]
    assert "Log in" not in installed.ask(before + "login")[1]


def test_switched_off_nothing_answers_on_that_port(installed: Installation) -> None:
    installed.fleet.set_settings({"panel_by_address": "false"})
    assert installed.fleet.status().edge.by_address is None
    with pytest.raises(OSError):
        installed.ask("/")
    installed.fleet.set_settings({"panel_by_address": "true"})
    assert "Log in" in installed.ask(installed.path + "login")[1]


def test_a_panel_that_is_away_is_said_in_words_to_whoever_knows_the_path(installed: Installation) -> None:
    lab, config = installed.lab, installed.fleet.config()
    service = Service("nginx", lab.network)
    unhurried(service._engine)
    site = installed.fleet.port443.site(config, {}, installed.fleet.reconciler.now())
    Nginx(lab.folder, service, lab.ip, panel=f"{lab.gateway}:9").apply(site)
    status, answer = installed.ask(installed.path)
    assert status == 502 and "does not answer now" in answer
    assert "does not answer" not in installed.ask("/")[1]
    lab.nginx.apply(site)


def test_it_needs_nginx_a_port_and_an_address(tmp_path: Path) -> None:
    def refused(fleet: Fleet, **more: str) -> str:
        with pytest.raises(Exception, match=".") as refusal:
            fleet.set_settings({"panel_by_address": "true", **more})
        assert fleet.config().panel_path == "" and not fleet.config().panel_by_address
        return str(refusal.value)

    from tests.support.memory_edge import MemoryEdge

    assert "docker-compose.yml" in refused(Fleet(tmp_path / "a", MemoryRuntime(), Builtin()), server_ip="203.0.113.7")
    assert "PANEL_HTTPS_PORT" in refused(Fleet(tmp_path / "b", MemoryRuntime(), Builtin(), MemoryEdge()),
                                         server_ip="203.0.113.7")
    reached = Fleet(tmp_path / "c", MemoryRuntime(), Builtin(), MemoryEdge(), door_port=9443)
    assert "address that people reach" in refused(reached)
    reached.set_settings({"panel_by_address": "true", "server_ip": "2001:db8::7"})
    assert reached.status().edge.by_address.url == f"https://[2001:db8::7]:9443/{reached.config().panel_path}/"


def test_a_path_in_the_file_that_is_none_is_refused_with_what_is_allowed() -> None:
    from app.config import model

    assert model.load({"panel_path": " /abcdefghijklmnop/ "}).panel_path == "abcdefghijklmnop"
    for value in ("short", "a" * 65, "abcdefgh/ijklmnop", "abcdefghijklmno}", "абвгдежзиклмнопр"):
        with pytest.raises(model.InvalidConfig, match="16 to 64"):
            model.load({"panel_path": value})
    assert "abcdefghijklmnop" not in repr(Config(panel_path="abcdefghijklmnop"))
