"""Roles: for every page and button of the panel, and every one there will be, who may use it; and that a viewer is
told nothing that lets somebody in."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from app.accounts import factors
from app.accounts.actor import RIGHTS, Actor, NotAllowed, Right
from app.web import rights
from app.web.pages.settings import only_sudo
from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.routes import OPEN_TO_ALL, endpoints
from tests.web.visitor import PASSWORD, Visitor

OTHER_PAGE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
#: What everybody may send: it is about nothing but themselves.
OF_ONESELF = {"auth.logout", "auth.code", "language.choose"}


@pytest.fixture(autouse=True)
def users(fleet: Fleet) -> None:
    """Alice, who has a page of her own and an old link; and Gone, who is deleted."""
    fleet.add_plan("Family")
    alice = fleet.add_user("Alice")
    fleet.add_user("Gone")
    fleet.remove("Gone")
    with fleet.file.edit() as config:
        user = next(each for each in config.users if each.id == alice.id)
        user.share_token = "aaaaaaaaaaaaaaaaaaaaaa"
        factors.put(config, "admin", factors.new_secret(), ["abcd-efgh-ijkl-mnop"])
    fleet.set_settings({"upstream_socks5": "carol:swordfish@127.0.0.1:1080"})
    fleet.sampled_at = float("inf")


def logged_in(panel: Flask, fleet: Fleet, role: str) -> Visitor:
    """Somebody of this role, who is called like it."""
    if fleet.admin(role) is None:
        fleet.create_admin(role, PASSWORD, role=role)
    visitor = Visitor(panel.test_client())
    assert visitor.login(role, PASSWORD).status_code == 302
    return visitor


def right_of(panel: Flask, endpoint: str) -> Right:
    """What a page, or a button, wants: for owners are also the blueprints that let nobody else in."""
    if only_sudo in panel.before_request_funcs.get(endpoint.rpartition(".")[0], []):
        return Right.SUDO
    return rights.needed(endpoint)


def routes(panel: Flask, fleet: Fleet, method: str) -> Iterator[tuple[str, str]]:
    """(endpoint, address) of all that is not open to anybody."""
    return ((endpoint, path) for endpoint, path in endpoints(panel, fleet, method) if path not in OPEN_TO_ALL)


def everything(fleet: Fleet, declaration: Path) -> tuple[object, ...]:
    return (declaration.read_bytes(), fleet.runtime.observe(), [event for event in fleet.events(limit=200)
                                                               if not event.action.startswith("login.")])


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_role_gets_the_pages_of_its_right_and_a_403_for_all_others(
        panel: Flask, fleet: Fleet, role: str) -> None:
    visitor = logged_in(panel, fleet, role)
    for endpoint, path in routes(panel, fleet, "GET"):
        answer = visitor.get(path)
        may = RIGHTS[role] >= right_of(panel, endpoint)
        assert (answer.status_code == 403) != may and answer.status_code < 500, (endpoint, answer.status_code)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_role_changes_nothing_by_a_button_beyond_its_right(
        panel: Flask, fleet: Fleet, declaration: Path, role: str) -> None:
    visitor, refused = logged_in(panel, fleet, role), 0
    token, before = visitor.token("/account"), everything(fleet, declaration)
    for endpoint, path in routes(panel, fleet, "POST"):
        if RIGHTS[role] >= right_of(panel, endpoint):
            continue
        answer = visitor.client.post(path, data={"csrf_token": token, "name": "Mallory", "username": role,
                                                 "role": "owner", "what": "export", "all": "1"})
        assert answer.status_code == 403, endpoint
        refused += 1
    assert everything(fleet, declaration) == before and refused > (30 if role == "viewer" else 10)


def test_a_viewer_may_send_what_is_about_nobody_else(panel: Flask, fleet: Fleet) -> None:
    assert {endpoint for endpoint, _ in routes(panel, fleet, "POST") if right_of(panel, endpoint) is Right.VIEW} == {
        *OF_ONESELF - {"language.choose"}, "account.password", "account.end",
        "factors.index", "factors.remove", "factors.codes", "factors.question", "factors.passkey",
        "factors.keep_passkey", "factors.remove_passkey", "tokens.add", "tokens.remove"}


@pytest.mark.parametrize("role", ["viewer", "operator", "owner"])
def test_no_button_works_without_a_token_or_from_another_page(
        panel: Flask, fleet: Fleet, declaration: Path, role: str) -> None:
    visitor = logged_in(panel, fleet, role)
    token, before = visitor.token("/account"), everything(fleet, declaration)
    for endpoint, path in routes(panel, fleet, "POST"):
        assert visitor.client.post(path, data={"name": "Mallory"}).status_code == 400, endpoint
        sent = visitor.client.post(path, data={"csrf_token": token, "name": "Mallory"}, headers=OTHER_PAGE)
        assert sent.status_code == 403, endpoint
    assert everything(fleet, declaration) == before
    assert visitor.get("/").status_code == 200


def test_a_button_wants_the_right_that_its_action_asks_for(
        panel: Flask, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody is offered what the action then refuses, and nothing is kept from whoever may."""
    asked: list[Right] = []

    def require(actor: Actor, right: Right) -> None:
        asked.append(right)
        raise NotAllowed("actor.no_admin", name="somebody")

    owner = logged_in(panel, fleet, "owner")
    token, found = owner.token("/account"), {}
    alice = fleet.users()[0].id
    monkeypatch.setattr(Actor, "require", require)
    for endpoint, path in routes(panel, fleet, "POST"):
        if endpoint in OF_ONESELF:
            continue
        asked.clear()
        owner.client.post(path, data={
            "csrf_token": token, "name": "Mallory", "names": "Mallory", "id": alice, "what": "disable", "limit_gb": "7",
            "expires": "2030-01-01", "username": "owner", "sure": "yes", "server_ip": "192.0.2.77"})
        found[endpoint] = asked[0] if asked else None
    # The first run is an owner's, whatever it asks for.
    assert {endpoint: right for endpoint, right in found.items() if right is not None} == {
        endpoint: right if endpoint == "setup.password" else right_of(panel, endpoint)
        for endpoint, right in found.items() if right is not None}
    assert sum(right is not None for right in found.values()) > 25, found


