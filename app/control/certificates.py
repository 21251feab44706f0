"""Certificates: asking for what is due, how that went, and what needs attention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo

from app.certificates.manager import CertificateManager
from app.config.model import Config
from app.control.outcome import Outcome
from app.control.records import CertificateView, moment
from app.ledger.certificates import Row
from app.ledger.ledger import Ledger
from app.messages import Problem
from app.messages.refused import Refused
from app.rules import domains

#: The actor of what happens by itself.
PANEL = "panel"

#: Days before the end at which a certificate should long have been renewed; of one that lasts six days, it is the last.
WORRYING_DAYS = 14


def _worrying_s(row: Row) -> float:
    """Seconds before its end at which it should long have been renewed."""
    life, usual = row.expires_at - row.issued_at, WORRYING_DAYS * 86400.0
    return usual if life >= 2 * usual else life / 6


@dataclass(frozen=True)
class CertificateReconciler:
    """Sees to the certificates that the declaration needs, beside the workloads: an authority may take minutes.

    manager: None where there is no certbot. It keeps how each try went in the ledger, and pauses after failures.
    """

    manager: CertificateManager | None
    ledger: Ledger

    def reconcile(self, config: Config, now: datetime, actor: str = PANEL, force: bool = False) -> list[Outcome]:
        """Ask for what is due - for all of them, with `force` - and record how it went. actor: as in the audit log;
        a person waits for no pause. Raises Refused where there is no certbot at all."""
        if self.manager is None:
            raise Refused("certificates.no_certbot")
        outcomes = []
        for result in self.manager.renew_due(config, domains.own_names(config, now), force, asked=actor != PANEL):
            outcomes.append(Outcome("certificate", result.name, "", result.ok, result.reason))
            self.ledger.events.record(actor, "certificate.issued" if result.ok else "certificate.failed", result.name,
                                      result.reason or "")
        return outcomes


def views(ledger: Ledger, zone: tzinfo, now: datetime) -> list[CertificateView]:
    return [CertificateView(
        name=name, domains=list(row.domains), issued_at=moment(row.issued_at, zone),
        expires_at=moment(row.expires_at, zone),
        days_left=int((row.expires_at - now.timestamp()) // 86400) if row.expires_at else None,
        tried_at=moment(row.tried_at, zone), reason=row.problem,
        ends_soon=bool(row.expires_at) and row.expires_at - now.timestamp() < _worrying_s(row))
        for name, row in sorted(ledger.certificates.all().items())]


def problems(ledger: Ledger, now: datetime) -> list[Problem]:
    """What a person should look at: failures, and what expires soon."""
    told = []
    for view in views(ledger, now.tzinfo or timezone.utc, now):
        if view.reason:
            told.append(Problem("certificate.trouble", {"name": view.name, "domain": view.domains[0],
                                                        "reason": view.reason}))
        elif view.ends_soon:
            told.append(Problem("certificate.ends", {"name": view.name, "domain": view.domains[0],
                                                     "days": view.days_left}))
    return told
