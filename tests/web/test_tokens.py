"""The page of tokens: made by who knows their password, shown once, removed; and what the API can do, as a page."""

from __future__ import annotations

import re

from flask import Flask

from tests.support.fleet import Fleet
from tests.web.html import text
from tests.web.visitor import NAME, PASSWORD, Visitor

FORM = {"name": "billing <b>\"&", "scope": "users", "days": "90", "current": PASSWORD}


def test_a_token_is_made_shown_once_and_removed(panel: Flask, admin: Visitor, fleet: Fleet) -> None:
    page = admin.post("/account/tokens", FORM).get_data(as_text=True)
    token = re.search(r"mtpm_[\w-]{43}", page)[0]
    assert "billing <b>" not in page and "billing &lt;b&gt;" in page
    listed = admin.get("/account/tokens").get_data(as_text=True)
    assert token not in listed and "Change users" in text(listed) and "Not used yet" in text(listed)
    asked = {"Authorization": f"Bearer {token}"}
    assert panel.test_client().get("/api/v1/users", headers=asked).status_code == 200
    assert "Last used" in text(admin.get("/account/tokens").get_data(as_text=True))
    kept = fleet.config().api_tokens[0]
    assert (kept.admin, kept.scope) == (NAME, "users") and kept.expires_at is not None
    admin.post("/account/tokens/remove", {"id": kept.id})
    assert panel.test_client().get("/api/v1/users", headers=asked).status_code == 401


def test_who_does_not_know_the_password_makes_none(admin: Visitor, fleet: Fleet) -> None:
    answer = admin.post("/account/tokens", {**FORM, "current": "guess"})
    assert answer.status_code == 422 and "this is not your password" in text(answer.get_data(as_text=True)).lower()
    assert fleet.config().api_tokens == []


def test_what_is_wrong_stands_beside_its_field(admin: Visitor, fleet: Fleet) -> None:
    page = text(admin.post("/account/tokens", {**FORM, "name": " ", "scope": "all"}).get_data(as_text=True))
    assert "a name is needed" in page.lower() and "no scope of a token" in page
    assert fleet.config().api_tokens == []


def test_a_viewer_is_offered_and_given_a_token_for_looking_alone(panel: Flask, fleet: Fleet) -> None:
    fleet.create_admin("viktor", PASSWORD, role="viewer")
    viktor = Visitor(panel.test_client())
    viktor.login("viktor", PASSWORD)
    assert "Change users" not in text(viktor.get("/account/tokens").get_data(as_text=True))
    assert viktor.post("/account/tokens", {**FORM, "scope": "admin"}).status_code == 422
    assert viktor.post("/account/tokens", {**FORM, "scope": "read"}).status_code == 200
    assert [token.scope for token in fleet.config().api_tokens] == ["read"]


def test_nobody_removes_the_token_of_somebody_else_but_an_owner(panel: Flask, admin: Visitor, fleet: Fleet) -> None:
    admin.post("/account/tokens", FORM)
    token = fleet.config().api_tokens[0].id
    fleet.create_admin("olga", PASSWORD, role="operator")
    olga = Visitor(panel.test_client())
    olga.login("olga", PASSWORD)
    assert "billing" not in olga.get("/account/tokens").get_data(as_text=True)
    olga.post("/account/tokens/remove", {"id": token})
    assert len(fleet.config().api_tokens) == 1


def test_the_page_of_the_api_has_every_operation_of_its_document(admin: Visitor) -> None:
    page = text(admin.get("/account/api").get_data(as_text=True))
    paths = admin.get("/api/v1/openapi.json").json["paths"]
    assert len(paths) > 35
    for path, methods in paths.items():
        for method in methods:
            assert f"{method.upper()} {path}" in page
