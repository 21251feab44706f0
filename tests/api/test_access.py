"""Who may ask for what: every operation there is, and every one that will be there, by every kind of asker."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.accounts.actor import CLI, Right
from app.actions import admins
from app.api.access import OPERATIONS
from app.api.operations import Operation
from app.config.second_factors import SecondFactors
from app.config.values import now
from app.web.share.limit import Limit
from tests.api.program import Program

NEEDS_BODY = {"kind": "webhook", "secrets": [], "proxy_secret": "", "proxy_multi_conf": "", "gb": 1,
              "days": 1, "name": "x", "action": "enable", "ids": ["x"], "names": ["x"], "minutes": 0,
              "username": "x", "password": "x", "role": "viewer", "address": "203.0.113.7"}


def body_of(operation: Operation):
    return None if operation.body is None else {
        field.name: NEEDS_BODY[field.name] for field in operation.body if field.required}


def path_of(operation: Operation, alice: str) -> str:
    return operation.template.format(user_id=alice, plan_id="none", job_id="none", engine="none", username="none",
                                     token_id="none", name="none", channel_id="none")


def sent(each: Program, operation: Operation, alice: str, headers: dict[str, str] | None = None):
    return each.ask(operation.method, path_of(operation, alice), body_of(operation), headers=headers)


def refused(answer, status: int) -> bool:
    return answer.status_code == status and answer.mimetype == "application/problem+json" and \
        answer.json["status"] == status and "Set-Cookie" not in answer.headers


def test_nobody_without_a_token_that_is_worth_something_gets_an_answer(program, alice, fleet, monkeypatch, panel):
    panel.extensions["api_limit"] = Limit(100_000)
    expired, wrong, removed = program("admin", days=1), program(""), program("admin")
    with fleet.file.edit() as config:
        config.api_tokens = [each for each in config.api_tokens if each.expires_at is not None]
    assert refused(removed.get("/users"), 401) and not refused(expired.get("/users"), 401)
    wrong.token = "mtpm_" + "x" * 43
    monkeypatch.setattr("app.accounts.tokens.WRONG", 1000)
    monkeypatch.setattr(type(fleet.reconciler), "now", lambda self: now() + timedelta(days=2))
    before = fleet.file.path.read_bytes()
    for operation in OPERATIONS:
        assert refused(sent(program(""), operation, alice), 401), operation.name
        assert refused(sent(wrong, operation, alice), 401), operation.name
        assert refused(sent(removed, operation, alice), 401), operation.name
        answer = sent(expired, operation, alice)
        assert refused(answer, 401) and answer.json["code"] == "token.expired", operation.name
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert fleet.file.path.read_bytes() == before


def test_a_token_may_do_what_its_scope_and_its_admin_may_and_nothing_else(program, alice, fleet):
    askers = {program(scope, admin): right for admin, scope, right in (
        ("Ada", "read", Right.VIEW), ("Olga", "read", Right.VIEW), ("Viktor", "read", Right.VIEW),
        ("Ada", "users", Right.USERS), ("Olga", "users", Right.USERS))}
    before = fleet.file.path.read_bytes(), fleet.runtime.observe()
    for operation in OPERATIONS:
        for each, right in askers.items():
            if right < operation.right:
                assert refused(sent(each, operation, alice), 403), operation.name
    assert (fleet.file.path.read_bytes(), fleet.runtime.observe()) == before


def test_what_an_admin_may_today_counts_and_not_what_they_might_when_the_token_was_made(program, alice, fleet):
    each = program("admin", "Ada")
    admins.set_role(fleet, CLI, "Ada", "viewer")
    for operation in OPERATIONS:
        if operation.right > Right.VIEW:
            assert refused(sent(each, operation, alice), 403), operation.name


def test_who_has_the_right_is_not_turned_away(program, fleet):
    scopes = {Right.VIEW: program("read"), Right.USERS: program("users"), Right.SUDO: program("admin")}
    for operation in OPERATIONS:
        user = fleet.add_user(f"for {operation.name}").id
        answer = sent(scopes[operation.right], operation, user)
        assert answer.status_code not in (401, 403, 405) and answer.status_code < 500, operation.name


def test_whatever_changes_something_needs_more_than_looking():
    for operation in OPERATIONS:
        if operation.method != "GET" and operation.name != "people_remove_token":
            assert operation.right >= Right.USERS, operation.name


def test_a_viewers_token_and_one_for_looking_see_no_secret_anywhere(program, alice, fleet):
    fleet.update_user(alice, {"note": "a note"})
    fleet.set_settings({"upstream_socks5": "socks5://name:h1dden-w0rd@127.0.0.1:1080"})
    page = program("users").post(f"/users/{alice}/page").json["path"]
    user = fleet.config().users[0]
    secrets = [user.secret, user.secret[2:34], user.share_token, page, "h1dden-w0rd", fleet.config().secret_key,
               fleet.config().admin_password_hash]
    for each in (program("read"), program("read", "Viktor")):
        for operation in OPERATIONS:
            if operation.method == "GET":
                told = sent(each, operation, alice).get_data(as_text=True)
                assert not [secret for secret in secrets if secret and secret in told], operation.name
        told = each.get("//metrics").get_data(as_text=True)
        assert not [secret for secret in secrets if secret in told]


def test_a_session_opens_nothing_of_the_api_but_its_description(panel, fleet, alice):
    from tests.web.visitor import Visitor

    ada = Visitor(panel.test_client())
    assert ada.login("Ada", "correct horse battery").status_code == 302
    assert ada.get("/api/v1/users").status_code == 401 and ada.get("/metrics").status_code == 401
    # Nor does it change anything, whichever page sends it: a browser sends the session along, and no token.
    before, token = fleet.file.path.read_bytes(), ada.token("/account")
    for operation in OPERATIONS:
        for headers in ({}, {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}):
            answer = ada.client.open(f"/api/v1{path_of(operation, alice)}", method=operation.method,
                                     json=body_of(operation), headers={"X-CSRFToken": token, **headers})
            assert answer.status_code == 401 and answer.json["status"] == 401, operation.name
    assert fleet.file.path.read_bytes() == before
    assert ada.get("/api/v1/openapi.json").json["openapi"] == "3.1.0"
    assert ada.get("/account/api").status_code == 200


def test_a_token_opens_no_page_of_the_panel(ada):
    for path in ("//", "//users", "//settings", "//account/tokens", "//account/api"):
        answer = ada.get(path)
        assert answer.status_code == 302 and "/login" in answer.headers["Location"], path


@pytest.mark.parametrize("headers", [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, {"Sec-Fetch-Mode": "cors"}, {}])
def test_a_page_elsewhere_gets_nothing_without_a_token_and_no_leave_to_send_one(program, alice, headers):
    assert refused(program("").post(f"/users/{alice}/disable", headers=headers), 401)
    preflight = program("").ask("OPTIONS", f"/users/{alice}/disable", headers={
        **headers, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"})
    assert preflight.status_code == 405
    assert not [name for name, _ in preflight.headers if name.startswith("Access-Control")]


def test_nothing_of_the_api_answers_by_the_door_of_users_own_pages(ada, alice, monkeypatch, panel):
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "1")
    from app import create_app

    behind = Program(create_app(panel.extensions["system"]), ada.token)
    for path in ("/users", f"/users/{alice}/link", "/openapi.json", "//metrics", "/nothing"):
        answer = behind.get(path, headers={"X-Panel-Door": "share"})
        assert (answer.status_code, answer.data) == (404, b"Not Found\n"), path
    assert behind.get("/users", headers={"X-Panel-Door": "https"}).status_code == 200


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(ada, program):
    wrong = program("")
    wrong.token = "guess"
    codes = [wrong.get("/users").status_code for _ in range(62)]
    assert codes[:60] == [401] * 60 and codes[60:] == [429, 429]
    answer = wrong.get("/users")
    assert int(answer.headers["Retry-After"]) > 0 and answer.json["code"] == "login.throttled"
    assert ada.get("/users").status_code == 200


def test_a_token_that_asks_too_often_is_told_when_to_ask_again(ada, reader, panel):
    panel.extensions["api_limit"] = Limit(3)
    assert [ada.get("/self").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert ada.get("/self").headers["Retry-After"] and reader.get("/self").status_code == 200


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Basic YWRhOng=", "Bearer \x80", "Token x", "Bearer a b"])
def test_odd_headers_are_no_tokens(program, sent):
    assert refused(program("").get("/users", headers={"Authorization": sent}), 401)


@pytest.mark.parametrize("method", ["PUT", "TRACE", "PROPFIND", "OPTIONS", "PATCH"])
def test_other_methods_and_unknown_addresses_are_told_as_problems(ada, method):
    assert refused(ada.ask(method, "/users"), 405)
    for path in ("/nothing", "/users/x/y/z", "/../settings", "//api/v2/users", "//api/"):
        assert refused(ada.ask(method, path), 404) or ada.ask(method, path).status_code == 405, path


def test_a_fault_of_ours_is_told_without_its_words(ada, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("the secret is ee1234")

    monkeypatch.setattr("app.api.users.snapshot.take", broken)
    answer = ada.get("/users")
    assert refused(answer, 500) and "ee1234" not in answer.get_data(as_text=True)


def test_events_of_admins_and_logins_are_told_to_owners_alone(ada, reader, program):
    for each in (reader, program("users", "Olga")):
        assert each.get("/events?kind=admins").status_code == 403
        assert not [event for event in each.get("/events").json if event["action"].startswith(("admin.", "token."))]
    assert ada.get("/events?kind=admins").status_code == 200


def test_admins_are_managed_and_the_last_owner_stays(ada, fleet):
    made = ada.post("/admins", {"username": "Eve/Ops", "password": "correct horse battery", "role": "viewer"})
    assert made.status_code == 201
    assert ada.patch("/admins/Eve%2FOps", {"role": "operator"}).json["role"] == "operator"
    assert len(ada.post("/admin-passwords", {"username": "Eve/Ops"}).json["password"]) >= 12
    assert ada.delete("/admins/Eve%2FOps").status_code == 204
    assert [each["username"] for each in ada.get("/admins").json] == ["admin", "Ada", "Olga", "Viktor"]
    assert ada.patch("/admins/Ada", {"role": "viewer"}).status_code == 200
    assert refused(ada.get("/admins"), 403), "the token may no more than its admin"


def test_settings_are_read_and_changed_with_a_version(ada, fleet):
    read = ada.get("/settings")
    fleet.set_settings({"traffic_limit_gb": "9"})
    old = ada.patch("/settings", {"traffic_limit_gb": 7}, headers={"If-Match": read.headers["ETag"]})
    assert refused(old, 412) and old.json["code"] == "stale.settings"
    wrong = ada.patch("/settings", {"monitor_seconds": 0, "domain_pool": ["not a name"], "colour": 1})
    assert refused(wrong, 422)
    both = ada.patch("/settings", {"monitor_seconds": 0, "backup_keep": 0})
    assert {error["field"] for error in both.json["errors"]} == {"monitor_seconds", "backup_keep"}
    done = ada.patch("/settings", {"traffic_limit_gb": 7, "domain_pool": ["www.example.com", "www.example.org"]})
    assert done.json["settings"]["domain_pool"] == ["www.example.com", "www.example.org"]
    assert ada.patch("/settings", done.json["settings"]).json["version"] == done.json["version"]


def test_plans_are_managed_with_a_version(ada, fleet):
    made = ada.post("/plans", {"name": "Family", "limit_gb": 100}, headers={"Idempotency-Key": "p"})
    assert made.status_code == 201
    assert ada.post("/plans", {"name": "Family", "limit_gb": 100}, headers={"Idempotency-Key": "p"}).json == made.json
    path = f"/plans/{made.json['id']}"
    assert ada.patch(path, {"limit_gb": None}, headers={"If-Match": made.headers["ETag"]}).status_code == 200
    assert refused(ada.patch(path, {"limit_gb": 1}, headers={"If-Match": made.headers["ETag"]}), 412)
    assert ada.get("/plans").json[0]["declared"]["limit_gb"] is None
    assert ada.delete(path).status_code == 204 and refused(ada.get(path), 404)


def test_backups_are_made_and_taken_away(ada, fleet):
    made = ada.post("/backups", {})
    assert made.status_code == 200 and made.data[:2] == b"\x1f\x8b"
    assert ada.post("/backups", {"passphrase": "long enough a phrase"}).data.startswith(b"age-encryption.org")
    assert not list(fleet.data_dir.glob(".backup-*"))


def test_all_proxies_are_stopped_and_started_by_owners_alone(ada, program, fleet):
    assert refused(program("users", "Olga").post("/proxies/stop"), 403)
    assert ada.get("/proxies/work").json["phase"] == "none"
    for what, stopped, running in (("stop", True, 0), ("start", False, 1)):
        begun = ada.post(f"/proxies/{what}")
        assert begun.status_code == 202 and begun.json["action"] == what
        while (work := ada.get("/proxies/work").json)["phase"] != "done":
            assert work["phase"] == "applying" and work["done"] <= work["of"]
        assert work["actor"].startswith("admin:Ada (") and work["trouble"] is None
        assert [(each["user"], each["ok"]) for each in work["outcomes"]] == [("Alice", True)]
        status = ada.get("/status").json
        assert (status["stopped"], status["running"]) == (stopped, running)


def test_an_admins_lost_second_factor_is_taken_away_by_another_owner(ada, fleet):
    with fleet.file.edit() as config:
        config.second_factors = [SecondFactors(username=name, totp_secret="A" * 32) for name in ("Ada", "Olga")]
    assert [each["second_factor"] for each in ada.get("/admins").json] == [False, True, True, False]
    assert ada.delete("/admin-factors/Olga").status_code == 204
    assert ada.delete("/admin-factors/Olga").json["code"] == "factor.none"
    assert ada.delete("/admin-factors/Ada").json["code"] == "factor.own", "a lost token opens no account"
    assert ada.delete("/admin-factors/nobody").status_code == 404
    assert [each.username for each in fleet.config().second_factors] == ["Ada"]


def test_proxies_of_an_old_image_are_replaced_by_owners(ada, program):
    assert refused(program("users").post("/proxies/renew"), 403)
    begun = ada.post("/proxies/renew")
    assert begun.status_code == 202 and begun.json["outdated"] == 0
