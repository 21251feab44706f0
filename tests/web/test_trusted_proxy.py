"""Behind nginx the panel sees the client's own address; reached directly, nobody can choose theirs."""

from __future__ import annotations

import pytest

from app import create_app
from app.fleet import Fleet, Refused
from tests.web.visitor import Visitor

NGINX = {"REMOTE_ADDR": "172.28.0.3"}


@pytest.fixture
def behind_nginx(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "1")
    return Visitor(create_app(fleet).test_client())


def failures(visitor: Visitor, forwarded: str) -> None:
    for _ in range(5):
        answer = visitor.login(password="wrong", headers={"X-Forwarded-For": forwarded}, environ_base=NGINX)
        assert answer.status_code == 401


def code(visitor: Visitor, forwarded: str) -> int:
    return visitor.login(headers={"X-Forwarded-For": forwarded}, environ_base=NGINX).status_code


def test_behind_nginx_each_client_is_counted_alone(behind_nginx: Visitor) -> None:
    failures(behind_nginx, "198.51.100.7")
    assert code(behind_nginx, "198.51.100.7") == 429
    assert code(behind_nginx, "203.0.113.9") == 302


def test_behind_nginx_only_the_entry_that_nginx_wrote_is_believed(behind_nginx: Visitor) -> None:
    failures(behind_nginx, "198.51.100.7")
    assert code(behind_nginx, "203.0.113.9, 198.51.100.7") == 429


def test_without_a_proxy_the_header_is_not_believed(stranger: Visitor) -> None:
    failures(stranger, "198.51.100.7")
    assert code(stranger, "203.0.113.9") == 429


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_secure_when_nginx_was_asked_by_https(
        behind_nginx: Visitor, scheme: str, secure: bool) -> None:
    page = behind_nginx.get("/login", headers={"X-Forwarded-Proto": scheme}, environ_base=NGINX)
    assert ("; secure" in page.headers["Set-Cookie"].lower()) == secure


def test_the_host_in_a_header_is_never_believed(behind_nginx: Visitor) -> None:
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil",
               "X-Forwarded-For": "198.51.100.7"}
    answer = behind_nginx.get("/users", headers=headers, environ_base=NGINX)
    assert answer.location == "/login?next=/users"


@pytest.mark.parametrize("number", ["0", "", " "])
def test_zero_proxies_is_the_same_as_none(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", number)
    stranger = Visitor(create_app(fleet).test_client())
    failures(stranger, "198.51.100.7")
    assert code(stranger, "203.0.113.9") == 429


@pytest.mark.parametrize("number", ["2", "-1", "yes", "*"])
def test_another_number_of_proxies_is_refused(
        fleet: Fleet, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", number)
    with pytest.raises(Refused, match="allowed are 0 .* and 1"):
        create_app(fleet)
