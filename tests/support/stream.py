"""A streaming client through a tg link: moves bytes, checks every one of them, measures.

It speaks FakeTLS and obfuscated2 by the client halves in app/mtproto, and the test
commands of tests/support/wire.py to the test DC behind the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
from dataclasses import dataclass

from app.mtproto import obfuscated2
from app.mtproto.faketls_client import AnswerError, check_answer, client_hello
from app.mtproto.links import parse_link
from app.mtproto.records import RecordError, RecordReader, StreamEnd, record_header
from app.mtproto.secret import FAKETLS, PLAIN, Secret
from tests.support import wire

CHUNK = 1 << 18
#: TDLib cuts what it sends into records of at most this payload.
CLIENT_RECORD = 2878
UPLOAD_FRAME = 1 << 16


class StreamBroken(Exception):
    """The connection was cut, or a byte was lost or changed on the way; the message says which."""


class Stream:
    """One client connection to the test DC, made by `open` or `open_direct`; for one task at a time.

    moved: bytes of both directions so far, as Telegram gets and sends them: what is billed.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tag: bytes):
        self._reader, self._writer, self._tag = reader, writer, tag
        self._records: RecordReader | None = None
        self._frames = wire.Frames(tag)
        self._waiting: list[bytes] = []
        self._prologue = b""
        self._counter = 0
        self.moved = 0

    @classmethod
    async def open(
        cls,
        link: str,
        dc: int = 2,
        timeout: float = 60,
        tag: bytes = b"",
        receive_buffer: int = 0,
        hello: bytes = b"",
        source: str = "",
    ) -> Stream:
        """Connect through the proxy of the link and shake hands, FakeTLS included.

        tag: packet encoding; by default padded for ee and dd, abridged for plain secrets.
        receive_buffer: SO_RCVBUF in bytes, 0 for the system's own. hello: a ClientHello
        made beforehand, so that making it is not measured. source: the address to come from. Raises OSError,
        TimeoutError, StreamBroken or faketls_client.AnswerError.
        """
        target = parse_link(link)
        secret = target.secret
        async with asyncio.timeout(timeout):
            stream = await cls._connect(
                target.server,
                target.port,
                tag or (wire.ABRIDGED if secret.kind == PLAIN else wire.PADDED),
                receive_buffer,
                source,
            )
            try:
                if secret.kind == FAKETLS:
                    await stream._shake_hands(secret, hello or client_hello(secret, time.time()))
                await stream._start(dc, secret.key)
            except BaseException:
                stream._writer.transport.abort()
                raise
        return stream

    @classmethod
    async def open_direct(cls, address: str, dc: int = 2, tag: bytes = wire.PADDED) -> Stream:
        """Connect to a DC at "host:port" with no proxy, or only a plain relay, between."""
        host, port = address.rsplit(":", 1)
        stream = await cls._connect(host, int(port), tag, 0)
        await stream._start(dc, b"")
        return stream

    @classmethod
    async def _connect(cls, host: str, port: int, tag: bytes, receive_buffer: int, source: str = "") -> Stream:
        local = (source, 0) if source else None
        reader, writer = await asyncio.open_connection(host, port, limit=CHUNK * 2, local_addr=local)
        if receive_buffer:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        return cls(reader, writer, tag)

    async def _shake_hands(self, secret: Secret, hello: bytes) -> None:
        self._writer.write(hello)
        answer = bytearray()
        while True:
            data = await self._reader.read(CHUNK)
            if not data:
                raise StreamBroken("the proxy closed the connection during the FakeTLS handshake")
            answer += data
            end = check_answer(answer, hello, secret.key)
            if end is not None:
                break
        if len(answer) > end:
            raise StreamBroken(
                f"{len(answer) - end} bytes after the FakeTLS answer, before anything was asked"
            )
        self._records = RecordReader()

    async def _start(self, dc: int, key: bytes) -> None:
        header, streams = obfuscated2.connect(self._tag, dc, key)
        self._encrypt, self._decrypt = streams.outgoing.update, streams.incoming.update
        self._prologue = header  # travels with the first frame, as all clients send it

    def _put(self, payload: bytes) -> None:
        data = self._encrypt(wire.frame(self._tag, payload))
        first = self._prologue
        if first:
            self.moved -= len(first)  # the header is between the client and the proxy
            data, self._prologue = first + data, b""
        self.moved += len(data)
        if self._records is not None:
            parts = [b"\x14\x03\x03\x00\x01\x01"] if first else []
            for start in range(0, len(data), CLIENT_RECORD):
                piece = data[start : start + CLIENT_RECORD]
                parts += (record_header(len(piece)), piece)
            data = b"".join(parts)
        self._writer.write(data)

    async def _get(self) -> bytes:
        """The next frame's payload."""
        while not self._waiting:
            data = await self._reader.read(CHUNK)
            if not data:
                raise StreamBroken("the connection was closed")
            try:
                if self._records is not None:
                    data = self._records.feed(memoryview(data))
                self.moved += len(data)
                self._waiting = list(self._frames.feed(self._decrypt(data)))
            except (RecordError, StreamEnd, wire.WireError) as error:
                raise StreamBroken(f"the stream is no longer what was sent: {error!r}") from error
            self._waiting.reverse()
        return self._waiting.pop()

    async def _get_command(self, operation: int) -> tuple[int, bytes]:
        """Value and data of the next command, which must be `operation`."""
        payload = await self._get()
        if payload[:8] != wire.MAGIC:
            raise StreamBroken(f"not a test frame: {payload[:24].hex()}")
        _, found, length, value = wire.HEADER.unpack_from(payload)
        if found != operation:
            raise StreamBroken(f"operation {found} where {operation} was expected")
        return value, payload[wire.HEADER.size : wire.HEADER.size + length]

    async def req_pq(self) -> float:
        """Ask for a resPQ, check its nonce; milliseconds."""
        started, nonce = time.perf_counter(), os.urandom(16)
        body = struct.pack("<I", 0xBE7E8EF1) + nonce
        self._put(struct.pack("<qqi", 0, int(time.time()) << 32, len(body)) + body)
        payload = await self._get()
        if payload[20:40] != struct.pack("<I", 0x05162463) + nonce:
            raise StreamBroken(f"not the resPQ asked for: {payload[:60].hex()}")
        return (time.perf_counter() - started) * 1000

    async def ask(self, size: int) -> None:
        """Ask for `size` bytes of the pattern without reading any of it."""
        self._put(wire.command(wire.SEND, size))
        await self._writer.drain()

    async def read_pattern(self, offset: int) -> int:
        """Read and check the next piece of what was asked for, which starts at `offset`; its length."""
        value, data = await self._get_command(wire.DATA)
        if value != offset:
            raise StreamBroken(f"the byte at {value} came where the one at {offset} was expected")
        if data != wire.pattern(offset, len(data)):
            raise StreamBroken(f"changed bytes between {offset} and {offset + len(data)}")
        return len(data)

    async def download(self, size: int) -> None:
        """Have `size` bytes sent, and check every one. Raises StreamBroken."""
        await self.ask(size)
        offset = 0
        while offset < size:
            offset += await self.read_pattern(offset)

    async def send_pattern(self, offset: int, size: int) -> None:
        """Send `size` bytes of the pattern, those at `offset` (an upload in pieces)."""
        for start in range(offset, offset + size, UPLOAD_FRAME):
            piece = wire.pattern(start, min(UPLOAD_FRAME, offset + size - start))
            self._put(wire.command(wire.DATA, start, piece))
            await self._writer.drain()

    async def end_upload(self) -> tuple[int, int]:
        """Ask the DC what it got since the last time: number of bytes, and their CRC-32."""
        self._put(wire.command(wire.END))
        value, data = await self._get_command(wire.ACK)
        return value, struct.unpack("<I", data)[0]

    async def upload(self, size: int) -> None:
        """Send `size` bytes and have the DC confirm count and checksum. Raises StreamBroken."""
        await self.send_pattern(0, size)
        count, crc = await self.end_upload()
        if count != size:
            raise StreamBroken(f"{count} bytes arrived of {size} sent")
        if crc != wire.pattern_crc(size):
            raise StreamBroken(f"all {size} bytes arrived, but not unchanged")

    async def echo(self, size: int = 64) -> float:
        """One round trip of `size` random bytes to the DC and back; milliseconds."""
        data = os.urandom(size)
        self._counter += 1
        started = time.perf_counter()
        self._put(wire.command(wire.ECHO, self._counter, data))
        value, back = await self._get_command(wire.ECHO)
        elapsed = (time.perf_counter() - started) * 1000
        if (value, back) != (self._counter, data):
            raise StreamBroken("the echo is not what was sent")
        return elapsed

    async def ended(self, timeout: float) -> bool:
        """Whether the other side has closed or reset the connection within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    await self._get()
        except TimeoutError:
            return False
        except (StreamBroken, OSError):
            return True

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):  # it was reset: closed all the same
            await self._writer.wait_closed()

    def abort(self) -> None:
        """Close at once, with a reset."""
        self._writer.transport.abort()


@dataclass
class Report:
    """What a background stream has seen. broken: "" if every byte arrived and nothing was cut."""

    down: int = 0
    up: int = 0
    rounds: int = 0
    longest_round: float = 0.0
    broken: str = ""


class BackgroundStream:
    """Keeps one connection busy in a thread, both directions, until finish() tells how it went.

    with BackgroundStream(link) as other: …; assert not other.finish().broken
    """

    def __init__(self, link: str, dc: int = 2, piece: int = 200_000, pause: float = 0.01):
        self._link, self._dc, self._piece, self._pause = link, dc, piece, pause
        self._report = Report()
        self._end = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background stream", daemon=True)

    def __enter__(self) -> BackgroundStream:
        self._thread.start()
        if not self._ready.wait(90):
            raise RuntimeError("the background stream did not end its first round within 90 s")
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    @property
    def report(self) -> Report:
        """The state so far; `broken` is set as soon as something is wrong."""
        return self._report

    def wait_until_broken(self, timeout: float) -> bool:
        """Wait for the stream to end by itself, which only a cut or a lost byte makes it do."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def finish(self) -> Report:
        """End the stream, after the round under way, and tell how it went."""
        self._end.set()
        self._thread.join(90)
        if self._thread.is_alive():
            self._report.broken = self._report.broken or "a round did not end within 90 s"
        return self._report

    def _run(self) -> None:
        try:
            asyncio.run(self._stream())
        except (StreamBroken, OSError, ValueError) as error:
            self._report.broken = f"{type(error).__name__}: {error}"
        finally:
            self._ready.set()

    async def _stream(self) -> None:
        stream = await Stream.open(self._link, self._dc)
        while not self._end.is_set():
            started = time.monotonic()
            async with asyncio.timeout(60):
                await stream.download(self._piece)
                self._report.down += self._piece
                await stream.upload(self._piece // 4)
                self._report.up += self._piece // 4
                await stream.echo()
            self._report.rounds += 1
            self._report.longest_round = max(self._report.longest_round, time.monotonic() - started)
            self._ready.set()
            await asyncio.sleep(self._pause)
        await stream.close()


def trouble(link: str, seconds: float = 30) -> str:
    """Why a client with this link gets no answer from the test DC within so many seconds; "" if it gets one."""

    async def ask() -> None:
        async with asyncio.timeout(seconds):
            stream = await Stream.open(link)
            await stream.req_pq()
            await stream.close()

    try:
        asyncio.run(ask())
    except (OSError, TimeoutError, StreamBroken, AnswerError) as error:
        return repr(error)
    return ""


def passes(link: str) -> bool:
    """Whether a client with this link gets an answer from the test DC."""
    return not trouble(link)