def secrets(fleet: Fleet) -> set[str]:
    """All that lets somebody in, as a page could show it."""
    config = fleet.file.read()
    keys = [each.secret for each in (*config.users, *config.deleted_users)]
    keys += [old.secret for user in config.users for old in user.old_links]
    found = {config.secret_key, config.admin_password_hash, "swordfish", "tg://", "t.me/proxy", "/s/aaaaaaaaaaa"}
    found |= {admin.password_hash for admin in config.admins} | {config.initial_password or "swordfish"}
    for key in keys:
        raw = bytes.fromhex(key)
        found |= {key, raw[1:17].hex(), base64.b64encode(raw).decode().rstrip("="),
                  base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    found |= {each.totp_secret for each in config.second_factors}
    return found | {user.share_token for user in config.users if user.share_token}


def test_a_viewer_finds_no_secret_no_link_and_no_token_in_any_byte(panel: Flask, fleet: Fleet) -> None:
    viewer, owner = logged_in(panel, fleet, "viewer"), logged_in(panel, fleet, "owner")
    hidden, shown = secrets(fleet), 0
    token = viewer.token("/account")
    seen = {path: viewer.get(path).data for _, path in endpoints(panel, fleet, "GET")}
    seen |= {f"POST {path}": viewer.client.post(path, data={
        "csrf_token": token, "what": "export", "all": "1", "id": fleet.users()[0].id}).data
        for endpoint, path in routes(panel, fleet, "POST") if endpoint != "auth.logout"}
    for path, body in seen.items():
        for key in hidden:
            assert key.encode() not in body and key.upper().encode() not in body, (path, key)
        shown += b"Alice" in body
    assert shown >= 5
    # The test would see it: an owner's pages do hold them.
    of_owner = b"".join(owner.get(path).data for _, path in endpoints(panel, fleet, "GET"))
    assert sum(key.encode() in of_owner for key in hidden) >= 5


@pytest.mark.parametrize("role", ["viewer", "operator", "owner"])
def test_nobody_is_offered_what_they_may_not_do(panel: Flask, fleet: Fleet, role: str) -> None:
    visitor, offered = logged_in(panel, fleet, role), set()
    alice = fleet.users()[0].id
    pages = {path for endpoint, path in routes(panel, fleet, "GET") if RIGHTS[role] >= right_of(panel, endpoint)}
    fleet.disable("Alice")
    map_of = panel.url_map.bind("localhost")
    for path in sorted(pages):
        answer = visitor.get(path)
        if answer.mimetype != "text/html" or answer.status_code != 200:
            continue
        for element in read(answer.get_data(as_text=True)):
            for name in ("href", "action", "formaction", "hx-get", "hx-post", "src", "data-copy-from", "data-log"):
                target = element.attributes.get(name, "").partition("#")[0].partition("?")[0]
                if target.startswith("/"):
                    method = "POST" if name in ("formaction", "hx-post") or (
                        name == "action" and element.attributes.get("method") == "post") else "GET"
                    # A form whose buttons say themselves where they lead names a page.
                    endpoint = map_of.match(target, method=method if map_of.test(target, method) else "GET")[0]
                    assert RIGHTS[role] >= right_of(panel, endpoint) or endpoint == "static", (path, target)
                    offered.add(endpoint)
    assert ("users.edit" in offered) == (role != "viewer") and ("dashboard.stop" in offered) == (role == "owner")
    assert "users.show" in offered and f"/users/{alice}" in pages
    assert ("Stop all" in text(visitor.get("/").get_data(as_text=True))) == (role == "owner")


def test_a_role_that_is_taken_away_is_gone_at_the_next_click(panel: Flask, fleet: Fleet) -> None:
    visitor = logged_in(panel, fleet, "operator")
    assert visitor.get("/users/new").status_code == 200
    fleet.set_role("operator", "viewer")
    assert visitor.get("/users/new").status_code == 403 and visitor.get("/users").status_code == 200
    fleet.set_role("operator", "owner")
    assert visitor.get("/settings/general").status_code == 200
