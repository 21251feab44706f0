"""Which versions can work with a file that this one has migrated."""

from __future__ import annotations

import sqlite3

import pytest

from app.ledger import migrations
from app.ledger.ledger import Ledger
from app.ledger.migrations import STEPS, migrate, readable_by

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
