"""The panel's own certificate for the bare address, for as long as no authority has issued one."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.certificates import pem
from app.edge.base import Certificate
from app.lib.filelock import locked
from app.lib.files import put

#: Its name among the files of nginx.
NAME = "self-signed"

#: Apple's systems take none that is good for more than 825 days, whoever trusts it, and their browsers then don't even
#: offer to go on. A day before today: for a clock that is behind.
LIFE, BEFORE = timedelta(days=820), timedelta(days=1)

#: It is made anew so long before its end: its fingerprint is another one then.
EARLY = timedelta(days=30)


class SelfSigned:
    """One file in `folder`, the data folder, with the certificate and its key: it is no part of a backup."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"panel-{NAME}.pem"

    def certificate(self, address: str, now: datetime) -> Certificate:
        """The one for this IP address; made where there is none, or none that fits. Raises OSError."""
        if found := self._fitting(address, now):
            return found
        with locked(self._file.with_suffix(".lock")):
            # Another process may have been first: two fingerprints would be one too many.
            if found := self._fitting(address, now):
                return found
            put(self._file, _made(address, now), 0o600)
            return pem.parse(NAME, self._file.read_text())

    def _fitting(self, address: str, now: datetime) -> Certificate | None:
        with suppress(FileNotFoundError, ValueError):  # none yet, or damaged: a new one is as good
            found = pem.parse(NAME, self._file.read_text())
            if found.domains == (address,) and found.not_before <= now < found.not_after - EARLY:
                return found
        return None


def _made(address: str, now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    built = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
             .serial_number(x509.random_serial_number())
             .not_valid_before(now - BEFORE).not_valid_after(now - BEFORE + LIFE)
             .add_extension(names, critical=False)
             .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
             .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
             .sign(key, hashes.SHA256()))
    return built.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
