"""The Telegram end of a session: reaching a data centre, and turning one side's bytes into the other's."""

from __future__ import annotations

import itertools
import socket

from app.builtin import dc as data_centres
from app.builtin import sockets
from app.builtin.metrics import Traffic
from app.builtin.relay import BUFFER_BYTES
from app.builtin.settings import Settings
from app.builtin.socks5 import UpstreamDown, UpstreamRefusal, connect_through
from app.mtproto import obfuscated2
from app.mtproto.records import (
    FIRST_RECORD,
    FIRST_RECORDS,
    FULL_RECORD,
    HEADER_BYTES,
    RecordReader,
    record_header,
)

# Scratch space of the whole process, like the relay's buffer: nothing stays in it between two calls.
# update_into() wants a block of room behind the result.
_BLOCK = 16
_plain = memoryview(bytearray(BUFFER_BYTES + _BLOCK))
_FRAMING = (BUFFER_BYTES // FULL_RECORD + FIRST_RECORDS + 1) * HEADER_BYTES
_framed = memoryview(bytearray(BUFFER_BYTES + _FRAMING + _BLOCK))
_FULL_HEADER = record_header(FULL_RECORD)


class Unreachable(Exception):
    """No address of the data centre could be reached; the message has the reasons."""


class Dialer:
    """Connects to data centres, directly or through the upstreams, which take turns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = itertools.count()

    async def reach(self, dc: int) -> tuple[socket.socket, str]:
        """A connection to a known data centre, and its IP address. Raises Unreachable."""
        settings = self._settings
        hosts = data_centres.addresses(dc, settings.prefer_ip)
        failures: list[str] = []
        if not settings.upstreams:
            for host in hosts:
                try:
                    sock = await sockets.connect(host, data_centres.PORT, settings.connect_timeout)
                    return self._tuned(sock), host
                except OSError as error:
                    failures.append(f"{host} port {data_centres.PORT}: {sockets.why(error)}")
            raise Unreachable("; ".join(failures))
        first = next(self._turn)
        for turn in range(len(settings.upstreams)):
            upstream = settings.upstreams[(first + turn) % len(settings.upstreams)]
            for host in hosts:
                try:
                    sock = await connect_through(
                        upstream, host, data_centres.PORT, settings.connect_timeout
                    )
                    return self._tuned(sock), host
                except UpstreamRefusal as error:
                    failures.append(str(error))
                except UpstreamDown as error:
                    failures.append(str(error))
                    break
        raise Unreachable("; ".join(failures))

    def _tuned(self, sock: socket.socket) -> socket.socket:
        sockets.tune(sock, self._settings.keep_alive)
        return sock


class Session:
    """Re-encrypts between a client's streams and a data centre's, and counts the payload.

    records: the client's record reader under FakeTLS, None for a plain obfuscated2 client.
    """

    __slots__ = (
        "_client_in", "_client_out", "_dc_in", "_dc_out", "_records", "_small_left", "_traffic",
    )  # fmt: skip

    def __init__(
        self,
        client: obfuscated2.Streams,
        server: obfuscated2.Streams,
        records: RecordReader | None,
        traffic: Traffic,
    ) -> None:
        self._client_in = client.incoming.update_into
        self._client_out = client.outgoing.update_into
        self._dc_in = server.incoming.update_into
        self._dc_out = server.outgoing.update_into
        self._records = records
        self._small_left = FIRST_RECORDS
        self._traffic = traffic

    def up(self, data: memoryview) -> bytes | memoryview:
        """Client -> data centre. Valid until the next call of any session."""
        payload = self._records.feed(data) if self._records else data
        return self.up_payload(payload)

    def up_payload(self, payload: bytes | memoryview) -> bytes | memoryview:
        """The same for bytes that are out of their records already."""
        count = len(payload)
        if not count:
            return b""
        self._traffic.up += count
        self._client_in(payload, _plain)
        self._dc_out(_plain[:count], _framed)
        return _framed[:count]

    def down(self, data: memoryview) -> memoryview:
        """Data centre -> client. Valid until the next call of any session."""
        count = len(data)
        self._traffic.down += count
        self._dc_in(data, _plain)
        if self._records is None:
            self._client_out(_plain[:count], _framed)
            return _framed[:count]
        taken = end = 0
        while taken < count:
            size = min(count - taken, FULL_RECORD)
            if self._small_left:
                self._small_left -= 1
                size = min(size, FIRST_RECORD)
            header = _FULL_HEADER if size == FULL_RECORD else record_header(size)
            _framed[end : end + HEADER_BYTES] = header
            end += HEADER_BYTES
            self._client_out(_plain[taken : taken + size], _framed[end:])
            taken += size
            end += size
        return _framed[:end]
