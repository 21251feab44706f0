"""The panel while the runtime (a Docker engine, say) does not answer."""

from __future__ import annotations

import pytest

from app.runtimes.base import RuntimeUnavailable
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.html import read, text
from tests.web.visitor import Visitor

WHY = "Docker does not answer: start it with systemctl start docker"
VERBS = ("place", "port_taken", "port_free", "observe", "create", "start", "update", "stop", "remove", "logs",
         "merged_logs", "followed_logs", "samples", "throttle", "throttled", "wait", "foreign", "adopt", "notices")


@pytest.fixture
def bob(fleet: Fleet) -> str:
    return fleet.add_user("Bob").id


@pytest.fixture
def silent(fleet: Fleet, bob: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From now on no verb of the runtime works, until this is undone."""
    def gone(*_: object, **__: object) -> None:
        raise RuntimeUnavailable(WHY)

    for verb in VERBS:
        assert hasattr(MemoryRuntime, verb)
        monkeypatch.setattr(fleet.runtime, verb, gone)
    return monkeypatch


def test_every_page_works_and_says_why_it_knows_nothing(
        admin: Visitor, bob: str, silent: pytest.MonkeyPatch) -> None:
    paths = ["/", "/status", "/users", "/users/list", "/users/new", "/logs", "/logs/lines", *(
        f"/users/{bob}{rest}" for rest in ("", "/state", "/edit", "/rotate", "/restart", "/remove"))]
    for path in paths:
        answer = admin.get(path)
        assert answer.status_code == 200, path
        page = answer.get_data(as_text=True)
        assert text(page if "<html" in page else f"<html>{page}</html>").count(WHY) == 1, path
    for path in ("/stop", "/restart", f"/users/{bob}/qr.svg", f"/users/{bob}/qr.png"):
        assert admin.get(path).status_code == 200, path


def test_a_state_that_is_not_known_has_a_word_and_is_not_called_stopped(
        admin: Visitor, fleet: Fleet, bob: str, silent: pytest.MonkeyPatch) -> None:
    for path in ("/users", f"/users/{bob}"):
        page = read(admin.get(path).get_data(as_text=True))
        badges = {e.text for e in page if "state" in e.attributes.get("class", "").split()}
        assert badges == {"Unknown"}, path
    dashboard = text(admin.get("/").get_data(as_text=True))
    assert "Running ? of 1" in dashboard and "Online now ? can't be seen" in dashboard and "1 unknown" in dashboard
    user_page = read(admin.get(f"/users/{bob}").get_data(as_text=True))
    assert fleet.user(bob).tme_link in {e.attributes.get("value") for e in user_page}, "the link is known"


def test_every_button_answers_and_what_was_declared_is_done_when_the_runtime_is_back(
        admin: Visitor, fleet: Fleet, bob: str, silent: pytest.MonkeyPatch) -> None:
    carol = fleet.add_user("Carol").id
    for path, promise in (
            ("/stop", "All proxies are stopped. All"), ("/start", "are started"), ("/restart", "are restarted"),
            (f"/users/{bob}/restart", "is restarted"), (f"/users/{bob}/rotate", "no longer works"),
            (f"/users/{carol}/disable", "connections of this user"), (f"/users/{carol}/enable", "valid again"),
            (f"/users/{bob}/remove", "is deleted")):
        answer = admin.post(path, follow_redirects=True)
        page = text(answer.get_data(as_text=True))
        assert answer.status_code == 200 and WHY in page, path
        assert promise not in page, f"{path} promises what has not happened"
    answer = admin.post("/users/new", {"name": "Dora"}, follow_redirects=True)
    assert answer.status_code == 200 and WHY in text(answer.get_data(as_text=True))
    answer = admin.post(f"/users/{carol}/edit", {
        "name": "Caroline", "domain": fleet.user(carol).domain}, follow_redirects=True)
    assert "Caroline is saved." in text(answer.get_data(as_text=True))

    silent.undo()
    fleet.reconcile()
    assert {user.name: user.state for user in fleet.users()} == {"Caroline": "running", "Dora": "running"}
    assert {run.user_id for run in fleet.runtime.observe()} == {user.id for user in fleet.users()}
    assert WHY not in text(admin.get("/").get_data(as_text=True))


def test_a_stop_while_the_runtime_is_silent_is_declared_and_not_called_done(
        admin: Visitor, fleet: Fleet, bob: str, silent: pytest.MonkeyPatch) -> None:
    page = text(admin.post("/stop", follow_redirects=True).get_data(as_text=True))
    assert fleet.config().proxies_stopped
    assert "Saved: all proxies are to stop" in page
    assert "All proxies should be stopped" in page and "can't be seen" in page
    assert "All proxies are stopped" not in page
    silent.undo()
    fleet.reconcile()
    assert "All proxies are stopped" in text(admin.get("/").get_data(as_text=True))
    assert fleet.user(bob).state == "stopped"


def test_a_user_who_is_added_meanwhile_is_not_promised_a_link_that_works(
        admin: Visitor, fleet: Fleet, silent: pytest.MonkeyPatch) -> None:
    page = text(admin.post("/users/new", {"name": "Dora"}, follow_redirects=True).get_data(as_text=True))
    assert "Dora is added. The link works as soon as" in page and "Send the link" not in page
