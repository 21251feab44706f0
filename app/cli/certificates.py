"""`certificates …` and `domains check`: what port 443 needs of the world outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.cli.fleet import report
from app.cli.output import paragraph, table
from app.cli.root import Group, Invocation, Refusal
from app.messages import sentence

if TYPE_CHECKING:
    from app.control.records import CertificateView


@click.group(cls=Group)
def certificates() -> None:
    """The certificates of the panel's name, and of those under a domain of your own."""


@certificates.command(name="list")
@click.pass_obj
def list_certificates(obj: Invocation) -> None:
    """Every certificate: for which names, until when, and what went wrong."""
    from app.control import views

    known = views.certificates(obj.system())
    rows = [[_names(view), view.name, _left(view), (view.issued_at or "never")[:10]] for view in known]
    parts = [table(["FOR", "NAME", "EXPIRES", "RENEWED"], rows)] if rows else ["No certificates yet."]
    parts += [paragraph(f"! {view.name}, {view.tried_at or 'not asked for yet'}: {sentence(view.reason)}")
              for view in known if view.reason]
    obj.answer([view.to_json() for view in known], "\n\n".join(parts))


@certificates.command()
@click.option("--force", is_flag=True, help="All of them, even those that are not due.")
@click.pass_obj
def renew(obj: Invocation, force: bool) -> None:
    """Ask the authority now for what is missing or ends soon; takes as long as it needs."""
    from app.accounts.actor import CLI
    from app.actions.certificates import renew_certificates
    from app.control import views

    system = obj.system()
    outcomes = renew_certificates(system, CLI, force)
    report(obj, outcomes, "Nothing is due: no certificate expires soon." if views.certificates(system) else
           "There is nothing to ask for: no name needs a certificate.")


@click.group(cls=Group)
def domains() -> None:
    """The domains that users' proxies look like."""


@domains.command()
@click.argument("names", metavar="[DOMAIN]…", nargs=-1)
@click.pass_obj
def check(obj: Invocation, names: tuple[str, ...]) -> None:
    """Whether this server reaches each DOMAIN, with TLS 1.3 and a valid certificate.

    Without DOMAIN, those of the setting domain_pool.
    """
    from app.accounts.actor import CLI
    from app.actions.settings import check_domains
    from app.control.records import document

    reached = check_domains(obj.system(), CLI, names)
    bad = [one for one in reached if not one.ok]
    rows = [[one.domain, *(["yes", f"{one.milliseconds} ms"] if one.ok else ["NO", "-"])] for one in reached]
    parts = [table(["DOMAIN", "USABLE", "TIME"], rows, right=(2,))] if rows else ["domain_pool is empty."]
    if bad:
        parts.append("\n".join(paragraph(f"! {one.domain}: {sentence(one.reason)}") for one in bad))
    obj.answer([document(one) for one in reached], "\n\n".join(parts))
    if bad:
        raise Refusal("domains.unusable", bad=len(bad), count=len(reached))


def _names(view: CertificateView) -> str:
    first, *others = view.domains or [""]
    return f"{first} and {len(others)} more" if others else first


def _left(view: CertificateView) -> str:
    if view.days_left is None or view.expires_at is None:
        return "not there yet"
    if view.days_left < 0:
        return f"{view.expires_at[:10]}, expired"
    return f"{view.expires_at[:10]}, in {view.days_left} days"
