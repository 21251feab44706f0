"""FakeTLS, the connecting side: a ClientHello as today's clients send it, and the check of the answer."""

from __future__ import annotations

import hmac
import secrets

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from app.lib.problem import Coded
from app.mtproto.english import ENGLISH
from app.mtproto.faketls import (
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC_RECORD,
    HANDSHAKE,
    PROOF_BYTES,
    RANDOM_AT,
    RANDOM_BYTES,
    X25519,
    X25519MLKEM768,
    hello_digest,
)
from app.mtproto.secret import Secret

_CIPHERS = (
    0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9,
    0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035,
)  # fmt: skip
_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
_MLKEM768_PRIME = 3329


class AnswerError(Coded, ValueError):
    """The answer is not one of a proxy that knows the secret."""

    language = ENGLISH


def client_hello(secret: Secret, now: float, post_quantum: bool = True) -> bytes:
    """One TLS record. post_quantum adds an X25519MLKEM768 key share (1,700 bytes and more in all).

    now: Unix seconds that the hello claims.
    """
    grease = [0x0A0A + 0x1010 * secrets.randbelow(16) for _ in range(3)]
    extensions = [
        _extension(0x0000, _vector(2, b"\x00" + _vector(2, secret.domain.encode("ascii")))),
        _extension(0x0017, b""),
        _extension(0xFF01, b"\x00"),
        _extension(0x000A, _vector(2, _numbers(grease[1], *_groups(post_quantum), 0x0017, 0x0018))),
        _extension(0x000B, b"\x01\x00"),
        _extension(0x0023, b""),
        _extension(0x0010, _vector(2, b"\x02h2\x08http/1.1")),
        _extension(0x0005, b"\x01\x00\x00\x00\x00"),
        _extension(0x000D, _vector(2, _numbers(*_SIGNATURES))),
        _extension(0x0012, b""),
        _extension(0x0033, _vector(2, _key_shares(grease[1], post_quantum))),
        _extension(0x002D, b"\x01\x01"),
        _extension(0x002B, _vector(1, _numbers(grease[2], 0x0304, 0x0303))),
        _extension(0x001B, b"\x02\x00\x02"),
        _extension(0x44CD, _vector(2, b"\x02h2")),
        _extension(0xFE0D, _ech_grease()),
    ]
    # Browsers shuffle them since 2023; only the two meaningless ones keep their places.
    secrets.SystemRandom().shuffle(extensions)
    last = 0x0A0A if grease[2] != 0x0A0A else 0x1A1A
    block = b"".join([_extension(grease[2], b""), *extensions, _extension(last, b"\x00")])
    body = b"".join(
        (
            b"\x03\x03",
            bytes(RANDOM_BYTES),
            _vector(1, secrets.token_bytes(32)),
            _vector(2, _numbers(grease[0], *_CIPHERS)),
            b"\x01\x00",
            _vector(2, block),
        )
    )
    return sign_hello(b"\x16\x03\x01" + _vector(2, b"\x01" + _vector(3, body)), secret.key, now)


def sign_hello(record: bytes, key: bytes, now: float) -> bytes:
    """The same ClientHello record with the random that proves knowledge of the key."""
    digest = hello_digest(record, key)
    stamp = int.from_bytes(digest[PROOF_BYTES:], "little") ^ int(now)
    random = digest[:PROOF_BYTES] + stamp.to_bytes(4, "little")
    return record[:RANDOM_AT] + random + record[RANDOM_AT + RANDOM_BYTES :]


def check_answer(buffer: bytes | bytearray, hello_record: bytes, key: bytes) -> int | None:
    """How many bytes the proxy's answer takes, or None while more are needed. Raises AnswerError."""
    end = 0
    for expected in (HANDSHAKE, CHANGE_CIPHER_SPEC_RECORD[0], APPLICATION_DATA):
        header = buffer[end : end + 5]
        if not (bytes([expected]) + b"\x03\x03").startswith(bytes(header[:3])):
            raise AnswerError("answer.no_hello")
        if len(header) < 5:
            return None
        end += 5 + int.from_bytes(header[3:5], "big")
        if len(buffer) < end:
            return None
    packet = bytearray(buffer[:end])
    random = bytes(packet[RANDOM_AT : RANDOM_AT + RANDOM_BYTES])
    packet[RANDOM_AT : RANDOM_AT + RANDOM_BYTES] = bytes(RANDOM_BYTES)
    hello_random = hello_record[RANDOM_AT : RANDOM_AT + RANDOM_BYTES]
    if not hmac.compare_digest(hmac.digest(key, hello_random + packet, "sha256"), random):
        raise AnswerError("answer.other_secret")
    return end


def _groups(post_quantum: bool) -> tuple[int, ...]:
    return (X25519MLKEM768, X25519) if post_quantum else (X25519,)


def _key_shares(grease: int, post_quantum: bool) -> bytes:
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    shares = [_numbers(grease) + b"\x00\x01\x00"]
    if post_quantum:
        shares.append(_numbers(X25519MLKEM768) + _vector(2, _encapsulation_key() + public))
    shares.append(_numbers(X25519) + _vector(2, public))
    return b"".join(shares)


def _encapsulation_key() -> bytes:
    """A well-formed ML-KEM-768 public key of 1,184 bytes: 768 numbers below the prime, then a seed.

    Nobody ever encapsulates to it, so it needs no private key.
    """
    source = secrets.SystemRandom()
    packed = bytearray()
    for _ in range(384):
        pair = source.randrange(_MLKEM768_PRIME) | source.randrange(_MLKEM768_PRIME) << 12
        packed += pair.to_bytes(3, "little")
    return bytes(packed) + secrets.token_bytes(32)


def _ech_grease() -> bytes:
    """What a browser sends in place of an encrypted ClientHello when the site publishes no key."""
    sealed = secrets.token_bytes(secrets.choice((144, 176, 208, 240)))
    config_id, encapsulated = secrets.token_bytes(1), secrets.token_bytes(32)
    return b"\x00\x00\x01\x00\x01" + config_id + _vector(2, encapsulated) + _vector(2, sealed)


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def _vector(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width, "big") + data


def _extension(number: int, data: bytes) -> bytes:
    return _numbers(number) + _vector(2, data)
