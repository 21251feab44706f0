"""Starting, stopping and restarting proxies, all of them or one user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import create_app
from app.config.model import User
from app.control.outcome import Outcome
from app.engines.builtin import Builtin, BuiltinImage
from app.engines.mtg.engine import MtgImage
from app.lib import problem
from app.mtproto.secret import Secret
from app.web.outcomes import failures
from tests.support.docker_lab import eventually
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.html import read, text
from tests.web.visitor import NAME, PASSWORD, Visitor


@pytest.fixture
def alice(fleet: Fleet) -> str:
    return fleet.add_user("Alice").id


@pytest.fixture
def bob(fleet: Fleet, alice: str) -> str:
    return fleet.add_user("Bob").id


def states(fleet: Fleet) -> list[str]:
    return [user.state for user in fleet.users()]


def starts(fleet: Fleet) -> list[str]:
    return [run.run_id for run in fleet.runtime.observe()]


def offered(page: str) -> set[str]:
    """Where the links and forms of a page lead; those in a dialog are not seen before it is opened."""
    return {e.attributes.get("href") or e.attributes.get("action", "") for e in read(page)
            if e.tag in ("a", "form") and "dialog" not in e.inside}


def notices(page: str) -> str:
    return " ".join(e.text for e in read(page) if "notice" in e.attributes.get("class", "").split())


def test_stopping_all_asks_first_and_says_what_happens(admin: Visitor, fleet: Fleet, bob: str) -> None:
    question = text(admin.get("/stop").get_data(as_text=True))
    assert "Stop all proxies?" in question and "All connections are closed" in question
    assert "even if the server restarts" in question
    assert states(fleet) == ["running", "running"], "a question stops nothing"
    page = admin.post("/stop", follow_redirects=True).get_data(as_text=True)
    assert states(fleet) == ["stopped", "stopped"] and fleet.config().proxies_stopped
    assert "All connections are closed." in notices(page)
    assert "All proxies are stopped" in notices(page) and "Running 0 of 2" in text(page)
    events = fleet.ledger.events.recent()
    assert any((e.actor, e.action) == ("admin:ada", "proxies.stopped") for e in events)


def test_while_all_are_stopped_every_page_says_so_and_only_starting_is_offered(
        admin: Visitor, fleet: Fleet, bob: str) -> None:
    assert {"/stop", "/restart"} <= offered(admin.get("/").get_data(as_text=True))
    fleet.stop_all()
    for path in ("/", "/status"):
        page = admin.get(path).get_data(as_text=True)
        assert "/start" in offered(page), path
        assert not {"/stop", "/restart"} & offered(page), path
    page = admin.get(f"/users/{bob}").get_data(as_text=True)
    assert "This link does not work while the proxy is stopped." in notices(page)
    assert "start them on the dashboard" in notices(page)
    assert f"/users/{bob}/restart" not in offered(page)
    badges = [e.text for e in read(page) if "state-stopped" in e.attributes.get("class", "")]
    assert badges == ["Stopped"]
    assert "Stopped" in text(admin.get("/users").get_data(as_text=True))


def test_a_user_added_or_enabled_while_all_are_stopped_is_not_promised_a_working_link(
        admin: Visitor, fleet: Fleet, bob: str) -> None:
    fleet.stop_all()
    page = admin.post("/users/new", {"name": "Carol"}, follow_redirects=True).get_data(as_text=True)
    assert "This link does not work while the proxy is stopped." in notices(page)
    fleet.disable(bob)
    page = admin.post(f"/users/{bob}/enable", follow_redirects=True).get_data(as_text=True)
    assert "works again" not in text(page) and "This link does not work" in notices(page)


def test_starting_ends_the_stop_for_whoever_is_enabled(admin: Visitor, fleet: Fleet, bob: str) -> None:
    fleet.disable(bob)
    fleet.stop_all()
    page = admin.post("/start", follow_redirects=True).get_data(as_text=True)
    assert states(fleet) == ["running", "disabled"]
    assert "All proxies are started." in notices(page) and "are stopped" not in text(page)


def test_restarting_all_asks_first_and_restarts_whoever_runs(admin: Visitor, fleet: Fleet, bob: str) -> None:
    fleet.disable(bob)
    before = starts(fleet)
    question = text(admin.get("/restart").get_data(as_text=True))
    assert "Restart all proxies?" in question and "All connections are closed" in question
    assert starts(fleet) == before
    page = admin.post("/restart", follow_redirects=True).get_data(as_text=True)
    assert "All proxies are restarted." in notices(page)
    assert states(fleet) == ["running", "disabled"] and starts(fleet)[0] != before[0]


def test_restarting_what_is_stopped_says_what_to_do_instead(admin: Visitor, fleet: Fleet, bob: str) -> None:
    fleet.stop_all()
    page = admin.post("/restart", follow_redirects=True).get_data(as_text=True)
    assert "Start them instead." in notices(page) and states(fleet) == ["stopped", "stopped"]


def test_restarting_one_user_leaves_the_others_alone(
        admin: Visitor, fleet: Fleet, alice: str, bob: str) -> None:
    assert f"/users/{bob}/restart" in offered(admin.get(f"/users/{bob}").get_data(as_text=True))
    question = text(admin.get(f"/users/{bob}/restart").get_data(as_text=True))
    assert "Restart Bob's proxy?" in question and "Other users are not affected" in question
    before = starts(fleet)
    page = admin.post(f"/users/{bob}/restart", follow_redirects=True)
    assert page.request.path == f"/users/{bob}"
    assert "Bob's proxy is restarted." in notices(page.get_data(as_text=True))
    after = starts(fleet)
    assert after[0] == before[0] and after[1] != before[1]
    events = fleet.ledger.events.recent()
    assert any((e.actor, e.action, e.subject) == ("admin:ada", "proxy.restarted", "Bob") for e in events)


@pytest.mark.parametrize("state", ["disabled", "stopped"])
def test_a_user_who_should_not_run_is_not_restarted(
        admin: Visitor, fleet: Fleet, bob: str, state: str) -> None:
    fleet.disable(bob) if state == "disabled" else fleet.stop_all()
    page = admin.post(f"/users/{bob}/restart", follow_redirects=True).get_data(as_text=True)
    assert f"Nothing was restarted. State of Bob: {state}." in notices(page)
    assert fleet.user(bob).state == state


def test_a_stop_that_fails_for_one_is_told_and_not_called_done(
        admin: Visitor, fleet: Fleet, bob: str) -> None:
    fleet.runtime.machine.fail("stop", "mtg-proxy-2444", "the engine would not let go of it")
    page = admin.post("/stop", follow_redirects=True).get_data(as_text=True)
    assert states(fleet) == ["stopped", "running"]
    assert "1 failed. Bob: the engine would not let go of it" in notices(page)
    assert "All proxies should be stopped" in notices(page) and "1 still running" in notices(page)
    assert "All proxies are stopped" not in text(page) and "has ended" not in text(page)
    fleet.runtime.machine.fail("stop", "mtg-proxy-2444")
    fleet.reconcile()
    assert "All proxies are stopped" in text(admin.get("/").get_data(as_text=True))


def test_a_restart_that_fails_is_told_on_the_page_it_was_asked_on(
        admin: Visitor, fleet: Fleet, alice: str, bob: str) -> None:
    fleet.runtime.machine.fail("start", "mtg-proxy-2444", "no memory left")
    page = admin.post(f"/users/{bob}/restart", follow_redirects=True).get_data(as_text=True)
    assert "Bob: no memory left" in notices(page) and "is restarted" not in text(page)
    assert "Failed" in text(page)
    page = admin.post(f"/users/{alice}/restart", follow_redirects=True).get_data(as_text=True)
    assert "Alice's proxy is restarted." in notices(page) and "no memory" not in notices(page)
    page = admin.post("/restart", follow_redirects=True).get_data(as_text=True)
    assert "1 failed. Bob: no memory left" in notices(page) and "are restarted" not in text(page)
    page = admin.get("/").get_data(as_text=True)
    assert "/start" in offered(page), "what does not run can be started without ending what does"
    fleet.runtime.machine.fail("start", "mtg-proxy-2444")
    kept = starts(fleet)[0]
    page = admin.post("/start", follow_redirects=True).get_data(as_text=True)
    assert "Running 2 of 2" in text(page) and starts(fleet)[0] == kept


def test_a_hundred_failures_fit_into_what_a_browser_keeps(admin: Visitor, fleet: Fleet) -> None:
    secret = Secret.generate("www.example.com").hex
    with fleet.file.edit() as config:
        config.users += [User(id=f"{port:08x}", name=f"{port} " + "é" * 59, port=port, secret=secret)
                         for port in range(2443, 2543)]
    assert all(each.ok for each in fleet.reconcile())
    for port in range(2443, 2543):
        fleet.runtime.machine.fail("stop", f"mtg-proxy-{port}", "ü" * 200 + " reason" * 200)
    answer = admin.post("/stop")
    assert answer.status_code == 302
    assert all(len(cookie) < 4000 for cookie in answer.headers.getlist("Set-Cookie"))
    page = admin.get("/").get_data(as_text=True)
    assert "100 failed." in notices(page) and "and 97 more" in notices(page)


def test_failures_are_named_by_their_workload_when_they_are_nobodys() -> None:
    assert failures([Outcome("remove", "mtg-proxy-9", "", False, problem.text("it is stuck"))]) == (
        "1 failed. mtg-proxy-9: it is stuck")
    assert failures([Outcome("stop", "mtg-proxy-9", "Bob", True)]) == ""


def test_a_broken_configuration_stops_nothing_and_is_told(
        admin: Visitor, fleet: Fleet, bob: str, declaration: Path) -> None:
    admin.get("/")
    declaration.write_text(declaration.read_text().replace('"port": 2443', '"port": "many"'))
    broken = declaration.read_bytes()
    for path in ("/stop", "/start", "/restart"):
        answer = admin.post(path, follow_redirects=True)
        page = answer.get_data(as_text=True)
        assert answer.status_code == 200 and "'many' is not allowed" in notices(page), path
        assert "is declared" not in page or path == "/start", "only what was declared before"
    assert declaration.read_bytes() == broken
    assert {run.state for run in fleet.runtime.observe()} == {"running"}


def test_without_users_there_is_nothing_to_stop(admin: Visitor, fleet: Fleet) -> None:
    page = admin.get("/").get_data(as_text=True)
    assert not {"/start", "/stop", "/restart"} & offered(page)
    assert admin.post("/stop", follow_redirects=True).status_code == 200
    assert "/start" in offered(admin.get("/").get_data(as_text=True)), "a stop can always be ended"


def test_what_the_engine_does_not_do_is_told_at_the_foot_of_the_dashboard(
        admin: Visitor, fleet: Fleet) -> None:
    fleet.set_settings({"proxy_tag": "0123456789abcdef0123456789abcdef"})
    note = "proxy_tag is set, but the built-in engine does not use it."
    page = admin.get("/").get_data(as_text=True)
    assert note in text(page) and "proxy_tag" not in notices(page).lower()


@pytest.mark.parametrize(("runtime", "engine", "words", "trial"), [
    ("docker", MtgImage(), "Engine mtg Runs as Docker containers", False),
    ("process", Builtin(), "Engine built-in Runs as local processes", True),
    ("docker", BuiltinImage("panel"), "Engine built-in Runs as Docker containers", False),
])
def test_the_foot_names_what_runs_the_proxies(
        tmp_path: Path, runtime: str, engine: MtgImage | Builtin, words: str, trial: bool) -> None:
    memory = MemoryRuntime()
    memory.name = runtime
    fleet = Fleet(tmp_path / "data", memory, engine)
    fleet.create_admin(NAME, PASSWORD)
    visitor = Visitor(create_app(fleet).test_client())
    visitor.login()
    page = text(visitor.get("/").get_data(as_text=True))
    assert words in page
    assert ("The built-in engine is meant for trying out the panel." in page) is trial
    assert ("install mtg" in page) is trial


def test_an_old_image_is_offered_to_be_replaced_one_by_one(admin: Visitor, fleet: Fleet, bob: str) -> None:
    assert "/renew" not in offered(admin.get("/").get_data(as_text=True))
    fleet.runtime.machine.new_image()
    page = admin.get("/status").get_data(as_text=True)
    assert "2 proxies still run the old image" in notices(page) and "/renew" in offered(page)
    page = admin.post("/renew", follow_redirects=True).get_data(as_text=True)
    assert "one after the other" in notices(page)
    eventually(lambda: fleet.status().outdated == 0, "both are replaced")
    assert "old image" not in notices(admin.get("/").get_data(as_text=True))
    assert any((e.actor, e.action, e.subject) == ("admin:ada", "proxy.renewed", "Bob") for e in fleet.events())
