"""The certificates: kept beside the panel's data, and asked for when they are due."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.certificates import pem
from app.certificates.certbot import Certbot, CertificateFailure, NotAsked
from app.certificates.renewal import Wanted, due, ends_soon, is_due, wanted, without
from app.config.model import Config
from app.edge.base import Certificate
from app.ledger.certificates import Certificates, Row
from app.lib.clock import WALL, Clock
from app.lib.filelock import FileLock
from app.lib.files import put
from app.messages import Problem, sentence, text
from app.rules import door

log = logging.getLogger(__name__)

#: Names that appear are collected for so many seconds: several users are often added one after another.
COLLECT = 60.0


class Store:
    """Copies of certbot's certificates in a folder of the panel's: they are there when certbot's container is not.

    One file each, with chain and key, so that nobody ever reads half a certificate.
    damaged: what the last load() could not use, and why, by name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: dict[str, Problem] = {}

    def load(self) -> dict[str, Certificate]:
        """All that are sound, by name."""
        found: dict[str, Certificate] = {}
        damaged: dict[str, Problem] = {}
        for path in sorted(self.folder.glob("*.pem")):
            try:
                found[path.stem] = pem.parse(path.stem, path.read_text())
            except (OSError, ValueError) as error:
                damaged[path.stem] = Problem("certificate.damaged", {"path": path, "reason": error})
        for name, reason in damaged.items():
            if name not in self.damaged:  # once, not at every look
                log.warning("%s", sentence(reason))
        self.damaged = damaged
        return found

    def save(self, certificate: Certificate) -> None:
        """Raises OSError; the old one is then still there."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        put(self.folder / f"{certificate.name}.pem", (certificate.chain + certificate.key).encode(), 0o600)

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.pem").unlink(missing_ok=True)


@dataclass(frozen=True)
class Result:
    """What came of one certificate. reason: why there is none, or which names it is without; None if all is well."""

    name: str
    ok: bool
    reason: Problem | None = None


class CertificateManager:
    """Sees to it that there are the certificates that the declaration needs. folder: of its lock."""

    def __init__(self, certbot: Certbot, store: Store, rows: Certificates, folder: Path,
                 clock: Clock = WALL) -> None:
        self.certbot = certbot
        self.store = store
        self.rows = rows
        self._lock = folder / "certificates.lock"
        self._clock = clock
        #: When each name of users was first seen without a certificate.
        self._appeared: dict[str, float] = {}

    def renew_due(self, config: Config, own_names: Iterable[str], force: bool = False,
             asked: bool = False) -> list[Result]:
        """Ask for the certificates that are due, one after the other: minutes may pass.

        own_names: those beside panel_domain, share_hostname, and the address if the panel is there, that need one, in
        order. asked: a person wants it now, whatever pauses there are after failures. force: and all of them anew, even
        those that last. Unasked, what hinders it is told once; and while another process is at it, nothing is done.
        """
        names = tuple(own_names)
        asked = asked or force
        if not force and not self._due(config, names, asked):
            return []
        with self._alone() as alone:
            if not alone:
                return [Result("certificates", False, Problem("certificates.under_way"))] if asked else []
            chosen = self._due(config, names, asked, force)
            results = [self._ask(each, config, force, asked) for each in chosen]
        return [result for result in results if result]

    def _due(self, config: Config, names: tuple[str, ...], asked: bool, force: bool = False) -> list[Wanted]:
        now, have, rows = self._clock(), self.store.load(), self.rows.all()
        existing = {name: (*(have[name].domains if name in have else ()),
                           *(rows[name].domains if name in rows else ())) for name in {*have, *rows}}
        there_should_be = wanted(config.panel_domain, names, existing, door.certifiable(config),
                                 config.share_hostname)
        self._tidy(there_should_be, have, rows, now)
        covered = {domain for certificate in have.values() for domain in certificate.domains}
        self._appeared = {name: min(self._appeared.get(name, now), now) for name in names if name not in covered}
        fresh = frozenset(name for name, at in self._appeared.items() if now - at < COLLECT)
        return there_should_be if force else due(there_should_be, have, rows, now, fresh, asked)

    def _tidy(self, there_should_be: list[Wanted], have: Mapping[str, Certificate], rows: Mapping[str, Row],
              now: float) -> None:
        """Forget the troubles of what nobody needs, and it itself when it has ended; and the troubles of what has
        become right by itself."""
        for name in {*have, *rows} - {each.name for each in there_should_be}:
            if name in rows:  # nobody is to be told that it ends
                self.rows.forget(name)
            if name not in have or have[name].not_after.timestamp() < now:
                self.store.remove(name)
        for each in there_should_be:
            row, certificate = rows.get(each.name), have.get(each.name)
            if certificate and (row is None or row.problem) and not is_due(each, certificate, now):
                self._note(certificate, row.tried_at if row else 0)

    def _ask(self, wanted: Wanted, config: Config, force: bool, asked: bool) -> Result | None:
        have, now = self.store.load().get(wanted.name), self._clock()
        before = self.rows.all().get(wanted.name)
        # What can't be noted is not asked for: the authority counts, too, and would lock this server out.
        self.rows.held_up(wanted.name, wanted.domains, before.problem if before else None)
        told: Problem | None = None
        try:
            try:
                got = self._obtain(wanted, have, config, force)
            except CertificateFailure as failure:
                rest = without(wanted, failure.refused, have, now)
                if rest is None:
                    raise
                told = Problem("certificate.without", {"names": sorted(failure.refused), "reason": failure})
                got = self._obtain(rest, have, config, force)
        except NotAsked as failure:
            new = self.rows.held_up(wanted.name, wanted.domains, failure.problem)
            return Result(wanted.name, False, failure.problem) if new or asked else None
        except (CertificateFailure, OSError) as failure:
            reason = failure.problem if isinstance(failure, CertificateFailure) else text(failure)
            self.rows.failed(wanted.name, wanted.domains, reason, now)
            return Result(wanted.name, False, reason)
        self._note(got, now)
        if told:
            self.rows.failed(wanted.name, wanted.domains, told, now)
        return Result(wanted.name, True, told)

    def _obtain(self, wanted: Wanted, have: Certificate | None, config: Config, force: bool) -> Certificate:
        """Raises CertificateFailure, OSError."""
        again = force or (have is not None and ends_soon(have, self._clock()))
        self.certbot.obtain(wanted.name, wanted.domains, config.acme_directory, config.acme_email, again)
        got = self.certbot.read(wanted.name)
        if got is None or not set(wanted.domains) <= set(got.domains):
            raise CertificateFailure("certbot.nothing", domains=wanted.domains)
        self.store.save(got)
        return got

    def _note(self, certificate: Certificate, at: float) -> None:
        self.rows.succeeded(certificate.name, certificate.domains, certificate.not_before.timestamp(),
                            certificate.not_after.timestamp(), at)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other thread or process asks now."""
        with FileLock(self._lock) as lock:
            yield lock.try_take()
