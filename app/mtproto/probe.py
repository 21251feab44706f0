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
from app.mtproto import obfuscated2
from app.mtproto.faketls import CHANGE_CIPHER_SPEC_RECORD
from app.mtproto.faketls_client import AnswerError, check_answer, client_hello
from app.mtproto.links import Link
from app.mtproto.records import RecordError, RecordReader, StreamEnd, frame
from app.mtproto.secret import FAKETLS, PLAIN

#: ProbeError.step: no TCP connection; not our proxy or another secret; no answer from Telegram.
CONNECT, HANDSHAKE, TELEGRAM = "connect", "handshake", "telegram"

_REQ_PQ_MULTI, _RES_PQ = 0xBE7E8EF1, 0x05162463
#: A FakeTLS answer is one flight of certificates at most; a resPQ has 84 bytes, and padding.
_MAX_ANSWER = 64 * 1024
_MAX_RES_PQ = 1024
_READ = 16 * 1024


class ProbeError(Exception):
    """The link does not work. step: CONNECT, HANDSHAKE or TELEGRAM; the message is for people."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__(message)
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
        reason = error.strerror if isinstance(error, socket.gaierror) else "it is not a host name"
        raise ProbeError(
            CONNECT,
            f"the server name {link.server} has no address ({reason}); check the name and its DNS record",
        ) from error
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
            reasons.append(
                f"{address[0]}: no answer in time, a firewall drops the packets or the server is down"
            )
        except OSError as error:
            connection.close()
            reasons.append(f"{address[0]}: {error.strerror or error}")
    raise ProbeError(
        CONNECT,
        f"can't connect to {_where(link)} within {timeout:g} s ({'; '.join(reasons)}): "
        "is the proxy running, and the port open?",
    )


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
                raise AnswerError("the answer does not end")
    except AnswerError as error:
        raise ProbeError(
            HANDSHAKE,
            f"{where} answered like an ordinary website, not like the proxy of this link: the link's secret "
            "is not the one the proxy has now, another program listens there, or the clocks differ "
            f"({error})",
        ) from error
    except _Closed:
        raise ProbeError(
            HANDSHAKE,
            f"{where} accepted the connection and closed it in the middle of the FakeTLS handshake: "
            "it is not a proxy for this link, or its cover host could not be reached",
        ) from None
    except _TimeUp:
        raise ProbeError(
            HANDSHAKE,
            f"{where} accepted the connection but did not answer the FakeTLS handshake "
            f"within {peer.timeout:g} s",
        ) from None
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
        raise _no_answer(
            where, "closed the connection instead of passing on Telegram's answer", unproven
        ) from None
    except _TimeUp:
        raise _no_answer(where, f"gave no answer of Telegram's within {peer.timeout:g} s", unproven) from None
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


def _no_answer(where: str, what: str, unproven: bool) -> ProbeError:
    if unproven:
        return ProbeError(
            TELEGRAM,
            f"{where} {what}: the proxy can't reach Telegram, or it has another secret than this link "
            "(without FakeTLS the two look alike)",
        )
    return ProbeError(
        TELEGRAM,
        f"the proxy at {where} knows the secret, but {what}: its own way to Telegram does not work; "
        "check the upstream SOCKS5 server or the server's route to Telegram",
    )


def _not_telegram(where: str, unproven: bool) -> ProbeError:
    if unproven:
        return ProbeError(
            HANDSHAKE,
            f"{where} answered, but not with Telegram's reply: "
            "it is no MTProto proxy, or it has another secret",
        )
    return ProbeError(
        TELEGRAM,
        f"the proxy at {where} knows the secret, but what came back is not Telegram's reply: "
        "something else answers on its way to Telegram",
    )
