"""What is done to many users at once: one change, one pass, and who failed and why."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from app.config.model import User
from app.control.reconcile import Reconciler
from app.mtproto.secret import Secret
from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.visitor import Visitor


@pytest.fixture
def cast(fleet: Fleet) -> dict[str, str]:
    """Ids by name."""
    return {name: fleet.add_user(name, limit_gb=limit, expires=expires).id for name, limit, expires in (
        ("Alice", "5", "2099-01-31"), ("Bob", "10", None), ("O'Brien <b>\"&\\", None, "2099-01-31"))}


def chosen(admin: Visitor, what: str, ids: list[str], value: str = "", **more: str) -> TestResponse:
    """What the list sends, and then what the question does."""
    fields = {"what": what, "id": ids, **more}
    question = admin.post("/users/bulk/ask", fields)
    assert question.status_code == 200, question.location
    return admin.post("/users/bulk/do", {**fields, "value": value})


def done(admin: Visitor, answer: TestResponse) -> str:
    """The page of a job that has ended, as text."""
    assert answer.status_code == 302, text(answer.get_data(as_text=True))
    for _ in range(600):
        page = admin.get(answer.location).get_data(as_text=True)
        if "Back to the users" in page:
            return text(page)
        time.sleep(0.05)
    raise AssertionError("it did not end")


def passes(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with each pass, and each time that the declaration is saved."""
    seen: list[str] = []
    save = type(fleet.file)._save
    monkeypatch.setattr(Reconciler, "_pass", lambda self, *a, _was=Reconciler._pass, **k: (
        seen.append("pass"), _was(self, *a, **k))[1])
    monkeypatch.setattr(type(fleet.file), "_save", lambda self, *a: (
        seen.append("save"), save(self, *a))[1])
    return seen


