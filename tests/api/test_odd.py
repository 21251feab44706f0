"""What programs send that nobody meant: odd methods, types, bodies and names; lists that change meanwhile, clocks."""

from __future__ import annotations

import gzip
import threading
from datetime import timedelta
from urllib.parse import quote

import pytest

from app import create_app
from app.accounts.actor import CLI
from app.actions import many
from app.actions import users as actions
from app.api.access import OPERATIONS
from app.config.values import now
from app.ledger import idempotency
from app.web.share.limit import Limit
from tests.api.program import Program
from tests.api.test_access import body_of, path_of, refused
from tests.support.fleet import Fleet

ODD = ["O'Brien <b>\"&\\", "علی‌رضا", "a/b", "..", "%2e%2e", "a?b=c#d", "😀" * 20, "\u202eabc", "a;b", "null", "-1",
       "ｆｕｌｌ", "a b", "ß", "\u0430dmin", "{user_id}", "<user_id>"]


def test_every_address_answers_head_and_refuses_other_methods_as_problems(ada, alice, panel):
    panel.extensions["api_limit"] = Limit(100_000)
    methods: dict[str, set[str]] = {}
    for each in OPERATIONS:
        methods.setdefault(path_of(each, alice), set()).add(each.method)
    methods["//metrics"] = methods["/openapi.json"] = {"GET"}
    for path, there in methods.items():
        if "GET" in there:
            got, head = ada.get(path), ada.ask("HEAD", path)
            assert head.status_code == got.status_code and head.data == b"", path
        for method in {"GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"} - there:
            answer = ada.ask(method, path, headers={"Origin": "https://evil.example"})
            if (method, path) == ("GET", "/bulk/users"):
                assert refused(answer, 404), "it could be the id of a job"
                continue
            assert refused(answer, 405) and there <= set(answer.headers["Allow"].split(", ")), (method, path)
            assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_an_id_that_does_not_exist_is_404_for_every_operation(ada, panel, fleet):
    panel.extensions["api_limit"] = Limit(100_000)
    before = fleet.file.path.read_bytes()
    for each in OPERATIONS:
        if each.in_path:
            for odd in ("nobody", "%00", "..%2f..", quote("علی‌رضا"), "x" * 3000, "Alice"):
                path = each.template
                for name in each.in_path:
                    path = path.replace(f"{{{name}}}", odd)
                assert refused(ada.ask(each.method, path, body_of(each)), 404), (each.name, odd)
    assert fleet.file.path.read_bytes() == before


@pytest.mark.parametrize("type_", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", "a/b; c",
                                   "application/json-patch+json", "application/x-www-form-urlencoded", "é"])
def test_another_type_of_body_is_refused_by_every_operation_that_takes_one(ada, alice, panel, type_):
    panel.extensions["api_limit"] = Limit(100_000)
    for each in OPERATIONS:
        if each.body is not None:
            answer = ada.ask(each.method, path_of(each, alice), data=b'{"name": "x"}', content_type=type_)
            assert refused(answer, 415) and answer.json["code"] == "api.media", each.name


def test_a_compressed_body_is_refused_and_says_why(ada, fleet):
    packed = gzip.compress(b'{"name": "Bob"}')
    for encoding in ("gzip", "br", "deflate", "gzip, gzip"):
        answer = ada.post("/users", data=packed, content_type="application/json",
                          headers={"Content-Encoding": encoding})
        assert refused(answer, 415) and answer.json["code"] == "api.encoding", encoding
    assert ada.post("/users", {"name": "Bob"}, headers={"Content-Encoding": "identity"}).status_code == 201


@pytest.mark.parametrize("name", ODD)
def test_odd_names_come_back_as_they_were_sent_and_are_found(ada, name):
    made = ada.post("/users", {"name": name})
    if made.status_code != 201:
        assert made.status_code == 422 and made.json["errors"][0]["field"] == "name"
        return
    assert ada.get(made.headers["Location"].removeprefix("/api/v1")).json["name"] == made.json["name"]
    found = ada.get(f"/users?q={quote(name, safe='')}").json["users"]
    assert made.json["id"] in [each["id"] for each in found]
    assert ada.get(f"/events?subject={quote(made.json['name'], safe='')}").json[0]["action"] == "user.added"


@pytest.mark.parametrize("name", ["Eve/Ops", "a?b", "a b", "100%", "é", "a%2Fb"])
def test_odd_names_of_admins_are_addresses(ada, name):
    made = ada.post("/admins", {"username": name, "password": "correct horse battery", "role": "viewer"})
    if made.status_code != 201:
        assert made.status_code == 422, made.json
        return
    path = quote(made.json["username"], safe="")
    assert ada.patch(f"/admins/{path}", {"role": "operator"}).json["username"] == made.json["username"]
    assert ada.delete(f"/admins/{path}").status_code == 204


@pytest.mark.parametrize("query", ["page=99999999999999999999", "page=1e3", "page=１", "size=25&size=25", "size=%00",
                                   "q=" + "x" * 5000, "q=%ff", "sort=name;drop", "page=+1", "page=1.0", "state="])
def test_odd_parameters_of_a_list_are_answered_or_refused(ada, query):
    assert ada.get(f"/users?{query}").status_code in (200, 422)


@pytest.mark.parametrize("query", ["before=1e999", "before=nan", "before=-1", "before=999999999999999", "limit=0",
                                   "limit=201", "subject=%00", "actor=" + "x" * 5000])
def test_odd_parameters_of_events_are_answered_or_refused(ada, query):
    assert ada.get(f"/events?{query}").status_code in (200, 422)


