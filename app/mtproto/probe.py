"""A tiny Telegram client that answers one question: does this link work?

It does what an app does when it opens a link: TCP, the FakeTLS handshake (for an
ee secret), the obfuscated2 header, then `req_pq_multi`, the one request Telegram
answers before any key exists. A `resPQ` with our nonce can only come from
Telegram's side of the proxy. Facts: https://core.telegram.org/mtproto/auth_key
"""

from __future__ import annotations

import secrets
import socket
import struct
import time

from app.lib.clock import WALL, Clock
from app.lib.problem import Coded, Problem
from app.mtproto import obfuscated2
from app.mtproto.english import ENGLISH
from app.mtproto.faketls import CHANGE_CIPHER_SPEC_RECORD
from app.mtproto.faketls_client import AnswerError, check_answer, client_hello
from app.mtproto.links import Link
from app.mtproto.records import RecordError, RecordReader, StreamEnd, frame
from app.mtproto.secret import FAKETLS, PLAIN

#: ProbeError.step: no TCP connection; not our proxy or another secret; no answer from Telegram.
CONNECT, HANDSHAKE, TELEGRAM = "connect", "handshake", "telegram"

_REQ_PQ_MULTI, _RES_PQ = 0xBE7E8EF1, 0x05162463
#: Bytes of a probe that a proxy counts at most: req_pq_multi, and a resPQ that names four keys, each with its length
#: before it and up to 15 bytes of padding behind it.
MOST_UP, MOST_DOWN = 4 + 40 + 15, 4 + 84 + 3 * 8 + 15
#: A FakeTLS answer is one flight of certificates at most; a resPQ has 84 bytes, and padding.
_MAX_ANSWER = 64 * 1024
_MAX_RES_PQ = 1024
_READ = 16 * 1024


class ProbeError(Coded):
    """The link does not work; it says why. step: CONNECT, HANDSHAKE or TELEGRAM."""

    language = ENGLISH

    def __init__(self, step: str, code: str | Problem, /, **params: object) -> None:
        super().__init__(code, **params)
        self.step = step


def probe(link: Link, timeout: float = 10.0, now: Clock = WALL) -> float:
    """Milliseconds from the first packet to Telegram's answer through the proxy of the link.

    timeout: seconds for all of it; looking up the server's name is not counted. now: Unix seconds, as the
    client's clock has them.
    Raises ProbeError.
    """
    addresses = _look_up(link)
    started = time.monotonic()
    deadline = started + timeout
    with _connect(link, addresses, deadline, timeout) as connection:
        peer = _Peer(connection, deadline, timeout)
        if link.secret.kind == FAKETLS:
            _fake_tls(peer, link, now())
        _ask_telegram(peer, link)
    return (time.monotonic() - started) * 1000


class _Closed(Exception):
    """The other side closed or reset the connection."""


class _TimeUp(Exception):
    """No answer before the deadline."""


class _Peer:
    """A socket whose reads and writes share one deadline."""

    def __init__(self, connection: socket.socket, deadline: float, timeout: float) -> None:
        self._socket, self._deadline, self.timeout = connection, deadline, timeout
        self.records: RecordReader | None = None

    def send(self, data: bytes) -> None:
        self._socket.settimeout(_left(self._deadline))
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise _TimeUp from None
        except OSError:
            raise _Closed from None

    def receive(self) -> bytes:
        """What has arrived, at least one byte of it."""
        self._socket.settimeout(_left(self._deadline))
        try:
            data = self._socket.recv(_READ)
        except TimeoutError:
            raise _TimeUp from None
        except OSError:
            raise _Closed from None
        if not data:
            raise _Closed
        return data


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _TimeUp
    return left


def _where(link: Link) -> str:
    host = f"[{link.server}]" if ":" in link.server else link.server
    return f"{host}:{link.port}"


