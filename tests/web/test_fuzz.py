"""Nothing that can be sent to the panel is a fault of the panel: never a 500, whatever route, field and sender."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from flask import Flask

from app.config.model import load
from app.web.limit_forms import UserForm
from app.web.settings_form import SettingsForm
from tests.support.fleet import Fleet
from tests.web.html import text
from tests.web.routes import every_path, paths
from tests.web.visitor import NAME, PASSWORD, Visitor

pytestmark = pytest.mark.slow

DEEP = "[" * 100_000
#: What one field may hold, as bytes before percent-encoding.
VALUES = (
    b"", b" ", b"\x00", b"a\x00b", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "‮אב".encode(), "🧑‍🚀".encode() * 500,
    b"[" * 20_000, b'{"a":' * 5_000, b"9" * 5_000, b"1e999", b"-1", b"NaN", b"0x10", "٣".encode(), b"1_0", b"+1", b"1/0",
    b"0000-00-00", b"0001-01-01", b"9999-12-31", b"99999-01-01", b"2026-02-30T25:61", b"../../etc/passwd", b"%s%n{0}{{7*7}}",
    b"https://[evil", b"http://a:99999", b"-oProxyCommand=x", b"a" * 20_000, b"\r\nSet-Cookie: x=y", b"<b>'\"&",
    b"true", b"null", b"\\ud800", b'{"domain_pool": "\\ud800"}', b'{"domain_pool": ["x"], "server_ip": {"a": 1}}',
    b'{"shown": ' + b"9" * 5000 + b"}", b"xn--a", b"xn--" + b"9" * 60 + b".example", b"." * 300,
)
#: Whole bodies: (content type, bytes).
BODIES = (
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="{field}"; filename="a"\r\n\r\nb\r\n--x--\r\n'),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="{field}"; filename=""\r\n\r\n\r\n--x--\r\n'),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="{field}"\r\nContent-Type: text/plain; charset=utf-99\r\n\r\n\xff\r\n--x--'),
    ("multipart/form-data; boundary=x", b"--x\r\nno header\r\n\r\n"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 1100),
    ("multipart/form-data", b"--x\r\n\r\n"), ("multipart/mixed; boundary=", b"--"),
    ("multipart/form-data; boundary=" + "y" * 300, b"--y"),
    ("application/x-www-form-urlencoded", b"&".join(b"%b=%d" % (b"f", n) for n in range(6_000))),
    ("application/x-www-form-urlencoded", b"{field}=a&{field}=b&{field}=%00&%7Bfield%7D[]=1"),
    ("application/x-www-form-urlencoded", b"%zz=%&{field}=%f&=&&==&%ff=%ff&{field}"),
    ("application/x-www-form-urlencoded; charset=utf-7", b"{field}=+AAA-"),
    ("application/json", DEEP[:60_000].encode()), ("application/json", b'{"{field}": {"a": [1]}}'), ("application/json", b"[1]"),
    ("application/json", b"\xff"), ("application/json", b"9" * 5000), ("text/plain", b"{field}=a"), ("", b"{field}=a"),
    ("\u00e4; ;=", b"a"), ("application/x-www-form-urlencoded", b"x" * 70_000), ("application/octet-stream", b"\x00" * 1000),
)
QUERIES = ("%00", "%ff%fe", "%", "%zz", "a" * 5000, "%ED%A0%80", "9" * 5000, "-1", "..%2f..%2f", "//evil.example", "[[[[", "é", "\"'<b>")
COOKIES = ("=", ";;;", "a=\x80; b", "theme=" + "x" * 8000, "theme=\"<b>\"", "{session}=.eJx", "{session}=" + "A" * 20_000, "{session}=e30.a.b",
           "{session}=%00", "; ".join(f"c{n}=1" for n in range(1000)))
PATHS = ("/%00", "/%ff", "/%", "/users/%ED%A0%80", "/users/%2e%2e/edit", "//", "///evil.example", "/users//edit", "/\\evil", "/a" * 2000,
         "/static/../../etc/passwd", "/static/%2e%2e/app.py", "/static/%00", "/static/" + "a" * 5000, "/users/" + "[" * 3000, "/é", "/?" + "&" * 5000)


@pytest.fixture(autouse=True)
def bob(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> str:
    # Whether a domain answers is asked on the network, and is another matter.
    monkeypatch.setattr("app.actions.settings.check_domains", lambda *_: [])
    return fleet.add_user("Bob").id


def fine(answer: object, *about: object) -> None:
    assert answer.status_code < 500, (about, text(answer.get_data(as_text=True))[:500])


def test_any_value_in_any_field(panel: Flask, fleet: Fleet, admin: Visitor, bob: str, declaration: Path) -> None:
    token, seen = admin.token(), set()
    for path, form in (("/users/new", UserForm), (f"/users/{bob}/edit", UserForm), ("/settings/links", SettingsForm)):
        names = [name for name in vars(form) if not name.startswith("_") and hasattr(vars(form)[name], "field_class")]
        assert len(names) > 5
        # Every value in all of them at once, and a share of the values in each alone.
        tried = [(names, value) for value in VALUES]
        tried += [([name], value) for at, name in enumerate(names) for value in VALUES[at % 6::6]]
        for fields, value in tried:
            body = f"csrf_token={token}" + "".join(f"&{name}={quote_from_bytes(value)}" for name in fields)
            if path == "/users/new" and fields != ["name"]:
                body = body.replace("&name=", "&was=") + "&name=%00"  # refused: no hundred users are made
            answer = admin.client.post(path, data=body, content_type="application/x-www-form-urlencoded")
            fine(answer, path, fields, value[:60])
            seen.add(answer.status_code)
    assert {302, 422} <= seen, "some went as far as the declaration"
    load(json.loads(declaration.read_text()))
    assert {user.name for user in fleet.users()} >= {fleet.user(bob).name}


def test_any_value_in_the_login_form(stranger: Visitor, monkeypatch: pytest.MonkeyPatch, fleet: Fleet) -> None:
    monkeypatch.setattr("app.actions.admins.check_login", lambda *_, **__: None)
    token = stranger.token()
    for name in ("username", "password", "csrf_token"):
        for value in VALUES:
            fields = {"csrf_token": token, "username": "x", "password": "y"}
            body = "&".join(f"{key}={quote_from_bytes(value if key == name else typed.encode())}" for key, typed in fields.items())
            fine(stranger.client.post("/login", data=body, content_type="application/x-www-form-urlencoded"), name, value[:60])


@pytest.mark.parametrize("who", ["admin", "stranger"])
def test_any_body_on_every_route(panel: Flask, fleet: Fleet, who: str, request: pytest.FixtureRequest,
                                 declaration: Path) -> None:
    visitor = request.getfixturevalue(who)
    headers = {"X-CSRFToken": visitor.token()}
    fields = {"/login": ("username", "password", "csrf_token"), "/settings/general": ("shown", "server_ip", "default", "sure")}
    for path in paths(panel, fleet, "POST"):
        if path == "/logout":
            continue
        for kind, body in BODIES:
            for field in fields.get(path, ("name",)):
                fine(visitor.client.post(path, data=body.replace(b"{field}", field.encode()), content_type=kind, headers=headers),
                     path, kind, body[:60], field)
    load(json.loads(declaration.read_text()))


@pytest.mark.parametrize("who", ["admin", "stranger"])
def test_any_query_cookie_and_path(panel: Flask, fleet: Fleet, who: str, request: pytest.FixtureRequest) -> None:
    visitor = request.getfixturevalue(who)
    for path in paths(panel, fleet, "GET"):
        for value in QUERIES:
            query = "&".join(f"{name}={value}" for name in ("q", "tail", "user", "next", "since", value))
            fine(visitor.client.get(path, environ_overrides={"QUERY_STRING": query.encode().decode("latin-1")}), path, value[:60])
    for path in PATHS:
        for method in ("GET", "POST", "HEAD"):
            fine(visitor.client.open(path, method=method), path[:60])
    for cookie in COOKIES:
        cookie = cookie.replace("{session}", panel.config["SESSION_COOKIE_NAME"])
        for path in every_path(panel, fleet):
            fine(panel.test_client(use_cookies=False).get(path, headers={"Cookie": cookie}), path, cookie[:60])


def test_what_is_too_large_says_so(admin: Visitor, declaration: Path) -> None:
    before = declaration.read_bytes()
    for path, size in (("/users/new", 100_000), ("/settings/links", 600_000)):
        answer = admin.post(path, {"name": "x" * size})
        assert answer.status_code == 413 and "kB" in text(answer.get_data(as_text=True)), path
    assert declaration.read_bytes() == before


def test_the_settings_form_with_a_deep_shown_is_a_form_without_one(admin: Visitor) -> None:
    began = time.monotonic()
    fine(admin.post("/settings/general", {"shown": DEEP, "server_domain": "proxy.example"}))
    assert time.monotonic() - began < 60


def test_a_file_in_the_login_form_is_no_name(stranger: Visitor) -> None:
    answer = stranger.client.post("/login", data={"csrf_token": stranger.token(), "username": (io.BytesIO(b"x"), NAME),
                                                  "password": PASSWORD}, content_type="multipart/form-data")
    assert answer.status_code == 422 and "Enter your admin name" in text(answer.get_data(as_text=True))
