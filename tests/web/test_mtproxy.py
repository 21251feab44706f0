"""Pages about users of MTProxy, whose change restarts others."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import create_app
from app.accounts.actor import CLI
from app.actions import first_run
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.engines.mtproxy.engine import MtproxyImage
from app.engines.mtproxy.telegram_files import Store
from tests.engines.test_mtproxy import CONF, SECRET
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.visitor import NAME, PASSWORD, Visitor

OTHERS = "MTProxy restarts: 2 other users reconnect."


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Alice, Bob and Carol in one container of MTProxy, and Dora with the built-in engine."""
    store = Store(tmp_path / "data/mtproxy")
    fleet = Fleet(tmp_path / "data", MemoryRuntime(), by_name(Builtin(), MtproxyImage(store)))
    store.keep(SECRET, CONF)
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example"})
    first_run.end(fleet, CLI)
    for name in ("Alice", "Bob", "Carol"):
        fleet.add_user(name, engine="mtproxy")
    fleet.add_user("Dora", engine="builtin")
    return fleet


@pytest.fixture
def admin(fleet: Fleet) -> Visitor:
    visitor = Visitor(create_app(fleet).test_client())
    visitor.login()
    return visitor


def test_a_new_link_and_a_deletion_say_how_many_others_reconnect(fleet: Fleet, admin: Visitor) -> None:
    for question in ("rotate", "remove"):
        assert OTHERS in admin.get(f"/users/{fleet.user('Bob').id}/{question}").text
        assert "reconnect" not in admin.get(f"/users/{fleet.user('Dora').id}/{question}").text
    assert admin.get(f"/users/{fleet.user('Bob').id}").text.count(OTHERS) == 2


def test_disabling_a_user_asks_first_and_is_done_once_it_is_confirmed(fleet: Fleet, admin: Visitor) -> None:
    bob, dora = fleet.user("Bob"), fleet.user("Dora")
    assert OTHERS in admin.post(f"/users/{bob.id}/disable").text
    assert fleet.user("Bob").enabled
    admin.post(f"/users/{bob.id}/disable", {"sure": "yes"})
    assert not fleet.user("Bob").enabled
    assert OTHERS in admin.post(f"/users/{bob.id}/enable").text
    admin.post(f"/users/{bob.id}/enable", {"sure": "yes"})
    assert fleet.user("Bob").enabled
    admin.post(f"/users/{dora.id}/disable")
    assert not fleet.user("Dora").enabled, "nobody else is concerned"


def test_a_new_user_is_added_once_the_restart_is_confirmed_with_what_was_typed(fleet: Fleet, admin: Visitor) -> None:
    typed = {"name": 'O\'Brien <b>"&\\', "engine": "mtproxy", "note": "x", "tags": "a, b"}
    asked = admin.post("/users/new", typed).text
    assert "MTProxy restarts: 3 other users reconnect." in asked and "<b>" not in asked
    assert "O&#39;Brien &lt;b&gt;&#34;&amp;\\" in asked and len(fleet.users()) == 4
    admin.post("/users/new", {**typed, "sure": "yes"})
    assert fleet.user(typed["name"]).secret.startswith("dd")
    admin.post("/users/new", {"name": "Emil", "engine": "builtin"})
    admin.post("/users/new", {"name": "Fritz", "engine": "mtproxy", "domain": "www.example.com"})
    assert {"Emil", "Fritz"} <= {user.name for user in fleet.users()}, "a container of its own disconnects nobody"


def test_the_user_page_says_that_mtproxy_does_not_tell_its_users_apart(fleet: Fleet, admin: Visitor) -> None:
    said = "MTProxy does not tell its users apart"
    assert said in admin.get(f"/users/{fleet.user('Bob').id}").text
    assert said not in admin.get(f"/users/{fleet.user('Dora').id}").text
    assert "does not tell its users apart" in admin.get("/").text


def test_a_change_of_its_settings_says_how_many_reconnect_and_does_not_guess_who_is_connected(fleet: Fleet,
                                                                                             admin: Visitor) -> None:
    asked = admin.post("/settings/engines", {"mtproxy_workers": "3", "shown": '{"mtproxy_workers": "1"}'}).text
    assert "The proxies of 3 users restart once." in asked and "Nobody of them is connected" not in asked
    assert fleet.settings()["mtproxy_workers"] == 1
