"""Behind nginx the panel sees the client's own address; reached directly, nobody can choose theirs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from flask import Flask, request
from werkzeug.test import TestResponse

from app import create_app
from app.control.errors import Refused
from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.routes import LOADING_ATTRIBUTES, paths
from tests.web.visitor import NAME, PASSWORD, Visitor

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
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "198.51.100.7"}
    answer = behind_nginx.get("/users", headers=headers, environ_base=NGINX)
    assert answer.location == "/login?next=/users"


@pytest.mark.parametrize("number", ["0", "", " "])
def test_zero_proxies_is_the_same_as_none(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", number)
    stranger = Visitor(create_app(fleet).test_client())
    failures(stranger, "198.51.100.7")
    assert code(stranger, "203.0.113.9") == 429


@pytest.mark.parametrize("written", ["2", "-1", "yes", "*", "nginx", "127.0.0.1 1", "10.0.0.0/33", "::1/129"])
def test_what_names_no_address_is_refused(
        fleet: Fleet, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", written)
    with pytest.raises(Refused, match="allowed are 0 .*, 1 .*, and the addresses or networks"):
        create_app(fleet)


@pytest.mark.parametrize(("written", "peer", "believed"), [
    ("172.28.0.3", "172.28.0.3", True),
    ("172.28.0.3", "172.28.0.4", False),
    ("127.0.0.1, 172.28.0.0/16", "172.28.0.4", True),
    ("127.0.0.1\t::1", "::1", True),
    ("172.28.0.3/16", "172.28.9.9", True),
    ("[::1]", "::1", True),
    ("127.0.0.1", "::ffff:127.0.0.1", True),       # a socket for both families says it so
    ("127.0.0.1", "fe80::1%eth0", False),
    ("127.0.0.1", "", False),                      # a Unix socket
])
def test_only_the_proxies_in_the_list_are_believed(
        fleet: Fleet, monkeypatch: pytest.MonkeyPatch, written: str, peer: str, believed: bool) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", written)
    assert seen(create_app(fleet), {"X-Forwarded-For": "198.51.100.7"}, peer) == (
        "198.51.100.7" if believed else peer.removeprefix("::ffff:"))


@pytest.mark.parametrize(("header", "address"), [
    ("198.51.100.7", "198.51.100.7"),
    (" 198.51.100.7 ", "198.51.100.7"),
    ("198.51.100.7:5678", "198.51.100.7"),
    ("[2001:db8::1]:443", "2001:db8::1"),
    ("2001:DB8:0::1", "2001:db8::1"),
    ("::ffff:198.51.100.7", "198.51.100.7"),
    ("<b>not-an-ip</b>", "172.28.0.3"),
    ("198.51.100.7, <b>not-an-ip</b>", "172.28.0.3"),
    ("unknown", "172.28.0.3"),
    ("198.51.100.7,", "172.28.0.3"),
    ("", "172.28.0.3"),
    ("198.51.100.256", "172.28.0.3"),
    ("1" * 10000, "172.28.0.3"),
])
def test_only_an_ip_address_is_taken_for_one(
        fleet: Fleet, monkeypatch: pytest.MonkeyPatch, header: str, address: str) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "1")
    assert seen(create_app(fleet), {"X-Forwarded-For": header}, "172.28.0.3") == address


def seen(panel: Flask, headers: dict[str, str], peer: str) -> str:
    """The address that the panel takes a request to come from."""
    found = []
    panel.before_request(lambda: found.append(request.remote_addr))
    panel.test_client().get("/healthz", headers=headers, environ_base={"REMOTE_ADDR": peer})
    return found[0]


def test_somebodys_own_proxy_that_is_not_believed_is_noticed_and_told_what_to_set(
        panel: Flask, admin: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    assert "reverse proxy" not in text(admin.get("/").get_data(as_text=True))
    for _ in range(3):
        admin.get("/", headers={"X-Forwarded-For": "198.51.100.7"}, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    page = text(admin.get("/").get_data(as_text=True))
    assert "A reverse proxy at 127.0.0.1" in page and "MTPROTO_TRUSTED_PROXIES=127.0.0.1" in page
    assert "MTPROTO_TRUSTED_PROXIES=127.0.0.1" in admin.get("/status").get_data(as_text=True)
    assert len([r for r in caplog.records if "MTPROTO_TRUSTED_PROXIES" in r.getMessage()]) == 1


def test_a_stranger_on_the_internet_can_not_bring_that_notice_about(admin: Visitor) -> None:
    admin.client.get("/login", headers={"X-Forwarded-For": "198.51.100.7"}, environ_base={"REMOTE_ADDR": "9.9.9.9"})
    assert "reverse proxy" not in text(admin.get("/").get_data(as_text=True))


def test_a_proxy_that_is_believed_is_no_news(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "127.0.0.1")
    visitor = Visitor(create_app(fleet).test_client())
    visitor.login(headers={"X-Forwarded-For": "198.51.100.7"})
    assert "reverse proxy" not in text(visitor.get("/").get_data(as_text=True))


@pytest.mark.parametrize("prefix", ["/panel", "/tools/panel/", "/a.b/c_d~e-f"])
def test_under_a_sub_path_every_address_begins_with_it(
        fleet: Fleet, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "127.0.0.1")
    fleet.add_user("Bob")
    panel = create_app(fleet)
    client = panel.test_client(use_cookies=False)
    base, headers = prefix.rstrip("/"), {"X-Forwarded-Prefix": prefix}
    answer = client.get("/users?q=Bob", headers=headers)
    assert answer.location == f"{base}/login?next={base}/users?q%3DBob"
    page = client.get("/login", headers=headers)
    assert f"Path={base};" in page.headers["Set-Cookie"] + ";"
    # The client of the test sends the cookie back under the path that the proxy has.
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    token = page.get_data(as_text=True).split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    fields = {"csrf_token": token, "username": NAME, "password": PASSWORD}
    for wanted, leads in ((f"{base}/users?q=Bob", f"{base}/users?q=Bob"), ("/users", f"{base}/"),
                          ("//evil.example", f"{base}/"), (f"{base}evil", f"{base}/")):
        answer = client.post("/login", data=fields, headers={**headers, "Cookie": cookie},
                             query_string={"next": wanted})
        assert (answer.status_code, answer.location) == (302, leads), wanted
    # Beside the cookie by which the browser is known again.
    assert all(f"Path={base};" in cookie + ";" for cookie in answer.headers.getlist("Set-Cookie"))
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("s")).partition(";")[0]
    logged_in, followed = {**headers, "Cookie": cookie}, 0

    def leads_out(method: str, path: str, answer: TestResponse) -> list[tuple[str, str, str]]:
        found = [(path, "Location", answer.location)] if answer.location and not answer.location.startswith(
            f"{base}/") else []
        if answer.mimetype == "text/html":
            for element in read(answer.get_data(as_text=True)):
                # What begins with "/" is an address, whatever its attribute is called.
                found += [(f"{method} {path}", name, value) for name, value in element.attributes.items()
                          if (name in LOADING_ATTRIBUTES or value.startswith("/"))
                          and value != base and not value.startswith((f"{base}/", "#", "data:", "otpauth:"))]
        return found

    for path in paths(panel, fleet, "GET"):
        answer = client.get(path, headers=logged_in)
        assert leads_out("GET", path, answer) == []
        followed += answer.status_code == 302
        # Whoever is logged out comes back to where they were.
        out = client.get(path, headers=headers)
        assert leads_out("out", path, out) == [], path
    page = client.get("/account", headers=logged_in)
    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page.get_data(as_text=True))[1]
    logged_in["Cookie"] = page.headers["Set-Cookie"].partition(";")[0]  # it holds what the token is made of
    for path in sorted(set(paths(panel, fleet, "POST")) - {"/logout", "/account/password"}, key=lambda each: (
            "setup" in each or "remove" in each, each)):
        answer = client.post(path, headers=logged_in, data={"csrf_token": token, "name": "x", "sure": "yes"})
        assert leads_out("POST", path, answer) == []
        followed += answer.status_code == 302
    assert followed > 20
    manifest = client.get("/manifest.webmanifest", headers=logged_in).get_json(force=True)
    assert all(each.startswith(f"{base}/") for each in (
        manifest["id"], manifest["start_url"], manifest["scope"], *(icon["src"] for icon in manifest["icons"])))
    servers = client.get("/api/v1/openapi.json", headers=logged_in).json["servers"]
    assert [urlsplit(each["url"]).path for each in servers] == [f"{base}/api/v1"]


@pytest.mark.parametrize("prefix", ["//evil.example", "/../x", "/a b", "evil", "/", "/a//b", "/<b>", "/%2e", "/\u00e4"])
def test_what_is_no_sub_path_is_none(
        fleet: Fleet, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "1")
    headers = {"X-Forwarded-Prefix": prefix}
    assert create_app(fleet).test_client().get("/users", headers=headers).location == "/login?next=/users"


def test_a_stranger_chooses_no_sub_path(stranger: Visitor) -> None:
    for name in ("X-Forwarded-Prefix", "X-Script-Name", "Script-Name", "X-Forwarded-Path"):
        assert stranger.get("/users", headers={name: "/evil"}).location == "/login?next=/users"