def _look_up(link: Link) -> list[tuple[int, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(link.server, link.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else Problem("probe.no_host_name")
        raise ProbeError(CONNECT, "probe.no_address", name=link.server, reason=reason) from error
    return [(family, address) for family, _, _, _, address in found]


def _connect(
    link: Link, addresses: list[tuple[int, tuple[object, ...]]], deadline: float, timeout: float
) -> socket.socket:
    """A connection to the first address that accepts one; each gets its share of the time."""
    reasons = []
    for number, (family, address) in enumerate(addresses):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(deadline - time.monotonic(), 0.001) / (len(addresses) - number))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except TimeoutError:
            connection.close()
            reasons.append(Problem("probe.address_silent", {"address": str(address[0])}))
        except OSError as error:
            connection.close()
            reasons.append(Problem("probe.address", {"address": str(address[0]),
                                                     "reason": error.strerror or str(error)}))
    raise ProbeError(CONNECT, "probe.no_connection", where=_where(link), seconds=timeout, reasons=reasons)


def _fake_tls(peer: _Peer, link: Link, now: float) -> None:
    """The FakeTLS handshake, after which the proxy has proved that it knows the secret."""
    secret, where = link.secret, _where(link)
    hello = client_hello(secret, now)
    answer = bytearray()
    try:
        peer.send(hello)
        while True:
            answer += peer.receive()
            end = check_answer(answer, hello, secret.key)
            if end is not None:
                break
            if len(answer) > _MAX_ANSWER:
                raise AnswerError("answer.endless")
    except AnswerError as error:
        raise ProbeError(HANDSHAKE, "probe.website", where=where, reason=error) from error
    except _Closed:
        raise ProbeError(HANDSHAKE, "probe.closed", where=where) from None
    except _TimeUp:
        raise ProbeError(HANDSHAKE, "probe.silent", where=where, seconds=peer.timeout) from None
    peer.records = RecordReader()


def _ask_telegram(peer: _Peer, link: Link) -> None:
    """Send req_pq_multi through the proxy; return once its resPQ is there."""
    secret, where = link.secret, _where(link)
    # A plain secret stands for clients of before the padded encoding.
    tag = obfuscated2.INTERMEDIATE if secret.kind == PLAIN else obfuscated2.PADDED
    header, streams = obfuscated2.connect(tag, 2, secret.key)
    nonce = secrets.token_bytes(16)
    body = struct.pack("<I", _REQ_PQ_MULTI) + nonce
    message = struct.pack("<qqi", 0, int(time.time()) << 32, len(body)) + body
    if tag == obfuscated2.PADDED:
        message += secrets.token_bytes(secrets.randbelow(16))
    data = header + streams.outgoing.update(struct.pack("<I", len(message)) + message)
    if peer.records is not None:
        data = CHANGE_CIPHER_SPEC_RECORD + frame(data)
    # Without FakeTLS nothing has told yet whether the proxy knows the secret.
    unproven = peer.records is None
    try:
        peer.send(data)
        answer = b""
        while len(answer) < 4 or len(answer) < 4 + _frame_size(answer):
            piece = peer.receive()
            payload = piece if peer.records is None else peer.records.feed(memoryview(piece))
            answer += streams.incoming.update(payload)
    except (_Closed, StreamEnd):
        raise _no_answer(where, Problem("probe.closes"), unproven) from None
    except _TimeUp:
        raise _no_answer(where, Problem("probe.says_nothing", {"seconds": peer.timeout}), unproven) from None
    except (RecordError, _NotTelegram):
        raise _not_telegram(where, unproven) from None
    message = answer[4:]
    if message[:8] != bytes(8) or message[20:40] != struct.pack("<I", _RES_PQ) + nonce:
        raise _not_telegram(where, unproven)


class _NotTelegram(Exception):
    """Bytes that are no frame of the size a resPQ has."""


def _frame_size(answer: bytes) -> int:
    size: int = struct.unpack_from("<I", answer)[0]
    # Four bytes alone are Telegram's own error codes (such as -404): told as "not a resPQ".
    if not 4 <= size <= _MAX_RES_PQ:
        raise _NotTelegram
    return size


def _no_answer(where: str, what: Problem, unproven: bool) -> ProbeError:
    return ProbeError(TELEGRAM, "probe.no_answer_unproven" if unproven else "probe.no_answer", where=where, what=what)


def _not_telegram(where: str, unproven: bool) -> ProbeError:
    return ProbeError(HANDSHAKE, "probe.not_telegram_unproven", where=where) if unproven else \
        ProbeError(TELEGRAM, "probe.not_telegram", where=where)
