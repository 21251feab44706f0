"""Which engine serves whom, while the declaration may already say another one, and why a move has not been made."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from app.ledger.database import Database
from app.messages import Problem


class Placements:
    def __init__(self, database: Database):
        self._database = database

    def engines(self) -> dict[str, str]:
        """The engine that serves each user, by user id."""
        return dict(tuple(row) for row in self._database.query("SELECT user, engine FROM placements"))

    def troubles(self) -> dict[str, Problem]:
        """Why users are not moved to the engine that is declared, by user id."""
        rows = self._database.query("SELECT user, code, params FROM placements WHERE code != ''")
        return {row["user"]: Problem.loaded(row["code"], row["params"]) for row in rows}

    def place(self, engines: Mapping[str, str], gone: Collection[str] = ()) -> None:
        """Note the engines that serve these users from now on, and that those who are gone are served by none."""
        with self._database.best_effort("who is served by which engine"), self._database.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO placements (user, engine) VALUES (?, ?)", engines.items())
            db.executemany("DELETE FROM placements WHERE user = ?", [(user,) for user in gone])

    def trouble(self, user: str, problem: Problem) -> bool:
        """Note why this user is not moved; True if it is new or another than before."""
        if self.troubles().get(user) == problem:
            return False
        with self._database.best_effort("why a user is not moved"), self._database.transaction() as db:
            db.execute("UPDATE placements SET code = ?, params = ? WHERE user = ?",
                       (problem.code, problem.kept(), user))
        return True
