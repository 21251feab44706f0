"""FakeTLS, the listening side: who is a client, and the answer that looks like a TLS 1.3 server's.

A client proves that it knows the key inside its ClientHello: the random is
HMAC-SHA256(key, hello record with a zeroed random), its last four bytes XORed with the Unix
time, little-endian. A hello split over several TLS records counts as the single record it would
have been. The client's half is in faketls_client.py, the records that follow in records.py.
Facts: TDLib (td/mtproto/TlsInit.cpp) and mtg (mtglib/internal/tls/fake).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from app.mtproto.secret import Secret

HANDSHAKE, CHANGE_CIPHER_SPEC, APPLICATION_DATA = 0x16, 0x14, 0x17
CHANGE_CIPHER_SPEC_RECORD = b"\x14\x03\x03\x00\x01\x01"
RANDOM_BYTES = 32
#: In a record: header 5, handshake type 1, length 3, version 2.
RANDOM_AT = 11
#: The part of the random that is all HMAC. The rest carries the time, which the HMAC does not cover: it can
#: be changed without the key.
PROOF_BYTES = 28

X25519, X25519MLKEM768 = 0x001D, 0x11EC
MLKEM768_CIPHERTEXT_BYTES = 1088
_TLS13_CIPHERS = (0x1301, 0x1302, 0x1303)
_SERVER_NAME, _KEY_SHARE, _SUPPORTED_VERSIONS = 0x0000, 0x0033, 0x002B

#: Today's hellos are below 2 kB; what is longer than this, or wrapped in more bytes than that, is left to the
#: cover host: anybody can make us keep as much for the time of a handshake.
MAX_HELLO = 8 * 1024
MAX_WIRE = 16 * 1024
_MAX_RECORD = 16 * 1024


class NotAHello(ValueError):
    """These bytes can't become a TLS ClientHello any more."""


class Refused(ValueError):
    """A ClientHello, but not of a client of ours. The message names the reason."""


class WrongClock(Refused):
    """The right key, but another time than ours. seconds: how far the client's clock is behind (negative: ahead)."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"clock off by {seconds:.0f} s")
        self.seconds = seconds


class WrongName(Refused):
    """The right key, but not our name. missing: there is no SNI at all."""

    def __init__(self, missing: bool) -> None:
        super().__init__("unknown SNI" if not missing else "no SNI")
        self.missing = missing


@dataclass(frozen=True)
class Proof:
    """That a hello was made with the key. digest: the whole HMAC, which nothing but the time can be changed
    under; so replays are known by it. sent_at: Unix seconds, as the client says - or whoever recorded it."""

    digest: bytes
    sent_at: int


@dataclass(frozen=True)
class ClientHello:
    """record: the whole hello as one TLS record. wire_bytes: how much of the input it took."""

    record: bytes
    wire_bytes: int
    session_id: bytes
    ciphers: tuple[int, ...]
    server_names: tuple[str, ...]
    key_share_groups: tuple[int, ...]

    @property
    def random(self) -> bytes:
        return self.record[RANDOM_AT : RANDOM_AT + RANDOM_BYTES]


class HelloReader:
    """Puts a ClientHello together while it arrives, each byte looked at once.

    Otherwise a stranger could make us read the same thousands of tiny records again and again.
    """

    def __init__(self) -> None:
        self._message = bytearray()
        self._position = 0
        self._wanted: int | None = None

    def read(self, buffer: bytes | bytearray) -> ClientHello | None:
        """The ClientHello at the start of the buffer, or None while more bytes are needed.

        buffer: everything received so far; it may only have grown since the last call.
        Raises NotAHello as soon as the bytes at hand rule one out.
        """
        message = self._message
        while self._wanted is None or len(message) < self._wanted:
            header = buffer[self._position : self._position + 9]
            if header[:1] not in (b"", b"\x16") or header[1:2] not in (b"", b"\x03"):
                raise NotAHello("not a TLS handshake record")
            if len(header) < 5:
                return None
            length = int.from_bytes(header[3:5], "big")
            if not 0 < length <= _MAX_RECORD:
                raise NotAHello(f"a handshake record of {length} bytes")
            if not message:
                _check_message_start(header[5 : 5 + length])
            end = self._position + 5 + length
            if end > MAX_WIRE:
                raise NotAHello("a ClientHello in too many records")
            if end > len(buffer):
                return None
            message += buffer[self._position + 5 : end]
            self._position = end
            if self._wanted is None and len(message) >= 4:
                _check_message_start(message)
                self._wanted = 4 + int.from_bytes(message[1:4], "big")
        if len(message) > self._wanted:
            raise NotAHello("more than a ClientHello in its record")
        record = b"\x16" + bytes(buffer[1:3]) + len(message).to_bytes(2, "big") + message
        return ClientHello(record, self._position, *_parse_body(memoryview(record)[9:]))


def _check_message_start(start: bytes | bytearray) -> None:
    """Type and length of the handshake message, as far as they are there."""
    if start[:1] not in (b"", b"\x01"):
        raise NotAHello("a handshake message that is not a ClientHello")
    if len(start) >= 4 and int.from_bytes(start[1:4], "big") > MAX_HELLO:
        raise NotAHello("a ClientHello that is too long")


def read_hello(buffer: bytes | bytearray) -> ClientHello | None:
    """HelloReader for bytes that are there at once."""
    return HelloReader().read(buffer)


def check_key(hello: ClientHello, key: bytes) -> Proof:
    """The proof that the hello was made with this key. Raises Refused if it was not."""
    digest, random = hello_digest(hello.record, key), hello.random
    if not hmac.compare_digest(digest[:PROOF_BYTES], random[:PROOF_BYTES]):
        raise Refused("wrong secret")
    sent_at = int.from_bytes(digest[PROOF_BYTES:], "little") ^ int.from_bytes(random[PROOF_BYTES:], "little")
    return Proof(digest, sent_at)


def check_rest(hello: ClientHello, proof: Proof, domain: str, now: float, tolerance: float) -> None:
    """Raise WrongName or WrongClock if a hello of the right key is no client's all the same.

    now: Unix seconds. tolerance: how many seconds the client's clock may be off, either way.
    """
    if domain.lower() not in hello.server_names:
        raise WrongName(missing=not hello.server_names)
    if abs(now - proof.sent_at) > tolerance:
        raise WrongClock(now - proof.sent_at)


def check_hello(hello: ClientHello, secret: Secret, now: float, tolerance: float) -> None:
    """Return if the hello is a client's; raise Refused otherwise. See check_rest()."""
    check_rest(hello, check_key(hello, secret.key), secret.domain, now, tolerance)


