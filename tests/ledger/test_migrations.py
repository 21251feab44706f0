"""Which versions can work with a file that this one has migrated."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from app.ledger import migrations
from app.ledger.ledger import Ledger
from app.ledger.migrations import STEPS, migrate, readable_by
from app.messages import Problem, text

NEW_TABLE = "CREATE TABLE extra (id INTEGER); CREATE INDEX extra_id ON extra (id);"


@pytest.mark.parametrize(("step", "needed"), [
    (NEW_TABLE, 1),
    ("ALTER TABLE traffic ADD COLUMN x INTEGER NOT NULL DEFAULT 0;   -- bytes; of all", 1),
    ("ALTER TABLE traffic ADD COLUMN x INTEGER NULL;", 1),
    ("ALTER TABLE traffic ADD COLUMN x INTEGER NOT NULL;", 2),
    ("DROP TABLE events;", 2), ("ALTER TABLE events RENAME TO log;", 2), ("UPDATE traffic SET down = 0;", 2),
    (NEW_TABLE + "DELETE FROM events;", 2),
])
def test_a_version_must_know_the_last_step_that_did_more_than_add(step: str, needed: int) -> None:
    assert readable_by((STEPS[0], step)) == needed
    assert readable_by((STEPS[0], step, NEW_TABLE)) == needed


def test_a_file_of_a_newer_version_that_only_added_is_read_and_written(tmp_path, monkeypatch) -> None:
    newer = (*STEPS, NEW_TABLE, "ALTER TABLE traffic ADD COLUMN extra INTEGER NOT NULL DEFAULT 7;")
    assert readable_by(newer) <= len(STEPS)
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "STEPS", newer)
        Ledger(tmp_path).events.record("cli", "seen by the newer one", "")
    ledger = Ledger(tmp_path)
    ledger.events.record("cli", "seen by the older one", "")
    assert len(ledger.events.recent()) == 2
    db = sqlite3.connect(tmp_path / "panel.db", isolation_level=None)
    assert db.execute("PRAGMA user_version").fetchone()[0] == len(newer)
    migrate(db)
    assert db.execute("PRAGMA user_version").fetchone()[0] == len(newer), "an older version takes nothing back"


def test_what_was_kept_in_words_is_read_as_it_was(tmp_path) -> None:
    words = next(number for number, step in enumerate(STEPS) if "events RENAME COLUMN detail" in step)
    db = sqlite3.connect(tmp_path / "panel.db", isolation_level=None)
    for step in STEPS[:words]:
        db.executescript(step)
    db.execute(f"PRAGMA user_version = {words}")
    db.execute("INSERT INTO events (at, actor, action, subject, detail) "
               "VALUES (1, 'cli', 'user changed', 'Ann', 'port')")
    db.execute("INSERT INTO problems VALUES ('mtg-proxy-2443', 'port 2443 is {taken}', 1)")
    db.execute("INSERT INTO slow VALUES ('link', 'run', 'nginx was down')")
    db.execute("INSERT INTO certificates (name, domains, reason) VALUES ('panel', 'a.example', '{\"code\": 1}'), "
               "('cover', 'b.example', '')")
    db.execute("INSERT INTO closed_covers VALUES ('c.example', 'leads to 127.0.0.1')")
    db.close()
    ledger = Ledger(tmp_path)
    assert [event.detail for event in ledger.events.recent()] == ["port"]
    assert ledger.workloads.problems() == {"mtg-proxy-2443": text("port 2443 is {taken}")}
    assert ledger.workloads.slow() == {("link", "run"): text("nginx was down")}
    assert [row.problem for row in ledger.certificates.all().values()] == [None, text('{"code": 1}')]
    assert ledger.strangers.closed_covers() == {"c.example": text("leads to 127.0.0.1")}


def test_what_is_kept_as_a_code_is_read_as_the_same_problem(tmp_path) -> None:
    ledger, told = Ledger(tmp_path), Problem("cover.inside", {"addresses": ["127.0.0.1", "10.0.0.1"]})
    ledger.strangers.set_cover("c.example", told)
    without = Problem("certificate.without", {"names": ["a"], "reason": told})
    ledger.certificates.failed("panel", ["a.example"], without, 1)
    ledger.events.record("panel", "create failed", "Ann", told)
    assert ledger.strangers.closed_covers() == {"c.example": told}
    assert ledger.certificates.all()["panel"].problem == without
    assert ledger.events.recent()[0].problem == told
    assert ledger.events.recent()[0].detail.startswith("leads to 127.0.0.1, 10.0.0.1, which is not a public address")


def at_step(path: Path, marker: str) -> sqlite3.Connection:
    """A file as it was before the step that holds this."""
    step = next(number for number, text in enumerate(STEPS) if marker in text)
    db = sqlite3.connect(path / "panel.db", isolation_level=None)
    for each in STEPS[:step]:
        db.executescript(each)
    db.execute(f"PRAGMA user_version = {step}")
    return db


def test_what_older_versions_wrote_of_an_action_is_its_code_and_what_is_none_stays_a_text(tmp_path: Path) -> None:
    db = at_step(tmp_path, "UPDATE events SET action")
    told = {"user added": "user.added", "blocked at the limit": "user.blocked", "create failed": "proxy.create_failed",
            "killed: it used more than its 256 MB of memory": "killed: it used more than its 256 MB of memory"}
    db.executemany("INSERT INTO events (at, actor, action, subject, params) VALUES (1, 'cli', ?, 'Ann', 'port')",
                   [(action,) for action in told])
    db.execute("INSERT INTO failed_logins (subject, source, first, at, count) "
               "VALUES ('an unknown name', '127.0.0.1 (this server''s own door)', 1, 1, 1)")
    db.close()
    found = Ledger(tmp_path).events.recent(subject="Ann")
    assert [event.action for event in found][::-1] == list(told.values())
    assert [event.done for event in found][::-1] == ["user added", "blocked at the limit", "proxy could not be created",
                                                     "killed: it used more than its 256 MB of memory"]
    assert all(event.message == f"{event.done}, Ann (port)" for event in found)
    (login,) = (event for event in Ledger(tmp_path).events.recent() if event.action.startswith("login"))
    assert (login.action, login.subject) == ("login.failed_unknown", "")
    assert login.detail == "from 127.0.0.1 (this server's own door)"


def test_the_place_of_a_failed_login_is_kept_as_a_code(tmp_path: Path) -> None:
    events, door = Ledger(tmp_path).events, Problem("place.own_door", {"network": text("127.0.0.1")})
    for _ in range(2):
        events.record_failed_login("ada", door)
    events.record_failed_login("ada", text("127.0.0.1"))
    told = events.recent()
    assert [(event.problem.code, event.problem.params["place"]) for event in told] == \
        [("event.from", text("127.0.0.1")), ("event.failures", door)]
    assert told[1].problem.params["count"] == 2
