"""What mtg learns its timing from: a file of random bytes on nginx, and a chain of certificates for it.

The chain is this installation's own, and the key of its CA is not kept: nothing else can ever be signed
with what the proxies are told to trust. Its two certificates have the size of a Let's Encrypt chain, as
mtg gives its own handshake the size of the one that it sees.

mtg measures the gaps between TLS records in whole microseconds, and a single one of 0 makes it wait hours
before one record in twenty: who uses that proxy is cut off. So nginx serves the file by TLS 1.3 on a curve
for which mtg sends no key at first, which parts the cipher change from the encrypted record that would
follow it at once, and without session tickets, which come in pairs (nginx/templates/http.conf.j2).
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.lib import portmap
from app.lib.filelock import locked
from app.lib.files import put

#: Bytes of the file. A record holds 16,384: this makes 128 gaps, and mtg wants 100 before it uses any.
FILE_BYTES = 2 << 20

#: Inode, time in ns and size of each file; None where there is none.
_State = tuple[tuple[int, int, int] | None, ...]

_CA, _CHAIN, _KEY, _ROOT, _FILE = "ca.pem", "chain.pem", "key.pem", "root", "timing.bin"
_VALID, _RENEW = timedelta(days=3650), timedelta(days=30)
#: Sizes in DER of a leaf for a P-256 key with its two SCTs, and of Let's Encrypt's E7 as signed by ISRG
#: Root X1; each installation's differ from them, and from each other's, by up to _SPREAD bytes.
_LEAF, _INTERMEDIATE, _SPREAD = 1030, 1115, 60
#: Netscape's "comment", a text for people: what fills them up.
_COMMENT = x509.ObjectIdentifier("2.16.840.1.113730.1.13")


@dataclass(frozen=True)
class Material:
    """url: the file's address, as the proxies reach it. ca: PEM, what they trust for it. chain, key: PEM
    files for nginx (the server's own certificate first; the key is readable by its group). root: the
    folder that it serves, which holds the file and nothing else."""

    url: str
    ca: str
    chain: Path
    key: Path
    root: Path


def material(folder: Path, ip: str) -> Material:
    """What is in the folder, made or made again where it is missing, damaged, for another address than `ip`
    or valid for less than 30 days. As long as nothing is made, every answer is the same. Raises OSError."""
    address = str(ipaddress.ip_address(ip))
    if not _usable(folder, address, datetime.now(UTC).date().toordinal(), _state(folder)):
        with _locked(folder):
            # Another process may have been first.
            if not _certificates_fit(folder, address):
                _write_certificates(folder, address)
            if not _file_fits(folder):
                put(folder / _ROOT / _FILE, secrets.token_bytes(FILE_BYTES), 0o644)
    return Material(url(address), (folder / _CA).read_text(), folder / _CHAIN, folder / _KEY, folder / _ROOT)


def url(address: str) -> str:
    """Where the proxies find the file of an nginx at this IP address."""
    return f"https://{f'[{address}]' if ':' in address else address}:{portmap.TIMING}/{_FILE}"


@lru_cache(maxsize=8)
def _usable(folder: Path, address: str, today: int, state: _State) -> bool:
    """Whether there is nothing to do; asked for every user, but read only once a day or after a change."""
    return _certificates_fit(folder, address) and _file_fits(folder)


def _state(folder: Path) -> _State:
    """Changes whenever one of the files does."""
    seen: list[tuple[int, int, int] | None] = []
    for name in (_CA, _CHAIN, _KEY, f"{_ROOT}/{_FILE}"):
        try:
            found = (folder / name).stat()
        except OSError:
            seen.append(None)
        else:
            seen.append((found.st_ino, found.st_mtime_ns, found.st_size))
    return tuple(seen)


def _certificates_fit(folder: Path, address: str) -> bool:
    try:
        ca, = x509.load_pem_x509_certificates((folder / _CA).read_bytes())
        leaf, intermediate = x509.load_pem_x509_certificates((folder / _CHAIN).read_bytes())
        key = load_pem_private_key((folder / _KEY).read_bytes(), None)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        leaf.verify_directly_issued_by(intermediate)
        intermediate.verify_directly_issued_by(ca)
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    ends = min(each.not_valid_after_utc for each in (ca, leaf, intermediate))
    return (ends - datetime.now(UTC) > _RENEW and _public(key) == _public(leaf)
            and names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(address)])


def _public(holder: PrivateKeyTypes | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _file_fits(folder: Path) -> bool:
    try:
        return (folder / _ROOT / _FILE).stat().st_size == FILE_BYTES
    except OSError:
        return False


def _write_certificates(folder: Path, address: str) -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root, middle, leaf = [_name(what) for what in ("root", "intermediate", "server")]
    ca = _builder(root, keys[0], root, keys[0], authority=1).sign(keys[0], hashes.SHA256())
    intermediate = _filled(_builder(middle, keys[1], root, keys[0], authority=0), keys[0], _INTERMEDIATE)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    builder = (_builder(leaf, keys[2], middle, keys[1])
               .add_extension(names, False)
               .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False))
    chain = [_filled(builder, keys[1], _LEAF), intermediate]
    private = keys[2].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    put(folder / _KEY, private, 0o640)
    put(folder / _CHAIN, b"".join(each.public_bytes(Encoding.PEM) for each in chain), 0o644)
    put(folder / _CA, ca.public_bytes(Encoding.PEM), 0o644)


def _name(what: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "MTProto Proxy Manager"),
                      x509.NameAttribute(NameOID.COMMON_NAME, f"Timing of this installation, {what}")])


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name,
             signer: ec.EllipticCurvePrivateKey, authority: int | None = None) -> x509.CertificateBuilder:
    """A certificate to be. authority: how many CAs may stand below it, None if it is none."""
    now, is_ca = datetime.now(UTC), authority is not None
    use = x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca,
                        content_commitment=False, key_encipherment=False, data_encipherment=False,
                        key_agreement=False, encipher_only=False, decipher_only=False)
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # A day back, for a proxy whose clock is behind.
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + _VALID)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=authority), critical=True)
            .add_extension(use, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(signed_by, critical=False))


def _filled(builder: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey,
            size: int) -> x509.Certificate:
    """The certificate, with a comment of random letters that makes it about `size` bytes long."""
    size += secrets.randbelow(2 * _SPREAD + 1) - _SPREAD

    def with_comment(length: int) -> x509.Certificate:
        text = secrets.token_hex(length)[:length].encode()
        ia5 = b"\x16\x82" + length.to_bytes(2, "big") + text  # an IA5String in DER
        comment = x509.UnrecognizedExtension(_COMMENT, ia5)
        return builder.add_extension(comment, critical=False).sign(signer, hashes.SHA256())

    # 256 first: from there on, every length around it is written in two bytes, as in the end.
    short = 256
    return with_comment(short + size - len(with_comment(short).public_bytes(Encoding.DER)))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time makes what is missing. Makes the folders, too."""
    for each in (folder, folder / _ROOT):
        each.mkdir(parents=True, exist_ok=True)
        each.chmod(0o755)
    with locked(folder / ".lock"):
        yield
