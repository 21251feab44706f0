"""A page that has its own name lead to this machine gets nothing from the panel."""

from __future__ import annotations

import pytest
from flask import Flask

from app import create_app
from tests.support.fleet import Fleet
from tests.web.html import text
from tests.web.routes import OPEN_TO_ALL, every_path
from tests.web.visitor import Visitor


def code(visitor: Visitor, host: str | None, path: str = "/login", **how: object) -> int:
    environ = {"HTTP_HOST": host} if host is not None else {}
    return visitor.client.get(path, environ_overrides=environ, **how).status_code


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST:8080", "localhost.", "panel.localhost:8080", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080",
    "[::1]", "192.168.1.7", "203.0.113.7:8080", "[2001:db8::7]:8080", "server", "server:8080", "app:8080",
    "proxy.example", "Proxy.Example:8080", "proxy.example.", "panel.example", "panel.lan", "",
])
def test_under_its_own_names_and_addresses_the_panel_answers(fleet: Fleet, stranger: Visitor, host: str) -> None:
    fleet.set_settings({"panel_domain": "panel.example", "panel_hosts": "panel.lan other.example"})
    assert code(stranger, host) == 200


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "x.proxy.example",
    "proxy.example.evil.example", "127.0.0.1.nip.io",
])
def test_under_another_name_no_page_answers_and_what_to_set_is_said(
        panel: Flask, fleet: Fleet, admin: Visitor, stranger: Visitor, host: str) -> None:
    fleet.add_user("Bob")
    for visitor in (admin, stranger):
        for path in set(every_path(panel, fleet)) - (OPEN_TO_ALL - {"/login"}):
            answer = visitor.client.get(path, environ_overrides={"HTTP_HOST": host})
            assert answer.status_code == 421 and "Bob" not in answer.get_data(as_text=True), path
    said = text(answer.get_data(as_text=True))
    assert host.partition(":")[0] in said and "add it to the setting panel_hosts" in said
    assert "other.example" not in said, "a name that is declared is not for strangers"


@pytest.mark.parametrize("host", ["a b", "[::1", "<b>", "evil.example/", "user@localhost", "localhost:80:80", "ä",
                                  "\x00"])
def test_what_is_no_host_is_a_bad_request(stranger: Visitor, host: str) -> None:
    assert code(stranger, host) == 400
    assert code(stranger, host, "/healthz") == 400


def test_a_health_check_may_use_any_name(stranger: Visitor) -> None:
    assert code(stranger, "balancer.example", "/healthz") == 200


def test_by_https_the_certificate_decides(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "127.0.0.1")
    visitor = Visitor(create_app(fleet).test_client())
    assert code(visitor, "any.example", headers={"X-Forwarded-Proto": "https"}) == 200
    assert code(visitor, "any.example", headers={"X-Forwarded-Proto": "http"}) == 421
