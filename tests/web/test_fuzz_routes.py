"""Odd input to whatever route and field there is, and will be: they are found in the URL map, the pages and the code."""

from __future__ import annotations

import itertools
import json
import logging
import re
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from flask import Flask

from app.config.model import load
from app.control.listing import Query
from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.routes import paths
from tests.web.visitor import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WEB = Path(__file__).parents[2] / "app/web"
#: What people, programs and keyboards have really sent to panels.
VALUES = (
    "", " ", "\x00", "a\x00b", "9" * 400, "-1", "-0", "0", "1e300", "1e-300", "NaN", "Infinity", "٣", "３", "1,5", "1 000", "½", "0x10",
    "1_0", "+1", str(10**22), "none", "None", "null", "true", "on", "[]", "{}", "[1]", '{"a": 1}', "‮evil", "a‍b", "\ufeffx", "علی‌رضا",
    "🧑‍🚀" * 200, "🇺🇦" * 40, "e\u0301" * 60, "\u0301" * 300, "0001-01-01", "9999-12-31", "10000-01-01", "2027-03-28T02:30", "2027-02-29",
    "31.12.2027", "2027-W01-1", "2027-12-31T24:00", "2027-06-30T23:59:60", "<b>'\"&", "%s%n{0}{{7*7}}", "../../etc/passwd", "a/b", "a\\b",
    "\r\nX: y", "=cmd|' /C calc'!A0", "x" * 20_000, "a\tb", "a\nb", "'; DROP TABLE events; --", "xn--a", "http://[evil", "\ud83d\ude00",
)
ODD_IDS = ("%00", "a%2Fb", "..", ".", "%2e%2e%2f", "٣", "1e9", "-1", "a" * 400, "%F0%9F%98%80" * 20, "%27%20OR%201%3D1", "%ED%A0%80", "NaN", "%0A",
           "[]", "null", "%E2%80%AE", "~", "*", "%25")


def encoded(value: str) -> str:
    return quote_from_bytes(value.encode("utf-8", "surrogatepass"))


def asked_for(kind: str) -> set[str]:
    """The fields that the code reads by name. kind: "form" or "args"."""
    code = "\n".join(file.read_text() for file in WEB.rglob("*.py"))
    return set(re.findall(rf'request\.{kind}(?:\.get|\.getlist)?[\[(]"([a-z_]+)"', code)) | set(
        re.findall(rf'"([a-z_]+)" (?:not )?in request\.{kind}', code))


def fields_of(admin: Visitor, panel: Flask, fleet: Fleet) -> dict[str, set[str]]:
    """address -> the names of the fields that some page sends there."""
    found: dict[str, set[str]] = {}
    for path in paths(panel, fleet, "GET"):
        answer = admin.get(path)
        if answer.mimetype != "text/html":
            continue
        elements, action = read(answer.get_data(as_text=True)), path
        forms = {e.attributes["id"]: e.attributes.get("action") or path for e in elements
                 if e.tag == "form" and "id" in e.attributes}
        for element in elements:
            if element.tag == "form":
                action = element.attributes.get("action") or path
            target = forms.get(element.attributes.get("form", ""), action)
            if to := element.attributes.get("formaction"):
                found.setdefault(to, set()).update(found.get(target, ()))
            if name := element.attributes.get("name"):
                found.setdefault(target, set()).add(name)
    return found


