"""A certificate and its key as PEM, checked before anybody serves them."""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from app.edge.base import Certificate

_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def parse(name: str, text: str) -> Certificate:
    """The certificate of this name from its PEM: its chain, and then its key.

    Raises ValueError that says what is wrong with them.
    """
    begin = _KEY.search(text)
    if not begin:
        raise ValueError(f"the certificate {name!r} has no key")
    chain, key = text[:begin.start()], text[begin.start():]
    try:
        own = x509.load_pem_x509_certificates(chain.encode())[0]
        private = load_pem_private_key(key.encode(), None)
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise ValueError(f"the certificate {name!r} or its key can't be read: {error}") from None
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if own.public_key().public_bytes(*spki) != private.public_key().public_bytes(*spki):
        raise ValueError(f"the key of the certificate {name!r} belongs to another one")
    return Certificate(name, tuple(names.get_values_for_type(x509.DNSName)), chain, key,
                       own.not_valid_before_utc, own.not_valid_after_utc)
