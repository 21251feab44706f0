"""The audit log: who did what to whom, and what the panel repaired by itself."""

from __future__ import annotations

import heapq
import itertools
import sqlite3
import time
from dataclasses import dataclass

from app.ledger.database import Database
from app.lib.problem import TEXT
from app.messages import ENGLISH, Problem, coded, sentence, text

KEPT = 10_000
#: Failed logins are counted apart, so that a stranger's thousands push nothing else out: those for one name from one
#: place are one entry for so many seconds, and so many entries are kept.
FAILURES_KEPT, FAILURES_TOGETHER = 500, 3600.0


@dataclass(frozen=True)
class Event:
    """at: Unix seconds. actor: 'cli', 'panel' or 'admin:NAME'. action: the code of what was done (one of older versions
    may be a text). subject: whom or what it was done to. problem: the detail, as data; the empty text for none."""

    at: float
    actor: str
    action: str
    subject: str
    problem: Problem

    @property
    def done(self) -> str:
        """The action in words."""
        return sentence(Problem(self.action)) if self.action in ENGLISH.templates else self.action

    @property
    def detail(self) -> str:
        """In words, "" if there is none."""
        return sentence(self.problem)

    @property
    def message(self) -> str:
        """All but the time and the actor, in words."""
        return self.done + (f", {self.subject}" if self.subject else "") + (f" ({self.detail})" if self.detail else "")

    def to_json(self) -> dict[str, object]:
        """code: the action's, or "text". params: its subject, and the detail as such a document, None for none. action,
        detail, message: in words."""
        detail = coded(self.problem) if self.detail else None
        return {"at": self.at, "actor": self.actor,
                "code": self.action if self.action in ENGLISH.templates else TEXT,
                "params": {"subject": self.subject, "detail": detail}, "message": self.message,
                "action": self.done, "subject": self.subject, "detail": self.detail}


class Events:
    def __init__(self, database: Database):
        self._database = database

    def record(self, actor: str, action: str, subject: str = "", detail: Problem | str = "",
               patience: float | None = None) -> None:
        """Note what was done. action: a code of messages/english/events. detail: a str is a text from elsewhere.
        patience: seconds to wait for somebody else's transaction, see Database."""
        told = text(detail) if isinstance(detail, str) else detail
        with self._database.best_effort("the audit log"), self._database.transaction(patience) as db:
            db.execute("INSERT INTO events (at, actor, action, subject, code, params) VALUES (?, ?, ?, ?, ?, ?)",
                       (time.time(), actor, action, subject, told.code, told.kept()))
            db.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (KEPT,))

    def record_failed_login(self, subject: str, source: Problem | str, patience: float | None = None) -> None:
        """A wrong password. subject: the admin's name, "" for one that nobody has. source: where it came from; a str
        is an address."""
        told = text(source) if isinstance(source, str) else source
        now = time.time()
        with self._database.best_effort("the audit log"), self._database.transaction(patience) as db:
            merged = db.execute("UPDATE failed_logins SET at = ?, count = count + 1 WHERE subject = ? AND source = ? "
                                "AND code = ? AND first BETWEEN ? AND ?",
                                (now, subject, told.kept(), told.code, now - FAILURES_TOGETHER, now))
            if not merged.rowcount:
                db.execute("INSERT INTO failed_logins (subject, code, source, first, at, count) "
                           "VALUES (?, ?, ?, ?, ?, 1)", (subject, told.code, told.kept(), now, now))
                db.execute("DELETE FROM failed_logins WHERE id <= (SELECT max(id) FROM failed_logins) - ?",
                           (FAILURES_KEPT,))

    def recent(self, limit: int = 50, subject: str = "") -> list[Event]:
        """The newest events, newest first; those of one subject, if it is named."""
        rows = self._database.query(
            "SELECT at, actor, action, subject, code, params FROM events WHERE ? IN ('', subject) "
            "ORDER BY id DESC LIMIT ?", subject, limit)
        failed = self._database.query(
            "SELECT first, at, subject, code, source, count FROM failed_logins WHERE ? IN ('', subject) "
            "ORDER BY at DESC LIMIT ?", subject, limit)
        # Each list stays in its own order, whatever the clock did.
        both = heapq.merge(map(_event, rows), map(_failure, failed), key=lambda event: -event.at)
        return list(itertools.islice(both, limit))


def _event(row: sqlite3.Row) -> Event:
    return Event(row["at"], row["actor"], row["action"], row["subject"], Problem.loaded(row["code"], row["params"]))


def _failure(row: sqlite3.Row) -> Event:
    place = Problem.loaded(row["code"], row["source"])
    told = Problem("event.from", {"place": place})
    if row["count"] > 1:
        minutes = max(1, round((row["at"] - row["first"]) / 60))
        told = Problem("event.failures", {"place": place, "count": row["count"], "minutes": minutes})
    action = "login.failed" if row["subject"] else "login.failed_unknown"
    return Event(row["at"], "panel", action, row["subject"], told)
