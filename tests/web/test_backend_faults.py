"""Every page of the URL map while a part of the server hangs or fails: each answers in time, says what is wrong in a
sentence, and no form loses what was typed."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import expect
from werkzeug.test import TestResponse

from app.config import file
from app.ledger import database
from app.runtimes.docker import client
from app.runtimes.docker.runtime import DockerRuntime
from tests.support.fleet import Fleet
from tests.support.silent_socket import silent_socket
from tests.web.desk import Desk
from tests.web.every_page import silent_runtime, unreadable
from tests.web.html import text
from tests.web.routes import every_page
from tests.web.visitor import Visitor

#: Seconds that Docker is waited for in these tests, so that a page which asks it more than once is seen.
PATIENCE = 1.0
#: Seconds that a page may take: one wait for what hangs, and what a busy machine needs.
BOUND = {"hanging": PATIENCE + 1.5, "locked": database.WAIT + 3.0}
#: What a GET of these does is to wait for news, or to leave.
NO_PAGES = ("/logs/stream", "/logout")
TYPED = "Typed by somebody"
FORMS = {"/users/new": {"name": TYPED}, "/users/import": {"names": TYPED}, "/plans/new": {"name": TYPED},
         "/admins": {"username": "typed", "password": "correct horse staple 9", "role": "viewer"},
         "/notifications/new/webhook": {"name": TYPED, "url": "https://hooks.example/x", "events": "expired"},
         "/settings/general": {"server_domain": "typed.example"}}

BUTTONS = ("/stop", "/start", "/check", "/settings/backup")


@contextmanager
def hanging(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The real runtime at an engine that takes connections and never answers."""
    monkeypatch.setattr(client, "QUICK", PATIENCE)
    monkeypatch.setattr(client, "PATIENT", PATIENCE)
    with silent_socket(tmp_path / "docker.sock") as url:
        monkeypatch.setattr(fleet, "runtime", DockerRuntime("test", url=url))
        yield


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing more can be written into config.json."""
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file, "put", full)
    yield


@contextmanager
def locked(fleet: Fleet) -> Iterator[None]:
    """Another program is writing panel.db, and does not end."""
    other = sqlite3.connect(fleet.data_dir / "panel.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def faults(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, AbstractContextManager[None]]:
    return {"hanging": hanging(fleet, monkeypatch, tmp_path), "failing": silent_runtime(fleet),
            "unreadable": unreadable(fleet), "full": full_disk(monkeypatch), "locked": locked(fleet)}


@pytest.mark.parametrize("fault", ["hanging", "failing", "unreadable", "full", "locked"])
def test_every_page_answers_in_time_and_no_form_loses_what_was_typed(
        panel: Flask, fleet: Fleet, admin: Visitor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        fault: str) -> None:
    fleet.add_user("Ann")
    fleet.add_plan("Friends")
    token, slow, broken, lost = admin.token("/users/new"), {}, {}, []
    pages = [path for path in every_page(panel, fleet) if not path.startswith(NO_PAGES)]

    def timed(path: str, answer: Callable[[], TestResponse]) -> TestResponse:
        began = time.monotonic()
        said = answer()
        if (took := time.monotonic() - began) > BOUND.get(fault, 1.5):
            slow[path] = round(took, 1)
        if said.status_code >= 500 and not (path == "/healthz" or said.status_code == 503):
            broken[path] = said.status_code
        return said

    with faults(fleet, monkeypatch, tmp_path)[fault]:
        for path in pages:
            timed(path, lambda: admin.get(path))
        for path, fields in FORMS.items():
            said = timed(f"POST {path}", lambda: admin.client.post(path, data={"csrf_token": token, **fields}))
            if said.status_code not in (302, 303) and next(iter(fields.values())) not in said.text:
                lost.append((path, said.status_code, text(said.text)[:300]))
        for path in BUTTONS:
            timed(f"POST {path}", lambda: admin.client.post(path, data={"csrf_token": token}))
    assert (slow, broken, lost) == ({}, {}, [])
    assert admin.get("/users").status_code == 200


def test_in_a_browser_a_docker_that_hangs_is_a_sentence_and_the_panel_stays_usable(
        desk: Desk, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fleet.add_user("Ann")
    page = desk.page
    with hanging(fleet, monkeypatch, tmp_path):
        desk.go("/")
        silence = page.get_by_role("alert").filter(has_text="does not answer")
        expect(silence).to_be_visible()
        desk.go("/users/new")
        page.get_by_label("Name", exact=True).fill(TYPED)
        began = time.monotonic()
        with desk.next_page():
            page.get_by_role("button", name="Add", exact=False).first.click()
        assert time.monotonic() - began < 10
        expect(page.get_by_text(TYPED).first).to_be_visible()
        expect(page.get_by_text("does not answer").first).to_be_visible()
    assert {user.name for user in fleet.users()} == {"Ann", TYPED}, "it is saved, and served when Docker is back"
    assert [each for each in desk.complaints if "409" not in each] == []
