"""The first run: from the first login to a link that has been proven, step by step, by whoever may change settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.config.file import ConfigFile
from app.control import first_run
from app.engines.builtin import Builtin
from app.runtimes.base import Runtime
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import fleet_behind_nginx
from tests.web.html import read, text
from tests.web.visitor import Visitor

OWN = "my own long password"


@pytest.fixture
def runtime() -> Runtime:
    return MemoryRuntime()


@pytest.fixture
def fleet(tmp_path: Path, runtime: Runtime) -> Fleet:
    """A new installation that nobody has logged in to."""
    return Fleet(tmp_path / "data", runtime, Builtin())


@pytest.fixture
def first(fleet: Fleet) -> str:
    """The password that the installer shows."""
    return fleet.file.read().initial_password


@pytest.fixture
def owner(panel: Flask, first: str) -> Visitor:
    """The first admin, just logged in with the password of the terminal."""
    visitor = Visitor(panel.test_client())
    assert visitor.login("admin", first).location == "/setup"
    return visitor


def where(visitor: Visitor) -> str:
    """The step that somebody who continues comes to."""
    return visitor.get("/setup").location


def told(visitor: Visitor, path: str) -> str:
    return text(visitor.get(path).get_data(as_text=True))


def typed(visitor: Visitor, path: str, **fields: str) -> dict[str, str]:
    """The form as the page shows it, with these fields typed."""
    page = read(visitor.get(path).get_data(as_text=True))
    shown = next((e.attributes["value"] for e in page if e.attributes.get("name") == "shown"), "")
    return {"shown": shown, **fields}


def test_it_leads_from_the_first_login_to_a_link(fleet: Fleet, owner: Visitor, first: str) -> None:
    assert where(owner) == "/setup/password"
    answer = owner.post("/setup/password", {"current": first, "password": OWN, "again": OWN})
    assert answer.location == "/setup/address"
    answer = owner.post("/setup/address", typed(owner, "/setup/address", server_ip="203.0.113.7"))
    assert "links lead to 203.0.113.7" in text(answer.get_data(as_text=True)).replace("Links", "links")
    assert where(owner) == "/setup/mode"
    assert owner.post("/setup/mode", typed(owner, "/setup/mode", port_443_mode="false")).location == "/setup/user"
    added = owner.post("/setup/user", {"name": "O'Brien <b>\"&\\"})
    user = fleet.users()[0]
    assert added.location == f"/setup/link?user={user.id}" and user.name == "O'Brien <b>\"&\\"
    page = owner.get(added.location).get_data(as_text=True)
    assert user.tme_link in [e.attributes.get("value") for e in read(page)] and f"/users/{user.id}/qr.svg" in page
    assert owner.post("/setup/end", {"user": user.id}).location == f"/users/{user.id}"
    assert fleet.config().first_run is False
    assert Visitor(owner.client.application.test_client()).login("admin", OWN).location == "/"


def test_it_is_left_and_gone_on_with_where_something_is_to_do(fleet: Fleet, owner: Visitor, first: str) -> None:
    fleet.set_settings({"server_ip": "203.0.113.7"})  # as install.sh does
    fleet.add_user("first")
    assert where(owner) == "/setup/password"
    owner.post("/setup/password", {"current": first, "password": OWN, "again": OWN})
    assert where(owner) == "/setup/link", "nothing is asked that the installer has asked"
    dashboard = told(owner, "/")
    assert "Continue setting up" in dashboard and "Skip it" in dashboard


def test_the_first_password_may_be_kept_by_somebody_who_knows_it(fleet: Fleet, owner: Visitor, first: str) -> None:
    assert "still use the first password" in told(owner, "/users")
    assert owner.post("/setup/password/keep").location == "/setup/address"
    assert "still use the first password" not in told(owner, "/users")
    assert "Keep the first password" not in told(owner, "/setup/password")
    assert Visitor(owner.client.application.test_client()).login("admin", first).status_code == 302
    owner.post("/setup/password/keep")
    assert [event.action for event in fleet.events()].count("admin.password_kept") == 1


def test_a_wrong_password_is_refused_beside_its_field_and_changes_nothing(owner: Visitor, first: str) -> None:
    answer = owner.post("/setup/password", {"current": "wrong", "password": OWN, "again": OWN})
    assert answer.status_code == 422 and where(owner) == "/setup/password"
    answer = owner.post("/setup/password", {"current": first, "password": OWN, "again": "another one, longer"})
    assert answer.status_code == 422 and "again-error" in answer.get_data(as_text=True)


def test_skipped_it_comes_back_to_nobody_and_can_still_be_opened(fleet: Fleet, owner: Visitor, first: str) -> None:
    assert owner.post("/setup/end").location == "/"
    assert "Continue setting up" not in told(owner, "/")
    assert Visitor(owner.client.application.test_client()).login("admin", first).location == "/"
    assert owner.get("/setup/address").status_code == 200
    assert owner.post("/setup/end").location == "/"


def test_an_older_installation_is_never_led_through_it(tmp_path: Path) -> None:
    folder = tmp_path / "older"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"users": []}))
    ConfigFile(folder).prepare()
    assert ConfigFile(folder).read().first_run is False


def test_only_who_may_change_settings_sees_it(fleet: Fleet, panel: Flask) -> None:
    fleet.create_admin("bob", OWN)
    bob = Visitor(panel.test_client())
    assert bob.login("bob", OWN).location == "/"
    assert "Continue setting up" not in told(bob, "/")
    for path in ("/setup", "/setup/password", "/setup/address", "/setup/mode", "/setup/user", "/setup/link"):
        assert bob.get(path).status_code == 403, path
    assert bob.post("/setup/end").status_code == 403 and fleet.config().first_run


def test_another_owner_is_not_asked_for_the_password_of_the_first(fleet: Fleet, panel: Flask) -> None:
    fleet.create_admin("eve", OWN, sudo=True)
    eve = Visitor(panel.test_client())
    assert eve.login("eve", OWN).location == "/setup" and where(eve) == "/setup/address"


def test_two_owners_at_once_add_one_first_user_and_overwrite_no_address(fleet: Fleet, panel: Flask) -> None:
    fleet.create_admin("ada", OWN, sudo=True)
    fleet.create_admin("eve", OWN, sudo=True)
    ada, eve = Visitor(panel.test_client()), Visitor(panel.test_client())
    ada.login("ada", OWN), eve.login("eve", OWN)
    early = typed(eve, "/setup/address", server_ip="203.0.113.8")
    ada.post("/setup/address", typed(ada, "/setup/address", server_ip="203.0.113.7"))
    answer = eve.post("/setup/address", early)
    assert answer.status_code == 422 and "203.0.113.7" in text(answer.get_data(as_text=True))
    assert fleet.config().server_ip == "203.0.113.7"
    ada.post("/setup/user", {"name": "Grandma"})
    answer = eve.post("/setup/user", {"name": "Oma"})
    assert answer.location == f"/setup/link?user={fleet.user('Grandma').id}"
    assert [user.name for user in fleet.users()] == ["Grandma"]
    ada.post("/setup/end"), eve.post("/setup/end")
    assert not fleet.config().first_run


@pytest.mark.parametrize("field, value", [("server_domain", "not a name"), ("server_ip", "999.1.1.1"),
                                          ("helper_url", "ftp://x"), ("server_domain", "x" * 5000)])
def test_an_odd_address_is_refused_beside_its_field(fleet: Fleet, owner: Visitor, field: str, value: str) -> None:
    answer = owner.post("/setup/address", typed(owner, "/setup/address", **{field: value}))
    assert answer.status_code == 422 and f"{field}-error" in answer.get_data(as_text=True)
    assert fleet.config().server_domain == fleet.config().server_ip == ""


@pytest.mark.parametrize("came_by, field, offered", [
    ("192.0.2.44:8080", "server_ip", "192.0.2.44"), ("[2001:db8::7]", "server_ip", "2001:db8::7"),
    ("127.0.0.1:8080", "server_ip", ""), ("[::1]", "server_ip", ""), ("localhost", "server_domain", ""),
    ("panel.localhost", "server_domain", "")])
def test_an_address_that_the_browser_came_by_is_offered(
        fleet: Fleet, panel: Flask, first: str, came_by: str, field: str, offered: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_run, "own_address", lambda: "10.0.0.5")
    site = f"http://{came_by}"
    client = panel.test_client()
    token = {e.attributes.get("name"): e.attributes.get("value")
             for e in read(client.get("/login", base_url=site).get_data(as_text=True))}["csrf_token"]
    client.post("/login", base_url=site, data={"csrf_token": token, "username": "admin", "password": first})
    page = read(client.get("/setup/address", base_url=site).get_data(as_text=True))
    inputs = {e.attributes.get("name"): e.attributes.get("value") for e in page if e.tag == "input"}
    assert inputs[field] == offered
    assert fleet.config().server_ip == ""


def test_an_address_of_a_private_network_is_told(owner: Visitor) -> None:
    answer = owner.post("/setup/address", typed(owner, "/setup/address", server_ip="192.168.1.5"))
    assert "private network" in text(answer.get_data(as_text=True))


def test_the_helper_elsewhere_says_which_address_it_sees(owner: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.checks import outside
    monkeypatch.setattr(outside, "look", lambda url, ports: outside.Outside("203.0.113.9", frozenset()))
    answer = owner.post("/setup/address", typed(owner, "/setup/address", server_ip="203.0.113.7",
                                                helper_url="http://198.51.100.7:8099"))
    assert "from outside, this server is 203.0.113.9" in text(answer.get_data(as_text=True)).replace("From", "from")


def test_where_there_is_no_nginx_port_443_is_explained_and_not_offered(owner: Visitor, fleet: Fleet) -> None:
    page = owner.get("/setup/mode").get_data(as_text=True)
    assert "not possible here" in text(page)
    assert [e.attributes["value"] for e in read(page) if e.attributes.get("type") == "radio"] == ["false"]
    answer = owner.post("/setup/mode", typed(owner, "/setup/mode", port_443_mode="true"))
    assert answer.status_code == 422 and not fleet.config().port_443_mode


def test_a_try_that_fails_says_where_and_what_to_do(fleet: Fleet, owner: Visitor) -> None:
    fleet.set_settings({"server_ip": "127.0.0.1"})
    user = fleet.add_user("Grandma")
    page = text(owner.post(f"/setup/link?user={user.id}").get_data(as_text=True))
    assert "What to do" in page and f"Open port {user.port} for TCP" in page
    fleet.disable("Grandma")
    part = owner.post("/setup/link", headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "The user's page says why they may not connect" in part.replace("&#39;", "'") and "<html" not in part


def test_without_a_user_there_is_no_link_to_try(owner: Visitor) -> None:
    assert owner.get("/setup/link").location == "/setup/user"
    assert owner.post("/setup/link").location == "/setup/user"
    assert owner.get("/setup/link?user=nobody").location == "/setup/user"


def test_behind_nginx_port_443_is_chosen_and_asked_again_where_links_change(tmp_path: Path) -> None:
    fleet = fleet_behind_nginx(tmp_path / "data", MemoryRuntime())
    owner = Visitor(create_app(fleet).test_client())
    owner.login()
    assert where(owner) == "/setup/mode"
    fleet.add_user("Grandma")
    form = typed(owner, "/setup/mode", port_443_mode="true")
    answer = owner.post("/setup/mode", form)
    assert answer.status_code == 200 and "Move all users to port 443?" in text(answer.get_data(as_text=True))
    assert not fleet.config().port_443_mode
    assert owner.post("/setup/mode", form | {"sure": "no"}).status_code == 200 and not fleet.config().port_443_mode
    assert owner.post("/setup/mode", form | {"sure": "yes"}).location == "/setup/link"
    assert fleet.config().port_443_mode
