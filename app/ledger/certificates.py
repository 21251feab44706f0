"""What came of asking the certificate authority, by the name of the certificate."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from app.ledger.database import Database
from app.lib.problem import TEXT
from app.messages import Problem


@dataclass(frozen=True)
class Row:
    """domains: asked for last. issued_at, expires_at, tried_at: Unix seconds, 0 is never. failures: in a row.

    problem: why the certificate is not as it should be, None if it is.
    """

    name: str
    domains: tuple[str, ...]
    issued_at: float = 0
    expires_at: float = 0
    tried_at: float = 0
    failures: int = 0
    problem: Problem | None = None


class Certificates:
    def __init__(self, database: Database):
        self._database = database

    def all(self) -> dict[str, Row]:
        rows = self._database.query(
            "SELECT name, domains, issued_at, expires_at, tried_at, failures, code, params FROM certificates "
            "ORDER BY name")
        return {row["name"]: Row(
            row["name"], tuple(row["domains"].split()), row["issued_at"], row["expires_at"], row["tried_at"],
            row["failures"], _problem(row)) for row in rows}

    def succeeded(self, name: str, domains: Iterable[str], issued_at: float, expires_at: float, at: float) -> None:
        """Note a certificate that was issued, when the authority was asked at `at`."""
        with self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO certificates (name, domains, issued_at, expires_at, tried_at) "
                       "VALUES (?, ?, ?, ?, ?)", (name, " ".join(domains), issued_at, expires_at, at))

    def failed(self, name: str, domains: Iterable[str], problem: Problem, at: float) -> bool:
        """Note a request that the authority, or the way to it, did not let through; True if the reason is new."""
        return self._trouble(name, domains, problem,
                             ", domains = :domains, failures = failures + 1, tried_at = :at", 1, at)

    def held_up(self, name: str, domains: Iterable[str], problem: Problem | None) -> bool:
        """Note why nobody could be asked: that is no failure to wait after. True if the reason is new."""
        return self._trouble(name, domains, problem, "", 0, 0)

    def forget(self, name: str) -> None:
        with self._database.transaction() as db:
            db.execute("DELETE FROM certificates WHERE name = ?", (name,))

    def _trouble(self, name: str, domains: Iterable[str], problem: Problem | None, change: str, failures: int,
                 at: float) -> bool:
        code, params = (problem.code, problem.kept()) if problem else (TEXT, "")
        with self._database.transaction() as db:
            row = db.execute("SELECT code, params FROM certificates WHERE name = ?", (name,)).fetchone()
            db.execute(f"INSERT INTO certificates (name, domains, tried_at, failures, code, params) "
                       f"VALUES (:name, :domains, :at, :failures, :code, :params) "
                       f"ON CONFLICT (name) DO UPDATE SET code = :code, params = :params{change}",
                       {"name": name, "domains": " ".join(domains), "at": at, "failures": failures,
                        "code": code, "params": params})
        return row is None or tuple(row) != (code, params)


def _problem(row: sqlite3.Row) -> Problem | None:
    return Problem.loaded(row["code"], row["params"]) if row["params"] else None
