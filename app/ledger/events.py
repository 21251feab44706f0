"""The audit log: who did what to whom, and what the panel repaired by itself."""

from __future__ import annotations

import heapq
import itertools
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.ledger.database import Database
from app.lib.problem import TEXT
from app.messages import ENGLISH, Problem, coded, sentence, text

KEPT = 10_000
#: Failed logins are counted apart, so that a stranger's thousands push nothing else out: those for one name from one
#: place are one entry for so many seconds, and so many entries are kept.
FAILURES_KEPT, FAILURES_TOGETHER = 500, 3600.0
#: Who notes them.
_FAILURES_BY = "panel"


@dataclass(frozen=True)
class Event:
    """at: Unix seconds. actor: 'cli', 'panel' or 'admin:NAME'. action: the code of what was done (one of older versions
    may be a text). subject: whom or what it was done to, as it was called then. problem: the detail, as data; the empty
    text for none. users: the ids of the users that it is about."""

    at: float
    actor: str
    action: str
    subject: str
    problem: Problem
    users: tuple[str, ...] = ()

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
        detail, message: in words. users: ids."""
        detail = coded(self.problem) if self.detail else None
        return {"at": self.at, "actor": self.actor,
                "code": self.action if self.action in ENGLISH.templates else TEXT,
                "params": {"subject": self.subject, "detail": detail}, "message": self.message,
                "action": self.done, "subject": self.subject, "detail": self.detail, "users": list(self.users)}


@dataclass(frozen=True)
class About:
    """One user whose events are wanted. name, since: what they are called now, and when they were added (Unix seconds),
    as events of older versions know a user by the name alone."""

    user_id: str
    name: str = ""
    since: float = 0.0


class Events:
    def __init__(self, database: Database):
        self._database = database

    def record(self, actor: str, action: str, subject: str = "", detail: Problem | str = "",
               patience: float | None = None, users: Iterable[str] = ()) -> None:
        """Note what was done. action: a code of messages/english/events. detail: a str is a text from elsewhere.
        patience: seconds to wait for somebody else's transaction, see Database. users: the ids of those it is about,
        whose history it is part of, whatever they are called later."""
        told = text(detail) if isinstance(detail, str) else detail
        with self._database.best_effort("the audit log"), self._database.transaction(patience) as db:
            db.execute("INSERT INTO events (at, actor, action, subject, code, params, users) "
                       "VALUES (?, ?, ?, ?, ?, ?, ?)",
                       (time.time(), actor, action, subject, told.code, told.kept(),
                        "".join(f" {each} " for each in users if each)))
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

    def recent(self, limit: int = 50, subject: str = "", actor: str = "", kinds: Sequence[str] = (),
               before: float | None = None, about: Sequence[About] = ()) -> list[Event]:
        """The newest events, newest first: those about some users, of one actor, of some kinds (beginnings of actions,
        such as "user."), from before a moment (Unix seconds); nothing given leaves nothing out.

        subject: those of this name. Beside `about`, those that are about no user, but about an admin, say.
        """
        theirs = ["instr(users, ?) OR (users IS NULL AND subject = ? AND at >= ?)"] * len(about)
        named = ["subject = ? AND users = ''" if about else "subject = ?"] if subject else []
        whom = " OR ".join(theirs + named) or "1"
        values = [each for one in about for each in (f" {one.user_id} ", one.name, one.since)]
        values += [subject] if subject else []
        kind = " OR ".join(["substr(action, 1, length(?)) = ?"] * len(kinds)) or "1"
        both_of = [each for each in kinds for _ in range(2)]
        rows = self._database.query(
            f"SELECT at, actor, action, subject, code, params, users FROM events WHERE ({whom}) "
            f"AND ? IN ('', actor) AND ({kind}) AND (? IS NULL OR at < ?) ORDER BY id DESC LIMIT ?",
            *values, actor, *both_of, before, before, limit)
        wanted = actor in ("", _FAILURES_BY) and (not kinds or "login." in kinds) and (subject or not about)
        failed = self._database.query(
            "SELECT first, at, subject, code, source, count FROM failed_logins WHERE ? IN ('', subject) "
            "AND (? IS NULL OR at < ?) ORDER BY at DESC LIMIT ?", subject, before, before, limit if wanted else 0)
        # Each list stays in its own order, whatever the clock did.
        both = heapq.merge(map(_event, rows), map(_failure, failed), key=lambda event: -event.at)
        return list(itertools.islice(both, limit))

    def actors(self) -> list[str]:
        """Who did something that is still noted, by name."""
        return [row["actor"] for row in self._database.query("SELECT DISTINCT actor FROM events ORDER BY actor")]


def _event(row: sqlite3.Row) -> Event:
    return Event(row["at"], row["actor"], row["action"], row["subject"], Problem.loaded(row["code"], row["params"]),
                 tuple((row["users"] or "").split()))


def _failure(row: sqlite3.Row) -> Event:
    place = Problem.loaded(row["code"], row["source"])
    told = Problem("event.from", {"place": place})
    if row["count"] > 1:
        minutes = max(1, round((row["at"] - row["first"]) / 60))
        told = Problem("event.failures", {"place": place, "count": row["count"], "minutes": minutes})
    action = "login.failed" if row["subject"] else "login.failed_unknown"
    return Event(row["at"], _FAILURES_BY, action, row["subject"], told)
