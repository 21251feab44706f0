"""Notifications: which causes people were told of, what is still to be sent, and who can't be reached."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from app.ledger.database import Database
from app.messages import Problem

#: Letters that wait for one box; of more, the oldest are lost, and counted. What is older than so many seconds is no
#: news. BOTS: that are declared no more and are remembered all the same: one that comes back a moment later is not to
#: carry out a command twice.
MOST, KEPT, BOTS = 1000, 7 * 86400.0, 20


@dataclass(frozen=True)
class Told:
    """cause, mark: as in causes_told."""

    cause: str
    mark: int


@dataclass(frozen=True)
class Letter:
    """Something that happened, for one box. at: Unix seconds. id: 0 before it is in the ledger."""

    box: str
    event: str
    problem: Problem
    at: float
    id: int = 0


@dataclass(frozen=True)
class Box:
    """failures: in a row; problem: of the last one. since: Unix seconds of the first. told: whether people know. lost:
    letters that there was no room for."""

    failures: int
    since: float
    problem: Problem
    told: bool
    lost: int


Subject = tuple[str, str]


class Letters:
    def __init__(self, database: Database):
        self._database = database

    def told(self) -> dict[Subject, Told]:
        """What people were told of, by event and subject."""
        return {(row["event"], row["subject"]): Told(row["cause"], row["mark"])
                for row in self._database.query("SELECT event, subject, cause, mark FROM causes_told")}

    def note(self, told: Mapping[Subject, Told], forgotten: Collection[Subject], letters: Iterable[Letter],
             at: float) -> None:
        """All of it, or nothing: what is told from now on, what no longer counts, and what is to be sent."""
        with self._database.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO causes_told VALUES (?, ?, ?, ?, ?)",
                           [(*subject, one.cause, one.mark, at) for subject, one in told.items()])
            db.executemany("DELETE FROM causes_told WHERE event = ? AND subject = ?", list(forgotten))
            boxes = set()
            for letter in letters:
                boxes.add(letter.box)
                db.execute("INSERT INTO letters (box, event, code, params, at) VALUES (?, ?, ?, ?, ?)",
                           (letter.box, letter.event, letter.problem.code, letter.problem.kept(), letter.at))
            for box in boxes:
                last = db.execute("SELECT id FROM letters WHERE box = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
                                  (box, MOST)).fetchone()
                if last:
                    lost = db.execute("DELETE FROM letters WHERE box = ? AND id <= ?", (box, last["id"])).rowcount
                    db.execute("INSERT INTO letter_boxes VALUES (?, 0, 0, 'text', '', 0, ?) ON CONFLICT (box) "
                               "DO UPDATE SET lost = lost + excluded.lost", (box, lost))

    def forget_told(self) -> None:
        """Nobody is told anything any more."""
        if self._database.query("SELECT 1 FROM causes_told LIMIT 1"):
            with self._database.transaction() as db:
                db.execute("DELETE FROM causes_told")

    def keep_boxes(self, boxes: Collection[str], now: float) -> None:
        """Drop what is for other boxes than these, and what is too old to be news."""
        there = {row["box"] for row in
                 self._database.query("SELECT box FROM letters UNION SELECT box FROM letter_boxes")}
        old = self._database.query("SELECT 1 FROM letters WHERE at < ? LIMIT 1", now - KEPT)
        if there <= set(boxes) and not old:
            return
        with self._database.transaction() as db:
            for box in there - set(boxes):
                db.execute("DELETE FROM letters WHERE box = ?", (box,))
                db.execute("DELETE FROM letter_boxes WHERE box = ?", (box,))
            db.execute("DELETE FROM letters WHERE at < ?", (now - KEPT,))

    def boxes_with_letters(self) -> list[str]:
        return [row["box"] for row in self._database.query("SELECT DISTINCT box FROM letters ORDER BY box")]

    def waiting(self, box: str) -> list[Letter]:
        """What is to be sent, the oldest first."""
        return [Letter(row["box"], row["event"], Problem.loaded(row["code"], row["params"]), row["at"], row["id"])
                for row in self._database.query("SELECT * FROM letters WHERE box = ? ORDER BY id", box)]

    def delivered(self, box: str, last: int = 0) -> None:
        """All up to this id have arrived; 0: something has."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM letters WHERE box = ? AND id <= ?", (box, last))
            db.execute("DELETE FROM letter_boxes WHERE box = ?", (box,))

    def failed(self, box: str, problem: Problem, at: float, told_after: int) -> bool:
        """One more failure. Whether people are to be told of it now: at the `told_after`th in a row, once."""
        with self._database.transaction() as db:
            db.execute("INSERT INTO letter_boxes VALUES (?, 1, ?, ?, ?, 0, 0) ON CONFLICT (box) DO UPDATE SET "
                       "failures = failures + 1, since = iif(failures = 0, excluded.since, since), "
                       "code = excluded.code, params = excluded.params", (box, at, problem.code, problem.kept()))
            now = db.execute("UPDATE letter_boxes SET told = 1 WHERE box = ? AND told = 0 AND failures >= ?",
                             (box, told_after))
            return now.rowcount > 0

    def states(self) -> dict[str, Box]:
        """Boxes that could not be reached last, or have lost letters."""
        return {row["box"]: Box(row["failures"], row["since"], Problem.loaded(row["code"], row["params"]),
                                bool(row["told"]), row["lost"])
                for row in self._database.query("SELECT * FROM letter_boxes")}

    def next_update(self, bot: str) -> int:
        """The first update of this bot that was not looked at; 0 if nobody knows."""
        rows = self._database.query("SELECT next FROM bot_updates WHERE bot = ?", bot)
        return rows[0]["next"] if rows else 0

    def set_next_update(self, bot: str, number: int) -> None:
        """Everything before this one has been looked at."""
        with self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO bot_updates VALUES (?, ?)", (bot, number))

    def keep_bots(self, declared: Collection[str]) -> None:
        """Forget which updates other bots than these have seen, but for the BOTS that had news last."""
        others = [row["bot"] for row in self._database.query("SELECT bot FROM bot_updates ORDER BY rowid DESC")
                  if row["bot"] not in declared]
        if others[BOTS:]:
            with self._database.transaction() as db:
                db.executemany("DELETE FROM bot_updates WHERE bot = ?", [(bot,) for bot in others[BOTS:]])
