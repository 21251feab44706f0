"""What came of asking the certificate authority, by the name of the certificate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.ledger.database import Database


@dataclass(frozen=True)
class Row:
    """domains: asked for last. issued_at, expires_at, tried_at: Unix seconds, 0 is never. failures: in a row.

    reason: why the certificate is not as it should be, "" if it is.
    """

    name: str
    domains: tuple[str, ...]
    issued_at: float = 0
    expires_at: float = 0
    tried_at: float = 0
    failures: int = 0
    reason: str = ""


class Certificates:
    def __init__(self, database: Database):
        self._database = database

    def all(self) -> dict[str, Row]:
        rows = self._database.query(
            "SELECT name, domains, issued_at, expires_at, tried_at, failures, reason FROM certificates ORDER BY name")
        return {row["name"]: Row(**{**dict(row), "domains": tuple(row["domains"].split())}) for row in rows}

    def succeeded(self, name: str, domains: Iterable[str], issued_at: float, expires_at: float, at: float) -> None:
        """Note a certificate that was issued, when the authority was asked at `at`."""
        with self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO certificates VALUES (?, ?, ?, ?, ?, 0, '')",
                       (name, " ".join(domains), issued_at, expires_at, at))

    def failed(self, name: str, domains: Iterable[str], reason: str, at: float) -> bool:
        """Note a request that the authority, or the way to it, did not let through; True if the reason is new."""
        return self._trouble(name, domains, reason,
                             ", domains = :domains, failures = failures + 1, tried_at = :at", 1, at)

    def held_up(self, name: str, domains: Iterable[str], reason: str) -> bool:
        """Note why nobody could be asked: that is no failure to wait after. True if the reason is new."""
        return self._trouble(name, domains, reason, "", 0, 0)

    def forget(self, name: str) -> None:
        with self._database.transaction() as db:
            db.execute("DELETE FROM certificates WHERE name = ?", (name,))

    def _trouble(self, name: str, domains: Iterable[str], reason: str, change: str, failures: int,
                 at: float) -> bool:
        with self._database.transaction() as db:
            row = db.execute("SELECT reason FROM certificates WHERE name = ?", (name,)).fetchone()
            db.execute(f"INSERT INTO certificates (name, domains, tried_at, failures, reason) "
                       f"VALUES (:name, :domains, :at, :failures, :reason) "
                       f"ON CONFLICT (name) DO UPDATE SET reason = :reason{change}",
                       {"name": name, "domains": " ".join(domains), "at": at, "failures": failures,
                        "reason": reason})
        return row is None or row["reason"] != reason
