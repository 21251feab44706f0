"""What may stand in config.json takes no page down, and what is wrong with it is told on the dashboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from app.config.older import RESERVED_IDS
from app.engines.builtin import Builtin
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.html import text
from tests.web.visitor import NAME, PASSWORD, Visitor

SECRET = "ee" + "11" * 16 + b"localhost".hex()
END_OF_TIME, BEGINNING = "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """As an older panel left it: Anna's access never ends, Bob's ended long ago, both links are odd."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "server_ip": "my server", "fake_tls_domain": "", "users": [
            {"name": "Anna", "id": "new", "secret": SECRET, "expires_at": END_OF_TIME, "created_at": BEGINNING},
            {"name": "Bob", "secret": SECRET, "expires_at": BEGINNING, "created_at": END_OF_TIME}]}))
    fleet = Fleet(folder, MemoryRuntime(), Builtin())
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    return fleet


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Moskva"])
def test_every_page_is_shown_in_every_zone(fleet: Fleet, admin: Visitor, monkeypatch, zone: str):
    monkeypatch.setenv("TZ", zone)
    anna, bob = fleet.users()
    for path in ("/", "/users", "/users/list", "/settings/general", *(
            f"/users/{user.id}{page}" for user in (anna, bob) for page in ("", "/edit", "/state"))):
        assert admin.get(path).status_code == 200, path
    assert (anna.expires_at, bob.state) == (None, "expired")


def test_what_was_not_understood_is_on_the_dashboard_until_it_is_set(fleet: Fleet, admin: Visitor):
    assert "server_ip: 'my server' is not allowed" in text(admin.get("/").get_data(as_text=True))
    fleet.set_settings({"server_ip": "203.0.113.7"})
    assert "my server" not in text(admin.get("/").get_data(as_text=True))


def test_a_zone_that_is_none_is_on_the_dashboard(admin: Visitor, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Moskva")
    assert "'Europe/Moskva'" in text(admin.get("/").get_data(as_text=True))


def test_no_user_has_an_id_that_is_a_page(panel: Flask, fleet: Fleet):
    words = {rule.rule.split("/")[2] for rule in panel.url_map.iter_rules() if rule.rule.startswith("/users/")}
    assert {word for word in words if not word.startswith("<")} <= RESERVED_IDS
    assert not {user.id for user in fleet.users()} & RESERVED_IDS


def test_the_settings_page_says_when_every_link_is_another_one(fleet: Fleet, admin: Visitor):
    saved = admin.post("/settings/general", {"server_ip": "203.0.113.8"}, follow_redirects=True)
    assert "The links have changed: send them again." in text(saved.get_data(as_text=True))
    saved = admin.post("/settings/links", {"domain_grace_days": "8"}, follow_redirects=True)
    assert "The settings are saved." in text(saved.get_data(as_text=True))
    assert "links have changed" not in text(saved.get_data(as_text=True))
