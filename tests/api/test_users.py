"""Users by the API: what the panel does, and nobody's change is lost."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest

from app.accounts.actor import CLI
from app.actions import users as actions
from tests.api.program import Program


def fields(answer) -> dict[str, str]:
    """What is wrong, by field."""
    assert answer.mimetype == "application/problem+json"
    assert answer.json["status"] == answer.status_code and answer.json["detail"] == answer.json["errors"][0]["message"]
    return {error["field"]: error["code"] for error in answer.json["errors"]}


def test_a_user_is_made_read_changed_and_deleted(ada, fleet):
    made = ada.post("/users", {"name": "علی‌رضا", "limit_gb": 50, "tags": ["friends", "a b"],
                               "note": 'O\'Brien <b>"&\\'})
    assert made.status_code == 201 and made.headers["Location"] == f"/api/v1/users/{made.json['id']}"
    path = f"/users/{made.json['id']}"
    assert made.json["declared"]["limit_gb"] == 50 and made.json["declared"]["tags"] == ["friends", "a b"]
    assert made.json == {**ada.get(path).json, "state": made.json["state"]}
    changed = ada.patch(path, {"limit_gb": None, "note": "", "expires": "2090-01-31T00:00:00+00:00"})
    assert changed.status_code == 200 and changed.json["declared"]["limit_gb"] is None
    assert changed.json["declared"]["tags"] == ["friends", "a b"], "what is not sent stays as it is"
    assert ada.patch(path, {"expires": None, "expires_after_days": 30}).json["declared"]["expires"] is None
    assert fleet.user(made.json["id"]).expires_after_days == 30
    assert ada.delete(path).status_code == 204 and ada.get(path).status_code == 404
    assert [each["id"] for each in ada.get("/deleted-users").json] == [made.json["id"]]
    restored = ada.post(f"/deleted-users/{made.json['id']}/restore")
    assert restored.status_code == 200 and restored.json["user"]["name"] == "علی‌رضا" and restored.json["changed"] == []


def test_what_a_user_says_of_itself_can_be_sent_back_and_changes_nothing(ada, alice, fleet):
    fleet.update_user(alice, {"limit_gb": "none", "tags": "x, y", "at_limit": "block", "max_unique_ips": "3"})
    before = ada.get(f"/users/{alice}").json
    after = ada.patch(f"/users/{alice}", before["declared"])
    assert after.status_code == 200 and after.json["declared"] == before["declared"]
    assert after.json["version"] == before["version"]


def test_everything_that_is_wrong_is_said_at_once_by_the_names_that_were_sent(ada, fleet):
    types = ada.post("/users", {"name": 5, "limit_gb": "much", "port": True, "colour": "red", "tags": [1]})
    assert types.status_code == 422
    assert set(fields(types)) == {"name", "limit_gb", "port", "colour", "tags"}
    values = ada.post("/users", {"name": "alice", "limit_gb": -1, "port": 70000, "expires": "soon", "at_limit": ""})
    assert values.status_code == 422
    assert fields(values)["name"] == "user.exists" and set(fields(values)) == {"name", "limit_gb", "port", "expires"}
    assert [user.name for user in fleet.users()] == ["Alice"]


@pytest.mark.parametrize("raw, type_, code", [
    (b"{", "application/json", 400), (b'{"name": "x", "name": "y"}', "application/json", 400),
    (b'{"limit_gb": NaN}', "application/json", 400), (b'{"name": "\\ud800"}', "application/json", 400),
    (b"[" * 5000, "application/json", 400), (b"\xff", "application/json", 400), (b"[]", "application/json", 400),
    (b"name=Bob", "application/x-www-form-urlencoded", 415), (b'{"name": "Bob"}', "text/plain", 415),
    (b'{"note": "' + b"x" * 600_000 + b'"}', "application/json", 413),
    (b'{"limit_gb": ' + b"9" * 300 + b"}", "application/json", 422), (b"", "application/json", 422)])
def test_what_is_no_body_is_refused_and_never_an_error_of_ours(ada, fleet, raw, type_, code):
    before = fleet.file.path.read_bytes()
    answer = ada.post("/users", data=raw, content_type=type_)
    assert answer.status_code == code and fields(answer)
    assert fleet.file.path.read_bytes() == before


def test_who_has_read_an_older_version_changes_nothing(ada, alice, fleet):
    read = ada.get(f"/users/{alice}")
    fleet.update_user(alice, {"limit_gb": "50"})
    old = {"If-Match": read.headers["ETag"]}
    for answer in (ada.patch(f"/users/{alice}", {"limit_gb": 70}, headers=old),
                   ada.delete(f"/users/{alice}", headers=old),
                   ada.post(f"/users/{alice}/disable", headers=old), ada.post(f"/users/{alice}/new-link", headers=old),
                   ada.patch(f"/users/{alice}", {}, headers=old)):
        assert answer.status_code == 412 and fields(answer) == {"": "stale.version"}
    assert fleet.user(alice).own_limit_gb == 50 and fleet.user(alice).enabled
    now = ada.get(f"/users/{alice}").headers["ETag"]
    for tag in (now, "*", f'"x", W/{now}'):
        assert ada.patch(f"/users/{alice}", {"limit_gb": 50}, headers={"If-Match": tag}).status_code == 200


def test_two_scripts_that_read_and_write_one_user_never_lose_an_update(program, alice, fleet):
    """Each adds its words to the note, forty times in all: read, change, send with If-Match, and again if refused."""
    fleet.update_user(alice, {"note": "start"})

    def add(words: list[str], each: Program) -> None:
        for word in words:
            while True:
                read = each.get(f"/users/{alice}")
                answer = each.patch(f"/users/{alice}", {"note": read.json["declared"]["note"] + " " + word},
                                    headers={"If-Match": read.headers["ETag"]})
                if answer.status_code == 200:
                    break
                assert answer.status_code in (409, 412), answer.json

    two = [threading.Thread(target=add, args=([f"{name}{number}" for number in range(20)], program()))
           for name in ("a", "b")]
    for thread in two:
        thread.start()
    for thread in two:
        thread.join()
    assert sorted(fleet.user(alice).note.split()) == sorted(
        ["start", *(f"{name}{number}" for name in ("a", "b") for number in range(20))])


def test_two_scripts_that_raise_a_limit_at_once_both_do(program, alice, fleet):
    fleet.update_user(alice, {"limit_gb": "10"})

    def add(each: Program) -> None:
        for _ in range(5):
            assert each.post(f"/users/{alice}/add-traffic", {"gb": 1}).status_code == 200

    two = [threading.Thread(target=add, args=(program(),)) for _ in range(2)]
    for thread in two:
        thread.start()
    for thread in two:
        thread.join()
    assert fleet.user(alice).own_limit_gb == 20
    assert fields(program().post(f"/users/{alice}/add-traffic", {"gb": 0})) == {"gb": "many.gigabytes"}


@pytest.mark.parametrize(("what", "body", "read"), [
    ("add-traffic", {"gb": 5}, lambda user: user.own_limit_gb), ("extend", {"days": 30}, lambda user: user.expires_at)])
def test_what_was_paid_once_is_added_once_however_often_an_answer_is_lost(ada, alice, fleet, what, body, read):
    fleet.update_user(alice, {"limit_gb": "10", "expires": "2090-01-31"})
    path, headers = f"/users/{alice}/{what}", {"Idempotency-Key": "invoice 7"}
    first = ada.post(path, body, headers=headers)
    after = read(fleet.user(alice))
    again = ada.post(path, body, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200) and read(fleet.user(alice)) == after
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true"
    other = {name: value + 1 for name, value in body.items()}
    assert fields(ada.post(path, other, headers=headers)) == {"Idempotency-Key": "key.other"}
    assert ada.post(path, body, headers={"Idempotency-Key": "invoice 8"}).status_code == 200
    assert read(fleet.user(alice)) != after


def test_a_key_twice_makes_one_user_also_at_the_same_time(ada, program, fleet):
    headers = {"Idempotency-Key": "b7c1"}
    came: list[int] = []

    def add() -> None:
        came.append(ada.post("/users", {"name": "Bob"}, headers=headers).status_code)

    ten = [threading.Thread(target=add) for _ in range(10)]
    for thread in ten:
        thread.start()
    for thread in ten:
        thread.join()
    assert set(came) <= {201, 409} and 201 in came
    again = ada.post("/users", {"name": "Bob"}, headers=headers)
    assert again.status_code == 201 and again.headers["Idempotency-Replayed"] == "true"
    assert [user.name for user in fleet.users()] == ["Alice", "Bob"]
    other = ada.post("/users", {"name": "Carol"}, headers=headers)
    assert other.status_code == 422 and fields(other) == {"Idempotency-Key": "key.other"}
    assert fields(program().post("/users", {"name": "Bob"}, headers=headers)) == {"name": "user.exists"}, \
        "another token's key is another key"
    assert ada.post("/users", {"name": "Carol"}, headers={"Idempotency-Key": "x" * 300}).status_code == 422


def test_a_refused_creation_leaves_its_key_free(ada, fleet):
    headers = {"Idempotency-Key": "k"}
    assert ada.post("/users", {"name": "alice"}, headers=headers).status_code == 422
    assert ada.post("/users", {"name": "alice"}, headers=headers).status_code == 422
    fleet.remove("Alice")
    assert ada.post("/users", {"name": "alice"}, headers=headers).status_code == 201


def test_the_list_filters_and_pages_as_the_panel_does(ada, fleet):
    for number in range(30):
        actions.add_user(fleet, CLI, f"user {number:02}", tags="odd" if number % 2 else "even")
    first = ada.get("/users?size=25&sort=-name&tag=odd").json
    assert (first["found"], first["total"], first["pages"], len(first["users"])) == (15, 31, 1, 15)
    assert first["users"][0]["name"] == "user 29"
    assert ada.get("/users?q=ODD").json["found"] == 15
    assert [len(ada.get(f"/users?size=25&page={page}").json["users"]) for page in (1, 2)] == [25, 6]
    for wrong in ("state=asleep", "size=7", "size=x", "page=0", "page=-1", "sort=colour", "colour=red", "q=a&q=b"):
        assert ada.get(f"/users?{wrong}").status_code == 422, wrong


@pytest.mark.parametrize("path", ["/users", "/links"])
def test_whoever_is_there_all_the_time_is_read_by_after_whoever_is_deleted_meanwhile(ada, fleet, path):
    ids = sorted([fleet.users()[0].id, *(actions.add_user(fleet, CLI, f"user {number:02}").id for number in range(80))])
    gone, seen, after = set(), [], ""
    while after is not None:
        told = ada.get(f"{path}?size=25&after={after}").json
        page = [each["id"] for each in (told["users"] if path == "/users" else told)]
        seen += page
        # Those of this page, the last of them too, and one further on: by numbers, others would move up and be missed.
        for each in [*page[3:6], *page[-1:], *ids[70:71]]:
            if each not in gone:
                actions.remove(fleet, CLI, each)
                gone.add(each)
        after = told["next"] if path == "/users" else page[-1] if page else None
    assert seen == sorted(set(seen)) and set(ids) - gone <= set(seen) <= set(ids)


def test_after_goes_by_ids_and_with_filters_and_says_so_where_another_order_is_asked_for(ada, fleet):
    for number in range(30):
        actions.add_user(fleet, CLI, f"user {number:02}", tags="odd" if number % 2 else "even")
    first = ada.get("/users?size=25&after=").json
    rest = ada.get(f"/users?size=25&after={first['next']}").json
    assert (first["found"], first["total"], first["pages"], rest["found"], rest["total"]) == (31, 31, 2, 6, 31)
    assert rest["next"] is None and ada.get("/users?size=25").json["next"] is None
    assert ada.get("/users?size=25&sort=id").json["users"] == first["users"]
    assert ada.get("/users?tag=odd&after=").json["found"] == 15
    assert ada.get("/users?after=zzzzzzzzz").json["users"] == []
    assert fields(ada.get("/users?after=&sort=name")) == {"sort": "api.type"}


def test_the_link_its_code_and_the_own_page_are_there_and_a_new_link_is_another_one(ada, alice):
    link = ada.get(f"/users/{alice}/link").json
    assert link["secret"] in link["tg_link"] and link["server"] == "proxy.example"
    assert ada.get(f"/users/{alice}/qr.png").data.startswith(b"\x89PNG")
    assert b"<svg" in ada.get(f"/users/{alice}/qr.svg").data
    new = ada.post(f"/users/{alice}/new-link")
    assert new.status_code == 200 and new.json["secret"] != link["secret"]
    page = ada.post(f"/users/{alice}/page").json
    assert page["path"].startswith("/s/") and ada.get(f"/users/{alice}/page").json == page
    assert ada.post(f"/users/{alice}/page", {"renew": True}).json["path"] != page["path"]
    assert ada.delete(f"/users/{alice}/page").status_code == 204
    assert ada.get(f"/users/{alice}/page").json["path"] == ""


def test_actions_on_one_user_do_what_the_buttons_do(ada, alice, fleet):
    assert ada.post(f"/users/{alice}/disable").json["state"] == "disabled"
    assert ada.post(f"/users/{alice}/enable").json["enabled"] is True
    assert ada.post(f"/users/{alice}/reset-traffic").status_code == 200
    assert ada.post(f"/users/{alice}/restart").status_code == 200
    assert ada.post(f"/users/{alice}/extend", {"days": 30}).status_code == 422, "whose access has no end"
    fleet.update_user(alice, {"expires": "2090-01-31"})
    assert ada.post(f"/users/{alice}/extend", {"days": 30}).json["declared"]["expires"].startswith("2090-03")
    assert ada.get(f"/users/{alice}/devices").json["most"] == 0
    assert len(ada.get(f"/users/{alice}/traffic?period=hour").json["at"]) == 60
    assert "admin:Ada (admin 0)" in {event.actor for event in fleet.events("Alice")}


def test_many_users_are_changed_by_one_job(ada, fleet):
    begun = ada.post("/bulk/users", {"names": ["Bob", "Carol"], "fields": {"limit_gb": 5, "tags": ["new"]}})
    assert begun.status_code == 202
    assert wait(ada, begun)["changed"] and fleet.user("Carol").own_limit_gb == 5
    ids = [user.id for user in fleet.users()]
    begun = ada.post("/bulk", {"action": "disable", "ids": [*ids, "nobody"]})
    done = wait(ada, begun)
    assert len(done["changed"]) == 3 and done["failed"][0]["reason"]["code"] == "many.gone"
    assert wait(ada, ada.post(f"/bulk/{done['id']}/undo"))["phase"] == "done"
    assert all(user.enabled for user in fleet.users())
    wrong = ada.post("/bulk", {"action": "explode", "ids": []})
    assert wrong.status_code == 422 and set(fields(wrong)) == {"action", "ids"}
    assert ada.get("/bulk/none").status_code == 404
    wrong = ada.post("/bulk/users", {"names": ["Dave"], "fields": {"colour": "red"}})
    assert fields(wrong) == {"colour": "api.unknown_field"}


def wait(ada: Program, begun) -> dict:
    """How the job ended."""
    path = begun.headers["Location"].removeprefix("/api/v1")
    while (told := ada.get(path).json)["phase"] != "done":
        threading.Event().wait(0.02)
    return told


def test_names_are_no_addresses(ada):
    for path in ("/users/Alice", "/users/Alice/link", "/plans/x", "/admins/nobody", "/tokens/x", "/backups/x"):
        method = "GET" if path.startswith(("/users", "/plans", "/backups")) else "DELETE"
        assert ada.ask(method, path).status_code == 404, path


def test_a_change_that_is_saved_and_not_applied_says_so(ada, alice, fleet, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("app.actions.users.passes.reconcile", broken)
    answer = ada.patch(f"/users/{alice}", {"note": "x"})
    assert answer.status_code == 409 and answer.json["code"] == "unfinished"
    assert fleet.config().users[0].note == "x"
    made = ada.post("/users", {"name": "Bob"}, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201 and made.json["name"] == "Bob"


def test_links_of_many_are_read_a_page_at_a_time_by_the_filters_of_the_list(ada, reader, fleet):
    for number in range(30):
        actions.add_user(fleet, CLI, f"user {number:02}", tags="odd" if number % 2 else "even")
    page = ada.get("/links?tag=odd&sort=-name&size=25").json
    assert [each["name"] for each in page][:2] == ["user 29", "user 27"] and len(page) == 15
    assert page[0]["tg_link"] == fleet.user("user 29").tg_link
    assert len(ada.get("/links?size=25&page=2").json) == 6
    assert reader.get("/links").status_code == 403


def test_everybodys_traffic_begins_at_zero_by_one_request(ada, reader, fleet):
    assert reader.post("/traffic/reset").status_code == 403
    assert ada.post("/traffic/reset").status_code == 204
    assert "traffic.reset" in {event.action for event in fleet.events()}


def test_a_plan_that_somebody_else_has_changed_is_not_removed(ada, fleet):
    made = ada.post("/plans", {"name": "Family"})
    path = f"/plans/{made.json['id']}"
    assert ada.patch(path, {"limit_gb": 5}).status_code == 200
    assert ada.delete(path, headers={"If-Match": made.headers["ETag"]}).status_code == 412
    assert ada.delete(path, headers={"If-Match": ada.get(path).headers["ETag"]}).status_code == 204


def test_what_a_key_stands_for_can_not_be_guessed_from_the_ledger(ada, fleet):
    """A body may hold a password: whoever finds a backup must not try words against a plain hash of it."""
    body = {"username": "Eve", "password": "correct horse battery", "role": "viewer"}
    assert ada.post("/admins", body, headers={"Idempotency-Key": "k"}).status_code == 201
    (row,) = fleet.ledger.database.query("SELECT fingerprint FROM idempotency_keys")
    told = b"POST /api/v1/admins\0" + json.dumps(body, sort_keys=True).encode()
    assert row["fingerprint"] != hashlib.sha256(told).hexdigest()