def hello_digest(record: bytes, key: bytes) -> bytes:
    """HMAC of a ClientHello record with its random zeroed."""
    zeroed = record[:RANDOM_AT] + bytes(RANDOM_BYTES) + record[RANDOM_AT + RANDOM_BYTES :]
    return hmac.digest(key, zeroed, "sha256")


def answer(hello: ClientHello, key: bytes, flight_bytes: int) -> bytes:
    """ServerHello, ChangeCipherSpec and one application-data record: what the client checks as a whole."""
    body = b"".join(
        (
            b"\x03\x03",
            bytes(RANDOM_BYTES),
            len(hello.session_id).to_bytes(1, "big"),
            hello.session_id,
            _choose_cipher(hello).to_bytes(2, "big"),
            b"\x00",
        )
    )
    extensions = _extension(_SUPPORTED_VERSIONS, b"\x03\x04") + _extension(_KEY_SHARE, _server_share(hello))
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    packet = bytearray(b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message)
    packet += CHANGE_CIPHER_SPEC_RECORD
    packet += b"\x17\x03\x03" + flight_bytes.to_bytes(2, "big") + secrets.token_bytes(flight_bytes)
    random = hmac.digest(key, hello.random + packet, "sha256")
    packet[RANDOM_AT : RANDOM_AT + RANDOM_BYTES] = random
    return bytes(packet)


def flight_bytes(domain: str) -> int:
    """Size of the encrypted flight (EncryptedExtensions, certificates, Finished) for a host name.

    A real server's certificates keep their size, so it hangs on the name alone: every connection,
    and every proxy for that name, shows the same. 2,300 to 4,400 bytes are the usual chains.
    """
    number = int.from_bytes(hashlib.sha256(b"flight " + domain.lower().encode()).digest()[:4], "big")
    return 2300 + number % 2100


def is_grease(value: int) -> bool:
    """Whether this is one of the meaningless values of RFC 8701, which no server ever picks."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def _choose_cipher(hello: ClientHello) -> int:
    return next((cipher for cipher in hello.ciphers if cipher in _TLS13_CIPHERS), _TLS13_CIPHERS[0])


def _server_share(hello: ClientHello) -> bytes:
    """A key_share entry for the group that a modern server takes: post-quantum if it is offered.

    The X25519 key is a real one. Of an ML-KEM ciphertext nobody but the client could tell
    whether it is real: it looks random.
    """
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    if X25519MLKEM768 in hello.key_share_groups:
        group, share = X25519MLKEM768, secrets.token_bytes(MLKEM768_CIPHERTEXT_BYTES) + public
    else:
        group, share = X25519, public
    return group.to_bytes(2, "big") + len(share).to_bytes(2, "big") + share


def _extension(number: int, data: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


class _Fields:
    """Reads length-prefixed fields; running past the end raises NotAHello."""

    def __init__(self, data: memoryview) -> None:
        self.data = data

    def take(self, count: int) -> memoryview:
        if count > len(self.data):
            raise NotAHello("a field of the ClientHello is cut off")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> memoryview:
        return self.take(self.number(width))


def _parse_body(body: memoryview) -> tuple[bytes, tuple[int, ...], tuple[str, ...], tuple[int, ...]]:
    """Session id, ciphers, server names (lower case) and key share groups of a ClientHello body."""
    fields = _Fields(body)
    fields.take(2 + RANDOM_BYTES)
    session_id = bytes(fields.vector(1))
    if len(session_id) > 32:
        raise NotAHello(f"a session id of {len(session_id)} bytes")
    offered = fields.vector(2)
    ciphers = tuple(int.from_bytes(offered[i : i + 2], "big") for i in range(0, len(offered) - 1, 2))
    fields.vector(1)
    names: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    extensions = _Fields(fields.vector(2) if fields.data else memoryview(b""))
    while extensions.data:
        number, data = extensions.number(2), extensions.vector(2)
        if number == _SERVER_NAME and data:
            names = _server_names(_Fields(_Fields(data).vector(2)))
        elif number == _KEY_SHARE:
            groups = _key_share_groups(_Fields(_Fields(data).vector(2)))
    return session_id, ciphers, names, groups


def _server_names(entries: _Fields) -> tuple[str, ...]:
    names = []
    while entries.data:
        kind, name = entries.number(1), entries.vector(2)
        if kind == 0:
            names.append(bytes(name).decode("ascii", "replace").lower())
    return tuple(names)


def _key_share_groups(entries: _Fields) -> tuple[int, ...]:
    groups = []
    while entries.data:
        groups.append(entries.number(2))
        entries.vector(2)
    return tuple(groups)