def test_those_ticked_are_changed_by_one_save_and_one_pass_and_stand_in_one_line_of_the_log(
        admin: Visitor, fleet: Fleet, cast: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = passes(fleet, monkeypatch)
    page = done(admin, chosen(admin, "disable", [cast["Alice"], cast["Bob"]]))
    assert "2 users are changed." in page
    assert [user.state for user in fleet.users()] == ["disabled", "disabled", "running"]
    assert seen == ["save", "pass"]
    event, *others = [e for e in fleet.events() if e.actor == "admin:ada" and e.action.startswith("users.")]
    assert event.message == "users disabled (2 users: Alice, Bob)" and others == []


def test_the_question_names_them_and_needs_no_script(admin: Visitor, fleet: Fleet, cast: dict[str, str]) -> None:
    page = admin.post("/users/bulk/ask", {"what": "delete", "id": list(cast.values())}).get_data(as_text=True)
    assert "Delete users: 3 users" in text(page) and "O'Brien <b>\"&\\" in text(page)
    assert len(fleet.users()) == 3
    sent = [e.attributes["value"] for e in read(page) if e.attributes.get("name") == "id"]
    assert sent == list(cast.values())


def test_each_kind_of_change(admin: Visitor, fleet: Fleet, cast: dict[str, str]) -> None:
    everybody = list(cast.values())
    page = done(admin, chosen(admin, "add_traffic", everybody, "2,5"))
    assert [user.own_limit_gb for user in fleet.users()] == [7.5, 12.5, 0]
    assert "1 could not be changed" in page and "O'Brien <b>\"&\\: the user has no traffic limit" in page
    page = done(admin, chosen(admin, "extend", everybody, "10"))
    assert [user.expires_at and user.expires_at[:10] for user in fleet.users()] == ["2099-02-11", None, "2099-02-11"]
    assert "Bob: the user's access has no last day" in page
    done(admin, chosen(admin, "limit", everybody, "none"))
    assert [user.own_limit_gb for user in fleet.users()] == [None] * 3
    done(admin, chosen(admin, "tag", everybody, "family"))
    done(admin, chosen(admin, "untag", everybody[:1], "Family"))
    assert "2 users are changed. 1 was so already." in done(admin, chosen(admin, "untag", everybody, "Family"))
    done(admin, chosen(admin, "reset", everybody))
    assert all(user.period_since for user in fleet.users())
    assert "3 users are deleted." in done(admin, chosen(admin, "delete", everybody))
    assert fleet.users() == [] and fleet.runtime.observe() == []


@pytest.mark.parametrize(("what", "value", "told"), [
    ("add_traffic", "0", "allowed: a number of GB that is more than 0"), ("add_traffic", "", "more than 0"),
    ("add_traffic", "none", "more than 0"), ("add_traffic", "1e9", "is not allowed"),
    ("limit", "-1", "is not allowed"), ("extend", "0", "1 to 3,660"), ("extend", "99999", "1 to 3,660"),
    ("extend", "٣", "1 to 3,660"), ("tag", "", "is not one tag"), ("tag", "a, b", "is not one tag")])
def test_what_is_typed_wrong_is_said_and_nothing_is_changed(
        admin: Visitor, declaration: Path, cast: dict[str, str], what: str, value: str, told: str) -> None:
    before = declaration.read_bytes()
    answer = chosen(admin, what, list(cast.values()), value)
    assert answer.status_code == 422 and told in text(answer.get_data(as_text=True))
    assert declaration.read_bytes() == before


def test_nobody_or_nothing_chosen_is_said(admin: Visitor, cast: dict[str, str]) -> None:
    for fields in ({"what": "disable"}, {"what": "disable", "id": "nobody"}, {"what": "", "id": cast["Bob"]},
                   {"what": "shoot", "id": cast["Bob"]}):
        answer = admin.post("/users/bulk/ask", {**fields, "back": "q=o"})
        assert answer.location == "/users?q=o", fields
    assert admin.post("/users/bulk/do", {"what": "shoot", "id": cast["Bob"]}).status_code == 400
    assert admin.post("/users/bulk/do", {"what": "disable", "id": "nobody"}).status_code == 422


def test_all_that_match_are_those_that_were_counted(admin: Visitor, fleet: Fleet, cast: dict[str, str]) -> None:
    page = admin.post("/users/bulk/ask", {"what": "disable", "all": "1", "back": "q=ali"}).get_data(as_text=True)
    assert "Disable users: 1 user" in text(page)
    fleet.add_user("Alina")
    answer = admin.post("/users/bulk/do", {"what": "disable", "all": "1", "back": "q=ali"})
    assert answer.status_code == 422 and "2 users match now, and not 1 as before" in text(answer.get_data(as_text=True))
    assert all(user.enabled for user in fleet.users())
    done(admin, admin.post("/users/bulk/do", {"what": "disable", "all": "2", "back": "q=ali"}))
    assert [user.name for user in fleet.users() if not user.enabled] == ["Alice", "Alina"]


def test_whoever_is_deleted_meanwhile_is_named_and_the_others_are_changed(
        admin: Visitor, fleet: Fleet, cast: dict[str, str]) -> None:
    ids = [cast["Alice"], cast["Bob"]]
    admin.post("/users/bulk/ask", {"what": "disable", "id": ids})
    fleet.remove("Bob")
    assert "1 user is changed." in done(admin, admin.post("/users/bulk/do", {"what": "disable", "id": ids}))


def test_a_change_can_be_undone_but_for_who_was_changed_again(
        admin: Visitor, fleet: Fleet, cast: dict[str, str]) -> None:
    answer = chosen(admin, "limit", list(cast.values()), "99")
    done(admin, answer)
    fleet.update_user("Bob", {"limit_gb": "7"})
    undone = admin.post(f"{answer.location}/undo")
    page = done(admin, undone)
    assert "2 users are changed." in page and "Bob: somebody has changed it again since" in page
    assert [user.own_limit_gb for user in fleet.users()] == [5, 7, 0]
    assert "This was undone." in done(admin, answer)
    assert "can't be undone, or already was" in text(
        admin.post(f"{answer.location}/undo", follow_redirects=True).get_data(as_text=True))


def test_those_deleted_are_kept_and_come_back_with_an_undo(
        admin: Visitor, fleet: Fleet, cast: dict[str, str]) -> None:
    links = [user.tg_link for user in fleet.users()]
    answer = chosen(admin, "delete", list(cast.values()))
    done(admin, answer)
    assert "3 deleted users" in text(admin.get("/users").get_data(as_text=True))
    assert "3 users are changed." in done(admin, admin.post(f"{answer.location}/undo"))
    assert [user.tg_link for user in fleet.users()] == links


def test_proxies_that_do_not_start_are_told_beside_their_users(
        admin: Visitor, fleet: Fleet, cast: dict[str, str]) -> None:
    done(admin, chosen(admin, "disable", list(cast.values())))
    port = fleet.user("Bob").port
    fleet.runtime.machine.fail("start", f"mtg-proxy-{port}", "no room")
    page = done(admin, chosen(admin, "enable", list(cast.values())))
    assert "3 users are changed." in page and "Saved, but not applied yet" in page and "no room" in page


def test_progress_is_told_while_it_runs_and_the_page_needs_no_script(
        admin: Visitor, fleet: Fleet, cast: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    slow = fleet.runtime.stop
    monkeypatch.setattr(fleet.runtime, "stop", lambda name: (time.sleep(1), slow(name)))
    answer = chosen(admin, "disable", list(cast.values()))
    assert time.monotonic() - began < 30
    page = admin.get(answer.location).get_data(as_text=True)
    assert 'http-equiv="refresh"' in page and ("Saving the change to 3 users" in text(page) or "Saved." in text(page))
    assert "3 users are changed." in done(admin, answer)
    assert admin.get("/users/bulk/job/unknown/state").location == "/users"
    assert admin.get("/users/bulk/job/unknown").location == "/users"


def test_an_export_holds_no_formula(admin: Visitor, fleet: Fleet, cast: dict[str, str]) -> None:
    for name in ("=1+1", "@SUM(A1)", "-Bob", "+7 900", "a\"b,c"):
        fleet.add_user(name, note="=cmd|' /C calc'!A0")
    answer = admin.post("/users/bulk/ask", {"what": "export", "all": "8"})
    assert answer.mimetype == "text/csv" and "attachment" in answer.headers["Content-Disposition"]
    assert answer.data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert [row["name"] for row in rows[3:]] == ["'=1+1", "'@SUM(A1)", "'-Bob", "'+7 900", "a\"b,c"]
    assert rows[3]["note"].startswith("'=") and rows[0]["link"] == fleet.user("Alice").tme_link
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_five_thousand_users_are_changed_by_one_save(admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    with fleet.file.edit() as config:
        config.proxies_stopped = True
        config.users = [User(id=f"u{number:05}", name=f"Number {number}", port=3000 + number,
                             secret=Secret.generate("www.example.com").hex, fake_tls_domain="www.example.com",
                             enabled=False) for number in range(5000)]
    answer = admin.post("/users/bulk/do", {"what": "tag", "value": "all", "all": "5000"})
    assert "5000 users are changed." in done(admin, answer)
    assert all(user["tags"] == ["all"] for user in json.loads(declaration.read_bytes())["users"])


def test_names_that_are_pasted_become_users_all_or_none(
        admin: Visitor, fleet: Fleet, declaration: Path, cast: dict[str, str]) -> None:
    before = declaration.read_bytes()
    bad = admin.post("/users/import", {"names": "Carol\r\nbob\r\n\r\n  Dora \r\ncarol\r\n" + "x" * 65})
    page = text(bad.get_data(as_text=True))
    assert bad.status_code == 422 and declaration.read_bytes() == before
    assert "Bob" in page and "already" in page and "65 characters" in page and "twice" in page
    good = admin.post("/users/import", {"names": "Carol\n  Dora \nعلی‌رضا\n", "limit_gb": "3", "tags": "club"})
    page = done(admin, good)
    assert "3 users are added." in page
    new = fleet.users()[3:]
    assert [(user.name, user.own_limit_gb, user.state) for user in new] == [
        (name, 3, "running") for name in ("Carol", "Dora", "علی‌رضا")]
    links = admin.get(f"{good.location}/links").get_data(as_text=True).splitlines()
    assert links == [f"{user.name}\t{user.tme_link}" for user in new]


def test_what_all_new_users_get_is_refused_once(admin: Visitor, fleet: Fleet) -> None:
    answer = admin.post("/users/import", {"names": "Carol\nDora", "limit_gb": "many", "expires": "2001-01-01"})
    page = text(answer.get_data(as_text=True))
    assert page.count("'many' is not allowed") == page.count("'2001-01-01' is in the past") == 1
    assert fleet.users() == []
    for names in ("", "\n \n", "\n".join(f"N{number}" for number in range(501))):
        assert admin.post("/users/import", {"names": names}).status_code == 422


def test_what_is_under_way_is_seen_on_the_list_by_every_admin_until_it_is_done(
        admin: Visitor, fleet: Fleet, cast: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(Reconciler, "_pass", lambda self, *a, _was=Reconciler._pass, **k: (
        go.wait(60), _was(self, *a, **k))[1])
    begun = admin.post("/users/bulk/do", {"what": "disable", "id": [cast["Alice"], cast["Bob"]]})
    listed = admin.get("/users/list").text
    assert "Disable users · 2 users · ada" in text(f"<html>{listed}</html>") and begun.location.split("?")[0] in listed
    go.set()
    done(admin, begun)
    assert begun.location.split("?")[0] not in admin.get("/users/list").text