@pytest.fixture(autouse=True)
def people(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether names lead here, and whether an engine answers, is asked of the network, and is another matter.
    monkeypatch.setattr("app.actions.settings.check_domains", lambda *_: [])
    monkeypatch.setattr("app.config.passwords.hash_password", lambda password: "scrypt:1:1:1$x$" + "0" * 128)
    fleet.add_user("Bob", note="kept")
    fleet.add_plan("Family")


def fine(answer: object, caplog: pytest.LogCaptureFixture, *about: object) -> None:
    """No fault of the panel's, and whoever is refused is told why."""
    page = answer.get_data(as_text=True) if answer.mimetype.startswith("text/") else ""
    assert answer.status_code < 500 or answer.status_code == 503, (about, text(page)[:500])
    assert not [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR], about
    if answer.status_code == 422 and "<html" in page:
        told = [e.text.strip() for e in read(page) if e.attributes.get("role") == "alert"
                or {"text-bad", "notice-error", "field-error"} & set(e.attributes.get("class", "").split())]
        assert any(told), (about, "nothing tells what was wrong")
    caplog.clear()


def test_every_route_takes_any_value_in_any_of_its_fields(
        panel: Flask, fleet: Fleet, admin: Visitor, caplog: pytest.LogCaptureFixture, declaration: Path) -> None:
    sent = fields_of(admin, panel, fleet)
    read_by_code = asked_for("form")
    assert len(read_by_code) > 10 and sum(bool(names) for names in sent.values()) > 15
    token = admin.token("/users/new")
    for number, path in enumerate(paths(panel, fleet, "POST")):
        if path == "/logout":
            continue
        names = sorted((sent.get(path, set()) | (read_by_code if path not in sent else set())) - {"csrf_token"})
        alone = itertools.cycle(names or [""])
        for at, value in list(enumerate(VALUES))[number % 2::2]:
            bob = fleet.users()[0].id if fleet.users() else fleet.restore(fleet.deleted()[0].id)[0].id
            # All of them at once, twice, one alone, or one as a list.
            chosen = names if at // 2 % 2 else [next(alone)]
            body = "&".join(f"{name}{'[]' if at % 13 == 7 else ''}={encoded(value)}" for name in chosen * (1 + (at % 5 == 4)))
            answer = admin.client.post(re.sub(r"(?<=/users/)[0-9a-f]{8}(?=/)", bob, path), data=f"csrf_token={token}&{body}",
                                       content_type="application/x-www-form-urlencoded")
            fine(answer, caplog, path, chosen, value[:60])
            if (answer.location or "").startswith("/login"):
                admin.login()
                token = admin.token("/users/new")
    load(json.loads(declaration.read_text()))
    assert bob in {user.id for user in fleet.users()} | {user.id for user in fleet.deleted()}, "nobody is lost"


def test_every_page_takes_any_value_in_its_address(
        panel: Flask, fleet: Fleet, admin: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    names = asked_for("args") | {"q" if field.name == "text" else field.name for field in fields(Query)} | {
        "kind", "actor", "subject", "user"}
    assert len(names) > 12
    for number, path in enumerate(paths(panel, fleet, "GET")):
        for at, value in list(enumerate(VALUES))[number % 3::3]:
            value = value[:3000]
            query = "&".join(f"{name}={encoded(value)}" for name in sorted(names))
            fine(admin.get(f"{path}?{query}" + (f"&{query}" if at % 5 == 4 else "")), caplog, path, value[:60])
        fine(admin.get(f"{path}?{'&'.join(f'x{n}=1' for n in range(3000))}"), caplog, path)


def test_every_id_in_an_address_may_be_anything(
        panel: Flask, fleet: Fleet, admin: Visitor, stranger: Visitor, caplog: pytest.LogCaptureFixture,
        declaration: Path) -> None:
    before, token = declaration.read_bytes(), admin.token("/users/new")
    for rule in panel.url_map.iter_rules():
        if not rule.arguments or rule.endpoint == "static":
            continue
        for odd in ODD_IDS:
            path = re.sub(r"<[^>]+>", odd, rule.rule)
            for who in (admin, stranger):
                fine(who.get(path), caplog, path)
            if "POST" in rule.methods:
                fine(admin.client.post(path, data={"csrf_token": token}), caplog, path)
    assert declaration.read_bytes() == before


@pytest.mark.parametrize("kind", ["form", "args"])
def test_the_walk_knows_the_fields_that_the_code_reads(kind: str) -> None:
    assert {"form": {"what", "value", "id", "back"}, "args": {"tail", "user", "before"}}[kind] <= asked_for(kind)
