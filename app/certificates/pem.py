"""A certificate and its key as PEM, checked before anybody serves them."""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from app.edge.base import Certificate
from app.messages.errors import Coded

_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


class PemError(Coded, ValueError):
    """A certificate or its key can't be used."""


def parse(name: str, text: str) -> Certificate:
    """The certificate of this name from its PEM: its chain, and then its key.

    Raises PemError.
    """
    begin = _KEY.search(text)
    if not begin:
        raise PemError("pem.no_key", name=name)
    chain, key = text[:begin.start()], text[begin.start():]
    try:
        own = x509.load_pem_x509_certificates(chain.encode())[0]
        private = load_pem_private_key(key.encode(), None)
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise PemError("pem.unreadable", name=name, reason=error) from None
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if own.public_key().public_bytes(*spki) != private.public_key().public_bytes(*spki):
        raise PemError("pem.other_key", name=name)
    covered = (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))
    return Certificate(name, covered, chain, key, own.not_valid_before_utc, own.not_valid_after_utc)


def fingerprint(certificate: Certificate) -> str:
    """The SHA-256 fingerprint of the server's own certificate, as browsers show it: "AB:CD:…"."""
    own = x509.load_pem_x509_certificates(certificate.chain.encode())[0]
    return own.fingerprint(hashes.SHA256()).hex(":").upper()
