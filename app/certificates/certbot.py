"""certbot, which runs in a container of its own and is asked by exec; its words turned into ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from app.certificates import pem
from app.commands import compose
from app.config.values import is_ip
from app.edge.base import Certificate
from app.messages import Problem, text
from app.messages.errors import Coded
from app.runtimes.base import RuntimeFailure

if TYPE_CHECKING:  # Docker's client is not loaded for installations without it
    from app.runtimes.docker.service import Service

#: What starts its container, behind what begins a command of compose; the operator is told.
START = "--profile ssl up -d"

#: What Let's Encrypt calls its certificates of six days, the only ones that it issues for addresses.
SHORT_LIVED = "shortlived"

WEBROOT, LIVE = "/var/www/certbot", "/etc/letsencrypt/live"

#: Seconds for one request: with a hundred names, the authority takes minutes.
PATIENCE = 900.0

_SHOWN = 3

#: What helps, by the authority's types of errors.
_ADVICE = {
    "dns": "authority.advice_dns",
    "connection": "authority.advice_connection",
    "unauthorized": "authority.advice_unauthorized",
    "caa": "authority.advice_caa",
    "ratelimited": "authority.advice_ratelimited",
}

#: One of certbot's list of names that could not be checked, as certbot 5 and older ones say it. "dns", "connection",
#: …: the authority's types of errors.
_PROBLEM = re.compile(r"^ *(?:Domain|Identifier): (?P<domain>\S+)\n *Type: *(?P<type>\S+)\n *Detail: (?P<detail>.*)",
                      re.MULTILINE)

#: What tells the type of an error that is not about the check of a name.
_KINDS = (("ratelimited", r"too many|rate.?limit"), ("caa", r"\bCAA\b"),
          ("rejected", r"cannot issue|refuses to issue|forbidden by policy"))

_UNREACHABLE = re.compile(r"ConnectionError|Max retries exceeded|Timeout\b|SSLError|Requesting \S+: ")


class CertificateFailure(Coded):
    """There is no new certificate; it says why.

    refused: the names that the authority won't have, as far as it is up to them.
    """

    refused: frozenset[str] = frozenset()

    def because_of(self, refused: Iterable[str]) -> CertificateFailure:
        """The same with these names as `refused`."""
        self.refused = frozenset(refused)
        return self


class NotAsked(CertificateFailure):
    """Nobody was asked: certbot does not run, or is busy. Trying again costs nothing."""


class Certbot:
    """The certbot of the compose stack."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def obtain(self, name: str, domains: Sequence[str], directory: str = "", email: str = "",
               force: bool = False) -> None:
        """Have a certificate of this name issued for exactly these domains, or IP addresses.

        directory: of another ACME authority than Let's Encrypt. force: even if there is one that lasts.
        Returns when certbot has it. Raises CertificateFailure, NotAsked.
        """
        command = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--webroot", "--webroot-path", WEBROOT,
                   "--cert-name", name, "--key-type", "ecdsa", "--renew-with-new-domains", "--max-log-backups", "20",
                   "--force-renewal" if force else "--keep-until-expiring",
                   *(("--server", directory) if directory else ()),
                   *(("--email", email, "--no-eff-email") if email else ("--register-unsafely-without-email",)),
                   *(("--preferred-profile", SHORT_LIVED) if any(map(is_ip, domains)) else ()),
                   *(part for domain in domains for part in ("--ip-address" if is_ip(domain) else "--domain", domain))]
        code, printed = self._run(command, PATIENCE)
        if code:
            raise failure(printed, domains, directory)

    def read(self, name: str) -> Certificate | None:
        """The certificate as certbot has it; None if it has none of this name. Raises CertificateFailure."""
        code, printed = self._run(["sh", "-c", 'cat "$1/fullchain.pem" "$1/privkey.pem" 2>/dev/null', "sh",
                                   f"{LIVE}/{name}"], 30)
        if code:
            return None
        try:
            return pem.parse(name, printed)
        except ValueError as error:
            raise CertificateFailure("certbot.damaged", reason=error) from None

    def _run(self, command: Sequence[str], seconds: float) -> tuple[int, str]:
        from app.runtimes.docker.service import ServiceMissing

        try:
            return self._service.run(command, seconds)
        except ServiceMissing:
            raise NotAsked("certbot.missing", command=f"{compose()} {START}") from None
        except RuntimeFailure as error:
            raise NotAsked("certbot.not_asked", reason=error) from None


