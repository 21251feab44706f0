"""Whatever changes something is done once by an Idempotency-Key, however often its answer is lost."""

from __future__ import annotations

import functools
import time
from typing import Any

import pytest

from app.api.access import OPERATIONS
from app.api.operations import Operation
from app.control.errors import Unfinished
from app.messages import Problem
from tests.api.program import Program
from tests.support.fleet import Fleet

#: What takes no key, and why.
WITHOUT = {
    "users_test": "changes nothing", "server_check_domains": "changes nothing", "server_look": "changes nothing",
    "people_back_up": "the archive is sent, and nothing of it stays",
    "people_new_password": "the password is told once and kept nowhere: asking again makes another one",
}
HOOK = {"kind": "webhook", "name": "hook", "url": "http://127.0.0.1:9/", "secret": "k"}
BODIES: dict[str, dict[str, Any]] = {
    "users_make_page": {"renew": True}, "bans_ban": {"address": "198.51.100.7"},
    "bans_unban": {"address": "198.51.100.7"}, "server_debug_log": {"minutes": 5},
    "mtproxy_give_files": {"proxy_secret": "", "proxy_multi_conf": ""},
}
CHANGING = [each for each in OPERATIONS if each.method == "POST" and each.name not in WITHOUT]


def test_every_post_takes_a_key_or_has_a_reason() -> None:
    keyless = {each.name for each in OPERATIONS if each.method == "POST" and not each.once}
    assert keyless == WITHOUT.keys()
    assert not any(each.once for each in OPERATIONS if each.method != "POST")


@pytest.mark.parametrize("operation", [each for each in CHANGING if each.again], ids=lambda each: each.name)
def test_its_view_is_asked_once_and_what_it_saved_was_done(
        ada: Program, fleet: Fleet, alice: str, operation: Operation) -> None:
    """Of an answer that is lost, the same request asks for nothing but how things are."""
    done: list[str] = []

    @functools.wraps(operation.view)
    def view(_asked: Any, **_ids: str) -> None:
        done.append(operation.name)
        raise Unfinished(Problem("saved.user", {"action": Problem("user.changed")}))

    real = operation.view
    object.__setattr__(operation, "view", view)
    try:
        path = operation.path.replace("<user_id>", alice).replace("<engine>", "builtin")
        if "<channel_id>" in path:
            path = path.replace("<channel_id>", ada.post("/channels", HOOK).json["id"])
        body = BODIES.get(operation.name)
        first, again = (ada.post(path, body, headers={"Idempotency-Key": "k"}) for _ in range(2))
        assert first.status_code == 409, first.json
        assert again.status_code in (operation.status, 409) and done == [operation.name], again.json
        assert again.headers["Idempotency-Replayed"] == "true"
    finally:
        object.__setattr__(operation, "view", real)


def test_a_lost_answer_makes_no_second_link_and_zeroes_nothing_again(ada: Program, fleet: Fleet, alice: str) -> None:
    keys = {"Idempotency-Key": "k"}
    first, again = (ada.post(f"/users/{alice}/new-link", headers=keys) for _ in range(2))
    assert first.status_code == again.status_code == 200 and again.json == first.json
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true"
    third = ada.post(f"/users/{alice}/new-link", headers={"Idempotency-Key": "other"})
    assert third.json["secret"] != first.json["secret"]
    for path in (f"/users/{alice}/reset-traffic", "/traffic/reset"):
        before = sum(event.action == "traffic.reset" for event in fleet.events(limit=100))
        for _ in range(3):
            assert ada.post(path, headers={"Idempotency-Key": f"of {path}"}).status_code in (200, 204)
        assert sum(event.action == "traffic.reset" for event in fleet.events(limit=100)) == before + 1


def test_the_version_that_was_sent_with_a_lost_answer_keeps_nobody_from_asking_again(
        ada: Program, alice: str) -> None:
    tag = f'"{ada.get(f"/users/{alice}").json["version"]}"'
    sent = {"If-Match": tag, "Idempotency-Key": "k"}
    assert [ada.post(f"/users/{alice}/disable", headers=sent).status_code for _ in range(2)] == [200, 200]
    assert ada.post(f"/users/{alice}/enable", headers={**sent, "Idempotency-Key": "other"}).status_code == 412


def test_a_refused_one_leaves_its_key_free(ada: Program, fleet: Fleet, alice: str) -> None:
    fleet.remove("Alice")
    path = f"/users/{alice}/new-link"
    assert ada.post(path, headers={"Idempotency-Key": "k"}).status_code == 404
    fleet.restore("Alice")
    before = fleet.user(alice).secret
    assert ada.post(path, headers={"Idempotency-Key": "k"}).json["secret"] != before


def test_a_restored_user_and_a_taken_back_job_are_told_again(ada: Program, fleet: Fleet, alice: str) -> None:
    job = ada.post("/bulk", {"action": "disable", "ids": [alice]}).json["id"]
    until = time.monotonic() + 30
    while ada.get(f"/bulk/{job}").json["phase"] != "done":
        assert time.monotonic() < until
        time.sleep(0.02)
    two = [ada.post(f"/bulk/{job}/undo", headers={"Idempotency-Key": "u"}) for _ in range(2)]
    assert {each.status_code for each in two} == {202} and len({each.json["id"] for each in two}) == 1
    fleet.remove("Alice")
    two = [ada.post(f"/deleted-users/{alice}/restore", headers={"Idempotency-Key": "r"}) for _ in range(2)]
    assert [each.json["user"]["name"] for each in two] == ["Alice"] * 2
