"""Start, stop and restart of all: under way beside the pages, seen by whoever looks, with script and without."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import expect

from app.control.at_work import AtWork
from app.runtimes.base import RuntimeFailure
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.desk import Desk
from tests.web.html import read, text
from tests.web.visitor import Visitor


@pytest.fixture
def door(panel: Flask, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Ten users. Each proxy that is stopped waits for one more release; nobody waits for that."""
    panel.extensions["all_proxies"].patience = 0.0
    with fleet.file.edit() as config:
        config.proxies_stopped = True
    for number in range(10):
        fleet.add_user(f"User {number}")
    fleet.start_all()
    passed, stop = threading.Semaphore(0), MemoryRuntime.stop

    def slowly(self: MemoryRuntime, *given: object, **more: object) -> object:
        passed.acquire()
        return stop(self, *given, **more)

    monkeypatch.setattr(MemoryRuntime, "stop", slowly)
    yield passed
    passed.release(100)
    if work := panel.extensions["all_proxies"].last:
        work.over.wait(30)


def shown(visitor: Visitor, path: str = "/") -> str:
    return text(f"<html>{visitor.get(path).get_data(as_text=True)}</html>")


def soon(test) -> bool:
    ends = time.monotonic() + 30
    while not (found := test()) and time.monotonic() < ends:
        time.sleep(0.01)
    return found


def test_nobody_waits_and_every_admin_sees_how_far_it_is(
        panel: Flask, admin: Visitor, fleet: Fleet, door: threading.Semaphore) -> None:
    fleet.create_admin("bob", "correct horse battery 2", sudo=False)
    bob = Visitor(panel.test_client())
    bob.login("bob", "correct horse battery 2")
    began = time.monotonic()
    page = admin.post("/stop", follow_redirects=True).get_data(as_text=True)
    assert "Stopping all proxies…" in text(page) and time.monotonic() - began < 20
    assert any(e.tag == "meta" and e.attributes.get("http-equiv") == "refresh" for e in read(page)), "without script"
    door.release(3)
    assert soon(lambda: "3 of 10" in shown(bob, "/status/work")), "it is the same one for everybody"
    assert "Stopping all proxies…" in shown(bob, "/status") and "3 of 10" in shown(admin, "/")
    door.release(7)
    assert soon(lambda: "All connections are closed." in shown(bob, "/status/work"))
    assert "http-equiv" not in admin.get("/").get_data(as_text=True)
    assert all(user.state == "stopped" for user in fleet.users())


def test_a_second_press_begins_nothing_new(admin: Visitor, fleet: Fleet, door: threading.Semaphore) -> None:
    for _ in range(3):
        admin.post("/restart")
    door.release(10)
    assert soon(lambda: "All proxies are restarted." in shown(admin, "/status/work"))
    assert [event.action for event in fleet.ledger.events.recent(20)].count("proxies.restarted") == 1


def test_a_stop_may_follow_a_start_that_is_under_way(admin: Visitor, fleet: Fleet, door: threading.Semaphore) -> None:
    admin.post("/restart")
    admin.post("/stop")
    door.release(100)
    assert soon(lambda: "All connections are closed." in shown(admin, "/status/work"))
    assert {user.state for user in fleet.users()} == {"stopped"}


def test_what_failed_is_told_to_whoever_looks(
        panel: Flask, admin: Visitor, fleet: Fleet, door: threading.Semaphore, monkeypatch) -> None:
    def fails(self: MemoryRuntime, name: str, *more: object) -> None:
        door.acquire()
        raise RuntimeFailure("runtime.no_config", name=name)

    monkeypatch.setattr(MemoryRuntime, "stop", fails)
    admin.post("/stop")
    door.release(10)
    assert soon(lambda: "10 failed." in shown(admin, "/status/work"))


def test_one_may_leave_and_come_back(desk: Desk, fleet: Fleet, door: threading.Semaphore) -> None:
    page = desk.page
    page.reload()
    page.get_by_text("All proxies", exact=True).click()
    page.get_by_role("link", name="Stop all").click()
    page.get_by_role("dialog", name="Stop all proxies?").get_by_role("button", name="Stop all").click()
    expect(page.get_by_text("Stopping all proxies…")).to_be_visible()
    desk.go("/users")
    desk.go("/")
    door.release(4)
    expect(page.get_by_text("4 of 10")).to_be_visible()
    door.release(6)
    expect(page.get_by_text("All connections are closed.").first).to_be_visible()


COMMAND = """
import sys
from pathlib import Path
from app.control.at_work import AtWork
work = AtWork(Path(sys.argv[1]))
with work.hold():
    work.tell(12, 54)
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def command(fleet: Fleet) -> Iterator[subprocess.Popen[str]]:
    """Another program that has done 12 of 54, until its input ends."""
    with subprocess.Popen([sys.executable, "-c", COMMAND, str(fleet.data_dir)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout and program.stdout.readline() == "begun\n"
        yield program
        program.kill()


def test_how_far_a_command_is_is_seen_until_it_ends_or_is_killed(
        admin: Visitor, command: subprocess.Popen[str]) -> None:
    for path in ("/", "/status/work"):
        assert "Another program, such as a command, is at work… 12 of 54" in shown(admin, path)
    command.kill()
    command.wait(30)
    assert "Another program" not in shown(admin)


def test_what_is_begun_meanwhile_waits_and_says_for_what(
        panel: Flask, admin: Visitor, fleet: Fleet, command: subprocess.Popen[str]) -> None:
    work = panel.extensions["all_proxies"]
    work.patience = 0.0
    page = text(admin.post("/stop", follow_redirects=True).get_data(as_text=True))
    assert "It begins when another program, such as a command, is done: 12 of 54." in page
    command.communicate("")
    assert work.latest.over.wait(30) and not work.latest.trouble
    assert fleet.config().proxies_stopped


def test_a_pass_of_this_process_is_told_to_others_and_not_to_itself(
        panel: Flask, admin: Visitor, fleet: Fleet, door: threading.Semaphore) -> None:
    other = AtWork(fleet.data_dir)
    assert other.elsewhere() is None
    admin.post("/stop")
    door.release(3)
    assert soon(lambda: (seen := other.elsewhere()) and seen == (3, 10))
    assert fleet.reconciler.at_work.elsewhere() is None and "Another program" not in shown(admin)
    door.release(100)
    assert panel.extensions["all_proxies"].last.over.wait(30)
    assert other.elsewhere() is None
