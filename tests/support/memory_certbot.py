"""A certbot without a container and without an authority: what it issues are real certificates that nobody trusts."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.certificates import pem
from app.certificates.certbot import CertificateFailure
from app.config.values import is_ip
from app.edge.base import Certificate


def issue(name: str, domains: Sequence[str], begins: float, days: float = 90) -> Certificate:
    """A certificate that signs itself. begins: Unix seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    start = datetime.datetime.fromtimestamp(int(begins), datetime.UTC)
    built = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
             .serial_number(x509.random_serial_number())
             .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=days))
             .add_extension(x509.SubjectAlternativeName(list(map(_general, domains))), critical=True)
             .sign(key, hashes.SHA256()))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
    return pem.parse(name, (built.public_bytes(serialization.Encoding.PEM) + private).decode())


def _general(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if is_ip(name) else x509.DNSName(name)


class MemoryCertbot:
    """requests: (name, domains, force) of every obtain(). refused: names that the authority won't have.

    failure: raised by every obtain() while it is set. days: the life of what is issued.
    """

    def __init__(self, clock: Callable[[], float], days: float = 90) -> None:
        self.requests: list[tuple[str, tuple[str, ...], bool]] = []
        self.refused: set[str] = set()
        self.failure: CertificateFailure | None = None
        self.days = days
        self.live: dict[str, Certificate] = {}
        self._clock = clock

    def obtain(self, name: str, domains: Sequence[str], directory: str = "", email: str = "",
               force: bool = False) -> None:
        self.requests.append((name, tuple(domains), force))
        if self.failure:
            raise self.failure
        if refused := sorted(self.refused & set(domains)):
            raise CertificateFailure(f"could not check {', '.join(refused)}").because_of(refused)
        have = self.live.get(name)
        lasts = have is not None and have.not_after.timestamp() > self._clock()
        if force or not lasts or set(have.domains) != set(domains):
            self.live[name] = issue(name, domains, self._clock(), self.days)

    def read(self, name: str) -> Certificate | None:
        return self.live.get(name)
