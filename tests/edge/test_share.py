"""Users' own pages under a name of their own: a real nginx before the real panel, alone and behind a real Traefik."""

from __future__ import annotations

import copy
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app import create_app
from app.actions import share
from app.checks.addresses import Addresses
from app.cli.instance import listen
from app.cli.server import Server
from app.edge.base import Edge
from app.engines.builtin import Builtin
from app.lib import portmap
from tests.support import edge_lab, traefik_lab
from tests.support.cover import free_port
from tests.support.edge_lab import Lab
from tests.support.fleet import Fleet, named
from tests.support.memory_certbot import MemoryCertbot
from tests.support.memory_runtime import MemoryRuntime
from tests.web.visitor import NAME, PASSWORD

pytestmark = pytest.mark.timeout(300)

ADA, SHARE, PANEL = named("admin:ada"), "share.example.org", "panel.example.org"


@dataclass
class Installation:
    """The panel with its nginx, which knows Anna's page and Boris', and has certificates for its names."""

    fleet: Fleet
    lab: Lab
    pages: dict[str, str]

    def ask(self, path: str, method: str = "GET", name: str = SHARE, host: str = "", more: str = "",
            port: int = 443) -> tuple[int, str]:
        """(status, whole answer without its date) by HTTPS."""
        with self.lab.connect(name, port) as stream:
            status, answer = edge_lab.ask(stream, host or name or f"127.0.0.1:{self.lab.ports[port]}", path, head=True,
                                          method=method, more=more)
        return status, re.sub(r"\r\nDate: [^\r]*", "", answer)


@contextmanager
def nginx_alone(folder: Path, port: int) -> Iterator[tuple[Lab, Edge, str, str]]:
    with edge_lab.lab(folder / "data/nginx", panel_port=port) as lab:
        yield lab, lab.nginx, lab.gateway, lab.ip


@contextmanager
def behind_traefik(folder: Path, port: int) -> Iterator[tuple[Lab, Edge, str, str]]:
    with traefik_lab.lab(folder / "data", panel_port=port) as lab:
        yield lab.nginx, lab.edge, f"{lab.nginx.front}.1", f"{lab.nginx.front}.254"


@pytest.fixture(scope="module", params=[nginx_alone, behind_traefik])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder, port, patch = tmp_path_factory.mktemp("share"), free_port(), pytest.MonkeyPatch()
    with request.param(folder, port) as (lab, edge, panel, nginx), listen(panel, port) as listener:
        patch.setenv("MTPROTO_TRUSTED_PROXIES", nginx)
        fleet = Fleet(folder / "data", MemoryRuntime(), Builtin(), edge, MemoryCertbot(time.time),
                      Addresses(lambda *_: [(2, 1, 6, "", ("127.0.0.1", 0))]), door_port=lab.ports[portmap.DOOR])
        fleet.create_admin(NAME, PASSWORD, sudo=True)
        fleet.set_settings({"server_ip": "127.0.0.1"})
        fleet.set_settings({"panel_domain": PANEL, "share_hostname": SHARE, "sni_mode": "own",
                            "sni_base_domain": "example.org", "panel_by_address": "true"})
        for user in ("Anna", "Boris"):
            fleet.add_user(user)
        pages = {user: share.make_page(fleet, ADA, user).path for user in ("Anna", "Boris")}
        assert all(outcome.ok for outcome in fleet.renew_certificates())
        server = Server(create_app(fleet), listener)
        thread = threading.Thread(target=server.run)
        thread.start()
        yield Installation(fleet, lab, pages)
        server.task_dispatcher.shutdown()
        server.asyncore.close_all(server._map)
        thread.join()
        patch.undo()


def test_each_page_is_there_under_the_name_of_the_pages_and_shows_its_own_link(installed: Installation) -> None:
    for user, path in installed.pages.items():
        status, answer = installed.ask(path)
        link = installed.fleet.user(user).tg_link.replace("&", "&amp;")
        assert status == 200 and link in answer and "Set-Cookie" not in answer
        assert "Referrer-Policy: no-referrer" in answer and "X-Frame-Options: DENY" in answer
        assert f"https://{SHARE}{path}" == share.make_page(installed.fleet, ADA, user).url
    assert 'lang="fa" dir="rtl"' in installed.ask(installed.pages["Anna"] + "?lang=fa")[1]


#: What is no page: of another shape, one letter different, in other case, beside the page, and paths of the panel.
OTHERS = ["/s/AAAAAAAAAAAAAAAAAAAAAA", "/s/x", "/s/", "/s", "{page}x", "{page}/", "{page}/x", "{other}", "{PAGE}",
          "/s{page}", "/s/AAAAAAAAAAA%2FAAAAAAAAAA", "/s/%D0%B6", "/login", "/static/panel.js", "/healthz", "/users",
          "/%00",
          "{page}/../../login", "{page}%2f..%2f..%2flogin", "/edge/share", "/s/" + "a" * 4000]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"])
def test_whatever_is_no_page_is_answered_by_the_cover_site_and_the_panel_never_hears_of_it(
        installed: Installation, method: str) -> None:
    page = installed.pages["Anna"]
    other = page[:-1] + ("A" if page[-1] != "A" else "Q")
    plain = installed.ask("/nothing-here", method, more="Content-Length: 0\r\n")
    for path in OTHERS:
        path = path.replace("{page}", page).replace("{other}", other).replace("{PAGE}", "/s/" + page[3:].swapcase())
        status, answer = installed.ask(path, method, more="Content-Length: 0\r\n")
        if path != "/%00":  # which nginx itself refuses, wherever it is asked for
            assert (status, answer) == plain, path
        assert "Log in" not in answer and "panel" not in answer.lower()


