"""Proxy secrets: the 16 bytes that client and proxy share, and how they are written."""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import re
import secrets
from dataclasses import dataclass, field

from app.lib.problem import Coded, Problem
from app.mtproto.english import ENGLISH

KEY_BYTES = 16
KINDS = FAKETLS, PADDED, PLAIN = "faketls", "padded", "plain"
_PREFIX = {FAKETLS: b"\xee", PADDED: b"\xdd", PLAIN: b""}

#: TDLib refuses a longer host name in a secret: it would not fit its ClientHello.
MAX_DOMAIN = 182

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_BASE64 = re.compile(r"[A-Za-z0-9_-]+")


class SecretError(Coded, ValueError):
    """A secret or its host name is not one. What it says is for people and never shows a key."""

    language = ENGLISH


@dataclass(frozen=True)
class Secret:
    """A proxy secret.

    kind: "faketls" (written ee + key + host name), "padded" (dd + key) or "plain" (the key alone).
    key: 16 bytes. domain: the host name that the client puts into its SNI; only for "faketls".
    """

    kind: str
    key: bytes = field(repr=False)
    domain: str = ""

    @classmethod
    def generate(cls, domain: str) -> Secret:
        """A new FakeTLS secret for this host name. Raises SecretError for a bad name."""
        return cls(FAKETLS, secrets.token_bytes(KEY_BYTES), valid_domain(domain))

    @classmethod
    def padded(cls) -> Secret:
        """A new secret without a host name, by which clients send packets of random length."""
        return cls(PADDED, secrets.token_bytes(KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Read a secret written as hex or base64 (URL-safe or standard alphabet, padded or not).

        The host name is kept as it stands, because it is part of the links already handed
        out. Raises SecretError.
        """
        found = _decodings(text.strip())
        for data in found:
            if len(data) == KEY_BYTES:
                return cls(PLAIN, data)
            if data[:1] == b"\xdd" and len(data) == KEY_BYTES + 1:
                return cls(PADDED, data[1:])
            if data[:1] == b"\xee" and len(data) > KEY_BYTES:
                return cls(FAKETLS, data[1 : KEY_BYTES + 1], _host_name(data[KEY_BYTES + 1 :]))
        raise SecretError("secret.shape", count=len(found[0]), start=found[0][:1].hex())

    @property
    def data(self) -> bytes:
        """The secret as bytes, prefix and host name included."""
        return _PREFIX[self.kind] + self.key + self.domain.encode("ascii")

    @property
    def hex(self) -> str:
        return self.data.hex()

    @property
    def base64url(self) -> str:
        """URL-safe base64 without padding, the other spelling that clients accept."""
        return base64.urlsafe_b64encode(self.data).rstrip(b"=").decode("ascii")

    def __str__(self) -> str:
        return self.hex

    def masked(self) -> str:
        """A form to show and log: the first six and last four hex digits."""
        return f"{self.hex[:6]}…{self.hex[-4:]}"

    def rotated(self) -> Secret:
        """The same kind and host name with a new key."""
        return Secret(self.kind, secrets.token_bytes(KEY_BYTES), self.domain)

    def with_domain(self, domain: str) -> Secret:
        """A FakeTLS secret with the same key and another host name. Raises SecretError."""
        return Secret(FAKETLS, self.key, valid_domain(domain))


def valid_domain(text: str) -> str:
    """The host name in lower-case ASCII (international names become punycode). Raises SecretError.

    Refused are IP addresses, one-label names and anything a certificate authority
    would not sign, because such an SNI gives the proxy away.
    """
    given = text if len(text) <= 60 else text[:60] + "…"

    def refused(code: str, **params: object) -> SecretError:
        return SecretError("domain.refused", name=given, reason=Problem(code, params), most=MAX_DOMAIN)

    name = text.strip().removesuffix(".").lower()
    if not name:
        raise refused("domain.empty")
    try:
        name = ascii_name(name)
    except ValueError as error:
        raise refused("domain.no_idna") from error
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        pass
    else:
        raise refused("domain.address")
    if len(name) > MAX_DOMAIN:
        raise refused("domain.long", count=len(name))
    labels = name.split(".")
    if len(labels) < 2:
        raise refused("domain.no_dot")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise refused("domain.part", part=label[:63])
    if labels[-1].isdigit():
        raise refused("domain.number")
    return name


def ascii_name(name: str) -> str:
    """A host name as the DNS has it: international letters become punycode (IDNA 2008, and UTS 46 without the
    transitional rules that made "ss" of "ß"). A name in ASCII stays as it is. Raises ValueError."""
    if name.isascii():
        return name
    import idna  # its tables are large, and few names need them

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (UnicodeError, IndexError) as error:
        raise ValueError(name) from error


def _decodings(text: str) -> list[bytes]:
    """What the text may stand for: a short base64 text can consist of hex digits alone."""
    if not text:
        raise SecretError("secret.empty")
    found = [bytes.fromhex(text)] if _HEX.fullmatch(text) else []
    body = text.rstrip("=").replace("+", "-").replace("/", "_")
    if _BASE64.fullmatch(body):
        with contextlib.suppress(binascii.Error):  # a length that no base64 text has
            found.append(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    if not found:
        raise SecretError("secret.no_code", count=len(text))
    return found


def _host_name(data: bytes) -> str:
    if not data:
        raise SecretError("secret.no_domain")
    if len(data) > MAX_DOMAIN:
        raise SecretError("secret.long_domain", count=len(data), most=MAX_DOMAIN)
    if any(byte <= 0x20 or byte >= 0x7F for byte in data):
        raise SecretError("secret.odd_domain")
    return data.decode("ascii")
