"""obfuscated2: the 64-byte header and the AES-CTR streams behind it, both sides.

Source: https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation
Header: 8 random bytes, 32 of key, 16 of IV, 4 of tag (which packet encoding follows), 2 of DC
id (signed, little-endian), 2 random bytes. The first 56 travel in the clear, the rest encrypted
by the stream that they start. The other direction uses key and IV read backwards.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

HEADER_BYTES = 64
ABRIDGED, INTERMEDIATE, PADDED = b"\xef" * 4, b"\xee" * 4, b"\xdd" * 4
TAGS = (ABRIDGED, INTERMEDIATE, PADDED)

#: A header must not start like another protocol, or the server would take it for that.
_FORBIDDEN_STARTS = (b"HEAD", b"POST", b"GET ", b"OPTI", b"\x16\x03\x01\x02", INTERMEDIATE, PADDED)


class HeaderError(ValueError):
    """Not an obfuscated2 header for this key."""


@dataclass(frozen=True)
class Streams:
    """Both directions of one connection. dc: the id as sent; negative for the media servers."""

    tag: bytes
    dc: int
    incoming: CipherContext
    outgoing: CipherContext


def accept(header: bytes | memoryview, key: bytes = b"") -> Streams:
    """The listening side: open a 64-byte header. key: the proxy secret's, b"" for a DC.

    Raises HeaderError when the header was not made with this key.
    """
    if len(header) != HEADER_BYTES:
        raise HeaderError(f"an obfuscated2 header has {HEADER_BYTES} bytes, not {len(header)}")
    clear = bytes(header)
    incoming, outgoing = _streams(clear, key)
    plain = incoming.update(clear)
    tag = plain[56:60]
    if tag not in TAGS:
        raise HeaderError("the header's tag names no known packet encoding")
    return Streams(tag, int.from_bytes(plain[60:62], "little", signed=True), incoming, outgoing)


def connect(tag: bytes, dc: int, key: bytes = b"") -> tuple[bytes, Streams]:
    """The connecting side: a new header and its streams. key: b"" towards a DC (no hashing)."""
    while True:
        clear = secrets.token_bytes(56) + tag + dc.to_bytes(2, "little", signed=True) + secrets.token_bytes(2)
        if clear[0] != 0xEF and clear[:4] not in _FORBIDDEN_STARTS and any(clear[4:8]):
            break
    outgoing, incoming = _streams(clear, key)
    return clear[:56] + outgoing.update(clear)[56:], Streams(tag, dc, incoming, outgoing)


def _streams(clear: bytes, key: bytes) -> tuple[CipherContext, CipherContext]:
    """The stream of the header's own direction, and the one of the answers."""
    forward = clear[8:56]
    return _stream(forward, key), _stream(forward[::-1], key)


def _stream(material: bytes, key: bytes) -> CipherContext:
    aes_key = hashlib.sha256(material[:32] + key).digest() if key else material[:32]
    return Cipher(AES(aes_key), CTR(material[32:])).encryptor()