def failure(printed: str, domains: Sequence[str], directory: str = "") -> CertificateFailure:
    """What certbot printed when it failed, in our words."""
    if "Another instance of Certbot is already running" in printed:
        return NotAsked("certbot.busy")
    if "unrecognized arguments:" in printed or "Certbot does not currently support" in printed:
        return NotAsked("certbot.too_old")
    authority = directory or "Let's Encrypt"
    if problems := [match.groupdict() for match in _PROBLEM.finditer(printed)]:
        return _per_name(problems, authority)
    said = _said(printed)
    if _UNREACHABLE.search(said):
        return CertificateFailure("authority.unreachable", authority=authority, reason=_unreachable(said))
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, said, re.IGNORECASE)), "")
    if not kind and " :: " not in said:
        return CertificateFailure("certbot.failed", said=said or Problem("certbot.says_nothing"))
    named = [domain for domain in domains if re.search(rf"(?<![\w.-]){re.escape(domain)}(?![\w-]|\.\w)", said)]
    told = CertificateFailure("authority.refuses_advice", authority=authority, said=said,
                              advice=Problem(_ADVICE[kind])) if kind in _ADVICE else \
        CertificateFailure("authority.refuses", authority=authority, said=said)
    return told.because_of(named if kind in ("caa", "rejected") else ())


def _per_name(problems: list[dict[str, str]], authority: str) -> CertificateFailure:
    """From certbot's list of names with what was wrong with each."""
    kinds = []
    for kind in dict.fromkeys(problem["type"].lower() for problem in problems):
        of_kind = [problem for problem in problems if problem["type"].lower() == kind]
        shown = [Problem("authority.name", {"domain": problem["domain"], "detail": _one_line(problem["detail"])})
                 for problem in of_kind[:_SHOWN]]
        if len(of_kind) > _SHOWN:
            shown.append(Problem("authority.more", {"count": len(of_kind) - _SHOWN}))
        advice = _ADVICE.get(kind)
        if advice and all(is_ip(problem["domain"]) for problem in of_kind):
            advice = "authority.advice_address"  # no record leads to an address
        kinds.append(Problem("authority.kind_advice", {"problems": shown, "advice": Problem(advice)})
                     if advice else Problem("authority.kind", {"problems": shown}))
    return CertificateFailure("authority.names", authority=authority, problems=kinds).because_of(
        problem["domain"] for problem in problems)


def _said(printed: str) -> str:
    """The part that tells what went wrong, on one line; "" if there is none."""
    marker = "An unexpected error occurred:"
    text = printed[printed.rindex(marker) + len(marker):] if marker in printed else printed
    lines = [line for line in text.splitlines() if line.strip() and not re.match(
        r"Saving debug log|Ask for help|Requesting a|Account registered|Renewing an|Plugins selected|See the logfile|"
        r"Hint:|Certificate not yet due", line.strip())]
    return _one_line(" ".join(lines).split(" Ask for help")[0])[:600]


def _unreachable(said: str) -> Problem:
    for pattern, code in ((r"CERTIFICATE_VERIFY_FAILED|SSLError", "authority.untrusted"),
                           (r"NameResolutionError|Name or service not known|name resolution",
                            "authority.no_address"),
                           (r"refused", "authority.nothing_listens"), (r"[Tt]imed? ?out", "authority.no_answer")):
        if re.search(pattern, said):
            return Problem(code)
    return text(said[:200])


def _one_line(text: str) -> str:
    return re.sub(r"(/\.well-known/acme-challenge/)[\w-]+", r"\1…", " ".join(text.split()))