def test_what_nginx_puts_right_in_an_address_leads_to_the_page_as_it_is_written(installed: Installation) -> None:
    page = installed.pages["Anna"]
    assert {installed.ask(path)[0] for path in ("//s" + page[2:], "/s/../s" + page[2:], "/%73" + page[2:])} == {200}


def test_no_host_leads_from_that_name_to_the_panel_and_no_claim_is_believed(installed: Installation) -> None:
    for host in (PANEL, "127.0.0.1", "localhost", "app"):
        for path in ("/login", "/", installed.pages["Anna"]):
            assert "Log in" not in installed.ask(path, host=host)[1]
    claims = "X-Panel-Door: local\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-Host: evil.example\r\nCookie: a=b\r\n"
    status, answer = installed.ask(installed.pages["Anna"], more=claims)
    assert status == 200 and "evil" not in answer


def test_a_page_that_got_another_address_is_gone_as_soon_as_it_is_said(installed: Installation) -> None:
    before = installed.pages["Boris"]
    installed.pages["Boris"] = share.renew_page(installed.fleet, ADA, "Boris").path
    assert installed.ask(before) == installed.ask("/nothing-here")
    assert installed.ask(installed.pages["Boris"])[0] == 200


def test_a_new_link_is_made_through_nginx(installed: Installation) -> None:
    before = installed.fleet.user("Boris").tg_link
    installed.fleet.set_settings({"share_renew": "true"})
    post = "Content-Length: 0\r\nOrigin: null\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    status, answer = installed.ask(installed.pages["Boris"] + "?lang=ru", "POST", more=post)
    assert status == 303 and f"Location: {installed.pages['Boris']}?renewed=1&lang=ru" in answer
    assert installed.fleet.user("Boris").tg_link != before


def test_their_addresses_are_in_no_log_and_the_panels_own_name_shows_them_too(installed: Installation) -> None:
    page = installed.pages["Anna"]
    assert installed.ask(page, name=PANEL)[0] == 200
    wrong = installed.ask("/s/" + "A" * 22, name=PANEL)
    assert wrong == installed.ask("/t/" + "A" * 22, name=PANEL) and wrong[0] == 404
    log = installed.lab.log()
    assert page not in log and '"GET /s/" 200' in log


def test_at_the_bare_address_they_are_beside_the_secret_path(installed: Installation) -> None:
    page, door = installed.pages["Anna"], {"name": "", "port": portmap.DOOR}
    status, answer = installed.ask(page, **door)
    assert status == 200 and installed.fleet.config().panel_path not in answer
    assert installed.ask("/s/" + "A" * 22, **door) == installed.ask("/nothing-here", **door)
    assert "Log in" not in installed.ask("/login", **door)[1]


def test_plain_http_leads_to_https(installed: Installation) -> None:
    status, answer = installed.lab.plain(SHARE, installed.pages["Anna"])
    assert status == 301 and f"https://{SHARE}{installed.pages['Anna']}" in answer


def test_a_thousand_pages_and_two_that_differ_in_case_are_served(installed: Installation) -> None:
    with installed.fleet.file.edit() as config:
        for number in range(1000):
            user = config.users[0].model_copy(update={
                "id": f"a{number:07}", "name": f"User {number}", "port": 10000 + number,
                "share_token": f"{number:022}"})
            config.users.append(user)
        config.users[2].share_token = "aAaAaAaAaAaAaAaAaAaAaA"
        config.users[3].share_token = "AaAaAaAaAaAaAaAaAaAaAa"
    installed.fleet.reconcile()
    try:
        assert {installed.ask(f"/s/{number:022}")[0] for number in (2, 500, 999)} == {200}
        assert sorted(installed.ask(f"/s/{token}")[0] for token in ("aA" * 11, "Aa" * 11)) == [200, 404]
    finally:
        with installed.fleet.file.edit() as config:
            del config.users[2:]
        installed.fleet.reconcile()


def test_a_panel_that_is_away_is_said_in_words_to_whoever_has_a_page(installed: Installation) -> None:
    lab, fleet = installed.lab, installed.fleet
    site = fleet.port443.site(fleet.config(), {}, fleet.reconciler.now())
    elsewhere = copy.copy(lab.nginx)
    elsewhere._panel = f"{lab.front or lab.prefix}.1:9"
    elsewhere.apply(site)
    status, answer = installed.ask(installed.pages["Anna"])
    assert status == 502 and "does not answer now" in answer
    assert installed.ask("/s/" + "A" * 22) == installed.ask("/nothing-here")
    lab.nginx.apply(site)


@pytest.mark.parametrize("cover", [{"cover_site": "folder"}, {"cover_site": "proxy", "cover_url": "https://no.invalid"},
                                   {"unknown_sni": "close"}], ids=str)
def test_with_every_kind_of_cover_site_a_page_is_served_and_what_is_none_is_the_cover_sites(
        installed: Installation, cover: dict[str, str]) -> None:
    lab, fleet = installed.lab, installed.fleet
    site = fleet.port443.site(fleet.config(), {}, fleet.reconciler.now())
    lab.nginx.apply(replace(site, **cover))
    try:
        for name, port in ((SHARE, 443), ("", portmap.DOOR)):
            assert installed.ask(installed.pages["Anna"], name=name, port=port)[0] == 200
            assert (installed.ask("/s/" + "A" * 22, name=name, port=port)
                    == installed.ask("/nothing-here", name=name, port=port))
    finally:
        lab.nginx.apply(site)
