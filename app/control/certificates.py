"""Certificates as people see them: what was asked for, how it went, and what needs attention."""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo

from app.config.model import Config
from app.control.port443 import Port443
from app.control.reconcile import Outcome
from app.control.records import CertificateView, moment
from app.ledger.ledger import Ledger
from app.messages.refused import Refused
from app.rules import domains

#: The actor of what happens by itself.
PANEL = "panel"

#: Days before the end at which a certificate should long have been renewed.
WORRYING_DAYS = 14


def renew_due(port443: Port443, ledger: Ledger, config: Config, now: datetime, actor: str,
         force: bool) -> list[Outcome]:
    """Ask for what is due, and record how it went. Raises Refused where there is no certbot at all."""
    if port443.certificates is None:
        raise Refused("certificates.no_certbot")
    outcomes = []
    for result in port443.certificates.renew_due(config, domains.own_names(config, now), force, asked=actor != PANEL):
        outcomes.append(Outcome("certificate", result.name, "", result.ok, result.reason))
        ledger.events.record(actor, "certificate issued" if result.ok else "certificate failed", result.name,
                             result.reason)
    return outcomes


def views(ledger: Ledger, zone: tzinfo, now: datetime) -> list[CertificateView]:
    return [CertificateView(
        name=name, domains=list(row.domains), issued_at=moment(row.issued_at, zone),
        expires_at=moment(row.expires_at, zone),
        days_left=int((row.expires_at - now.timestamp()) // 86400) if row.expires_at else None,
        tried_at=moment(row.tried_at, zone), reason=row.reason)
        for name, row in sorted(ledger.certificates.all().items())]


def problems(ledger: Ledger, now: datetime) -> list[str]:
    """What a person should look at: failures, and what expires soon."""
    told = []
    for view in views(ledger, now.tzinfo or timezone.utc, now):
        if view.reason:
            told.append(f"Certificate {view.name} ({view.domains[0]}): {view.reason}")
        elif view.days_left is not None and view.days_left < WORRYING_DAYS:
            told.append(f"Certificate {view.name} ({view.domains[0]}) expires in {view.days_left} days")
    return told