def test_a_list_that_is_read_while_users_are_added_and_deleted_misses_nobody_who_was_there_all_the_time(ada, fleet):
    stay = {actions.add_user(fleet, CLI, f"b{number:03}").name for number in range(60)}
    seen, over = set(), threading.Event()

    def change() -> None:
        number = 0
        while not over.is_set():
            # Before all others in the order of names would move everybody to the next page; so after them.
            user = actions.add_user(fleet, CLI, f"c{number:03}")
            actions.remove(fleet, CLI, user.id, for_good=True)
            number += 1

    other = threading.Thread(target=change)
    other.start()
    try:
        page = pages = 1
        while page <= pages:
            told = ada.get(f"/users?sort=name&size=25&page={page}").json
            assert told["page"] == min(page, told["pages"])
            seen |= {each["name"] for each in told["users"]}
            page, pages = page + 1, told["pages"]
    finally:
        over.set()
        other.join()
    assert stay <= seen


def test_a_key_of_one_token_is_not_pushed_out_by_the_keys_of_another(ada, program, fleet, monkeypatch):
    monkeypatch.setattr(idempotency, "MOST", 5)
    mine = ada.post("/users", {"name": "Bob"}, headers={"Idempotency-Key": "k"})
    other = program()
    for number in range(12):
        assert other.post("/plans", {"name": f"plan {number}"}, headers={"Idempotency-Key": f"{number}"}
                          ).status_code == 201
    again = ada.post("/users", {"name": "Bob"}, headers={"Idempotency-Key": "k"})
    assert again.status_code == 201 and again.json["id"] == mine.json["id"]
    assert fleet.ledger.database.query("SELECT count(*) AS n FROM idempotency_keys")[0]["n"] == 6


def test_a_key_outlives_a_restart_of_the_panel_and_a_clock_that_is_set_back(ada, fleet, monkeypatch):
    made = ada.post("/users", {"name": "Bob"}, headers={"Idempotency-Key": "k"})
    again = Program(create_app(Fleet(fleet.data_dir, fleet.runtime, next(iter(fleet.engines.values())))), ada.token)
    monkeypatch.setattr(type(fleet.reconciler), "now", lambda self: now() - timedelta(hours=5))
    told = again.post("/users", {"name": "Bob"}, headers={"Idempotency-Key": "k"})
    assert told.status_code == 201 and told.json["id"] == made.json["id"]
    assert told.headers["Idempotency-Replayed"] == "true"


def test_a_user_who_is_deleted_meanwhile_is_not_made_again_by_the_same_key(ada, fleet):
    made = ada.post("/users", {"name": "Bob"}, headers={"Idempotency-Key": "k"})
    assert ada.delete(f"/users/{made.json['id']}").status_code == 204
    again = ada.post("/users", {"name": "Bob"}, headers={"Idempotency-Key": "k"})
    assert refused(again, 404) and [user.name for user in fleet.users()] == ["Alice"]


def test_a_job_that_is_under_way_is_not_forgotten_for_those_of_others(ada, fleet, monkeypatch):
    go_on, real = threading.Event(), many.passes.reconcile

    def slow(system):
        if threading.current_thread().name == "users.add":
            assert go_on.wait(30)
        return real(system)

    monkeypatch.setattr(many, "KEPT", 2)
    monkeypatch.setattr("app.actions.many.passes.reconcile", slow)
    path = ada.post("/bulk/users", {"names": ["Bob"]}).headers["Location"].removeprefix("/api/v1")
    ids = [user.id for user in fleet.users()]
    done = [ada.post("/bulk", {"action": "tag", "ids": ids, "value": f"t{number}"}).headers["Location"]
            for number in range(5)]
    assert ada.get(path).json["phase"] in ("saving", "applying")
    go_on.set()
    while ada.get(path).json["phase"] != "done":
        threading.Event().wait(0.02)
    assert ada.get(done[-1].removeprefix("/api/v1")).status_code == 200


def test_a_token_that_ends_between_two_requests_ends_for_what_was_begun_too(program, fleet, monkeypatch):
    each = program("admin", days=1)
    path = each.post("/bulk/users", {"names": ["Bob"]}).headers["Location"].removeprefix("/api/v1")
    monkeypatch.setattr(type(fleet.reconciler), "now", lambda self: now() + timedelta(days=1, seconds=1))
    assert refused(each.get(path), 401)


def test_two_scripts_without_if_match_that_change_different_fields_of_a_plan_disturb_nobody(ada, program, fleet):
    path = f"/plans/{ada.post('/plans', {'name': 'Family'}).json['id']}"

    def change(each: Program, field: str, values: range) -> None:
        for value in values:
            assert each.patch(path, {field: value}).status_code == 200

    two = [threading.Thread(target=change, args=(program(), field, range(1, 6)))
           for field in ("limit_gb", "max_unique_ips")]
    for thread in two:
        thread.start()
    for thread in two:
        thread.join()
    declared = ada.get(path).json["declared"]
    assert (declared["limit_gb"], declared["max_unique_ips"]) == (5, 5)


def test_numbers_that_no_field_can_hold_are_refused(ada, alice, fleet):
    before = fleet.file.path.read_bytes()
    for raw in (b"1e308", b"-1e308", b"9" * 290, b"1e-300", b"-0.0000001", b"2147483648e9"):
        for field in (b"limit_gb", b"max_unique_ips", b"port"):
            answer = ada.patch(f"/users/{alice}", None, data=b'{"%s": %s}' % (field, raw),
                               content_type="application/json")
            assert answer.status_code in (200, 422), (raw, field)
        assert ada.get(f"/users/{alice}").status_code == 200
    assert len(fleet.file.path.read_bytes()) < 2 * len(before)
