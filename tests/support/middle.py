"""Telegram's middle proxies, which MTProxy connects to instead of data centres: their protocol, and one for tests.

A connection is a chain of packets: length:u32le (of the whole packet), number:i32le (from -2 on), the payload,
crc32:u32le. Two of each side are special: `nonce` in the clear, from which both work out an AES-256-CBC key for each
direction, by proxy-secret and by the addresses that each side sees; and `handshake`, encrypted. Then requests come,
each with a number of the client's connection, and answers go. Encrypted packets are filled up to 16 bytes with words of
4. Facts: MTProxy's net/net-crypto-aes.c, net/net-tcp-rpc-*.c and mtproto/mtproto-proxy.c, read; and what it sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import json
import os
import socket
import struct
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

NONCE, HANDSHAKE = 0x7ACB87AA, 0x7682EEF5
REQUEST, ANSWER = 0x36CEF1EE, 0x4403DA0D
#: The client's connection has ended: told by MTProxy, and by the middle proxy.
CLOSE_CLIENT, CLOSE_SERVER = 0x1FCF425D, 0x5EB634A2
PING, PONG = 0x5730A2DF, 0x8430EAA7
AES = 1
#: The flag of a request that brings more than the client's data: the advertising tag.
MORE = 8
TAG = 0xDB1E26AE
_FILL = struct.pack("<I", 4)


class MiddleError(Exception):
    """The other side sent what is no packet, or has another key."""


@dataclass(frozen=True)
class Seen:
    """What both sides make keys of. server is the middle proxy, client is MTProxy: as they are seen from outside."""

    secret: bytes
    server_nonce: bytes
    client_nonce: bytes
    client_time: int
    server: tuple[str, int]
    client: tuple[str, int]

    def key(self, writer: bytes) -> tuple[bytes, bytes]:
        """(key, iv) of what this side writes: b"CLIENT" or b"SERVER"."""
        text = (self.server_nonce + self.client_nonce
                + struct.pack("<IIH", self.client_time, _number(self.server[0]), self.client[1]) + writer
                + struct.pack("<IH", _number(self.client[0]), self.server[1]) + self.secret + self.server_nonce
                + self.client_nonce)
        return (hashlib.md5(text[1:]).digest()[:12] + hashlib.sha1(text).digest(), hashlib.md5(text[2:]).digest())


def _number(ip: str) -> int:
    return int(ipaddress.IPv4Address(ip))


class Packets:
    """One side of a connection: bytes to payloads, and payloads to bytes."""

    def __init__(self) -> None:
        self._encryptor: CipherContext | None = None
        self._decryptor: CipherContext | None = None
        self._number = -2
        self._expected = -2
        self._sealed, self._clear = b"", b""

    def encrypt(self, write: tuple[bytes, bytes], read: tuple[bytes, bytes]) -> None:
        """From the next packet on, in both directions."""
        self._encryptor = Cipher(algorithms.AES(write[0]), modes.CBC(write[1])).encryptor()
        self._decryptor = Cipher(algorithms.AES(read[0]), modes.CBC(read[1])).decryptor()

    def pack(self, payload: bytes) -> bytes:
        packet = struct.pack("<Ii", len(payload) + 12, self._number) + payload
        self._number += 1
        packet += struct.pack("<I", zlib.crc32(packet))
        if self._encryptor is None:
            return packet
        return self._encryptor.update(packet + _FILL * (-len(packet) % 16 // 4))

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Each payload that is whole now. Between two of them the keys may change. Raises MiddleError."""
        self._sealed += data
        while (payload := self._next()) is not None:
            yield payload

    def _next(self) -> bytes | None:
        while True:
            if self._decryptor is None:
                self._clear, self._sealed = self._clear + self._sealed, b""
            elif whole := len(self._sealed) & ~15:
                self._clear += self._decryptor.update(self._sealed[:whole])
                self._sealed = self._sealed[whole:]
            if len(self._clear) < 4:
                return None
            (length,) = struct.unpack_from("<I", self._clear)
            if length == 4:
                self._clear = self._clear[4:]
                continue
            if not 16 <= length <= 1 << 24 or length % 4:
                raise MiddleError(f"a packet of {length} bytes: the keys differ")
            if len(self._clear) < length:
                return None
            packet = self._clear[:length]
            number, crc = struct.unpack_from("<i", packet, 4)[0], struct.unpack_from("<I", packet, length - 4)[0]
            if zlib.crc32(packet[:-4]) != crc or number != self._expected:
                raise MiddleError(f"packet {number} instead of {self._expected}, or its checksum is wrong")
            self._clear = self._clear[length:]
            self._expected += 1
            if self._decryptor is None:  # what follows may be encrypted
                self._sealed, self._clear = self._clear + self._sealed, b""
            return packet[8:-4]


def nonce_packet(secret: bytes, nonce: bytes, now: int) -> bytes:
    return struct.pack("<I4sII", NONCE, secret[:4], AES, now) + nonce


@dataclass(frozen=True)
class Request:
    """What a client has sent. connection: by this number it is answered. address: of the client. tag: of the
    advertisement, as hex; "" for none."""

    connection: int
    address: str
    tag: str
    data: bytes

    @classmethod
    def parse(cls, payload: bytes) -> Request:
        _, flags, connection = struct.unpack_from("<IIQ", payload)
        address, rest, tag = ipaddress.IPv6Address(payload[16:32]), payload[56:], ""
        if flags & MORE:
            (length,) = struct.unpack_from("<I", rest)
            more, rest = rest[4:4 + length], rest[4 + length:]
            if struct.unpack_from("<IB", more) != (TAG, 16):
                raise MiddleError(f"a request with {more.hex()} beside the data")
            tag = more[5:21].hex()
        return cls(connection, str(address.ipv4_mapped or address), tag, rest)


def request_packet(connection: int, client: tuple[str, int], here: tuple[str, int], data: bytes,
                   tag: str = "") -> bytes:
    def at(address: tuple[str, int]) -> bytes:
        return ipaddress.IPv6Address(f"::ffff:{address[0]}").packed + struct.pack("<I", address[1])

    more = struct.pack("<IIB", 24, TAG, 16) + bytes.fromhex(tag) + bytes(3) if tag else b""
    return struct.pack("<IIQ", REQUEST, MORE if tag else 0, connection) + at(client) + at(here) + more + data


@dataclass
class MiddleProxy:
    """Takes MTProxy's connections, and leads each client to a test DC (tests/support/dc), between start() and stop().

    center: "host:port" of the DC without SOCKS5. address: "host:port", once it was started. handshakes: connections of
    MTProxy that had the right key; refused: why others were ended. clients, tags: how often which came in requests.
    """

    secret: bytes
    center: str
    host: str = "127.0.0.1"
    address: str = ""
    handshakes: int = 0
    pings: int = 0
    refused: list[str] = field(default_factory=list)
    clients: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)

    def conf(self) -> bytes:
        """A proxy-multi.conf of it alone."""
        return "".join(["default 2;\n", *(f"proxy_for {dc * sign} {self.address};\n" for dc in (1, 2, 3, 4, 5)
                                          for sign in (1, -1))]).encode()

    def start(self) -> MiddleProxy:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve() -> None:
            self._server = await asyncio.start_server(self._serve, self.host, 0, limit=1 << 20, backlog=1024)
            self.address = f"{self.host}:{self._server.sockets[0].getsockname()[1]}"
            ready.set()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(serve())
            self._loop.run_forever()
            self._server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0.01))
            self._loop.close()

        self._thread = threading.Thread(target=run, name="middle proxy", daemon=True)
        self._thread.start()
        if not ready.wait(60):
            raise RuntimeError("the middle proxy did not start within 60 s")
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        try:
            await connection.run()
        except MiddleError as error:
            self.refused.append(str(error))
        except (OSError, asyncio.IncompleteReadError):
            pass  # MTProxy has ended
        finally:
            connection.close()


class _Connection:
    """One of MTProxy's connections, with all the clients in it."""

    def __init__(self, middle: MiddleProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._middle, self._reader, self._writer = middle, reader, writer
        self._packets = Packets()
        self._shaken = False
        self._clients: dict[int, asyncio.StreamWriter] = {}
        self._encryptors: dict[int, CipherContext] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        while data := await self._reader.read(1 << 18):
            for payload in self._packets.feed(data):
                await self._take(payload)
            await self._writer.drain()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for writer in (*self._clients.values(), self._writer):
            writer.transport.abort()

    def _put(self, *parts: bytes) -> None:
        self._writer.write(self._packets.pack(b"".join(parts)))

    async def _take(self, payload: bytes) -> None:
        (kind,) = struct.unpack_from("<I", payload)
        if kind == NONCE:
            self._agree(payload)
        elif kind == HANDSHAKE:
            # flags, the sender's process, and whom it takes for its peer.
            self._put(struct.pack("<II", HANDSHAKE, 0), payload[20:32], payload[8:20])
            self._shaken = True
            self._middle.handshakes += 1
        elif not self._shaken:
            raise MiddleError(f"{kind:#x} before the handshake")
        elif kind == PING:
            self._middle.pings += 1
            self._put(struct.pack("<I", PONG), payload[4:])
        elif kind == REQUEST:
            await self._forward(Request.parse(payload))
        elif kind in (CLOSE_CLIENT, CLOSE_SERVER):
            self._forget(struct.unpack_from("<Q", payload, 4)[0])
        elif kind != PONG:
            raise MiddleError(f"a packet of the unknown kind {kind:#x}")

    def _agree(self, payload: bytes) -> None:
        _, key, schema, then = struct.unpack_from("<I4sII", payload)
        secret = self._middle.secret
        if (key, schema) != (secret[:4], AES):
            raise MiddleError("another proxy-secret, or another cipher")
        if abs(then - time.time()) > 30:
            raise MiddleError(f"a clock that is {then - time.time():.0f} s off")
        nonce = os.urandom(16)
        self._put(nonce_packet(secret, nonce, int(time.time())))
        seen = Seen(secret, nonce, payload[16:32], then, self._writer.get_extra_info("sockname")[:2],
                    self._writer.get_extra_info("peername")[:2])
        self._packets.encrypt(seen.key(b"SERVER"), seen.key(b"CLIENT"))

    async def _forward(self, request: Request) -> None:
        self._middle.clients[request.address] += 1
        if request.tag:
            self._middle.tags[request.tag] += 1
        if request.connection not in self._clients:
            await self._open(request.connection)
        data = struct.pack("<I", len(request.data)) + request.data
        writer = self._clients[request.connection]
        writer.write(self._encryptors[request.connection].update(data))
        await writer.drain()

    async def _open(self, connection: int) -> None:
        """To the DC, as a client of obfuscated2, in intermediate framing."""
        host, _, port = self._middle.center.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
        header = os.urandom(56) + b"\xee" * 4 + b"\x02\0\0\0"
        turned = header[8:56][::-1]
        encryptor = Cipher(algorithms.AES(header[8:40]), modes.CTR(header[40:56])).encryptor()
        decryptor = Cipher(algorithms.AES(turned[:32]), modes.CTR(turned[32:])).encryptor()
        writer.write(header[:56] + encryptor.update(header)[56:])
        self._clients[connection], self._encryptors[connection] = writer, encryptor
        task = asyncio.create_task(self._answer(connection, reader, decryptor))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, connection: int, reader: asyncio.StreamReader, decryptor: CipherContext) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                (length,) = struct.unpack("<I", decryptor.update(await reader.readexactly(4)))
                data = decryptor.update(await reader.readexactly(length))
                self._put(struct.pack("<IIQ", ANSWER, 0, connection), data)
                await self._writer.drain()
        if connection in self._clients:
            self._put(struct.pack("<IQ", CLOSE_SERVER, connection))
            self._forget(connection)

    def _forget(self, connection: int) -> None:
        self._encryptors.pop(connection, None)
        if writer := self._clients.pop(connection, None):
            writer.close()


class Caller:
    """MTProxy's side, with one client: what the stand-in does. Raises OSError, MiddleError."""

    def __init__(self, address: tuple[str, int], secret: bytes, seen_as: str = "", timeout: float = 60) -> None:
        """seen_as: the address that the middle proxy sees, if it is another one than here (NAT)."""
        self.socket = socket.create_connection(address, timeout)
        self._packets = Packets()
        nonce, now = os.urandom(16), int(time.time())
        self.socket.sendall(self._packets.pack(nonce_packet(secret, nonce, now)))
        answer = self.read()
        here = self.socket.getsockname()[:2]
        there = self.socket.getpeername()[:2]
        seen = Seen(secret, answer[16:32], nonce, now, there, (seen_as or here[0], here[1]))
        self._packets.encrypt(seen.key(b"CLIENT"), seen.key(b"SERVER"))
        self.put(struct.pack("<II", HANDSHAKE, 0) + bytes(24))
        if struct.unpack_from("<I", self.read())[0] != HANDSHAKE:
            raise MiddleError("no handshake")
        self.socket.settimeout(None)

    def put(self, payload: bytes) -> None:
        self.socket.sendall(self._packets.pack(payload))

    def read(self) -> bytes:
        """The next payload. Raises MiddleError at the end of the connection."""
        for payload in self._packets.feed(b""):
            return payload
        while data := self.socket.recv(1 << 16):
            for payload in self._packets.feed(data):
                return payload
        raise MiddleError("the connection has ended")


async def _main(center: str, secret: bytes, host: str) -> None:
    middle = MiddleProxy(secret, center, host).start()
    print(json.dumps({"address": middle.address}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    middle.stop()


if __name__ == "__main__":
    # CENTER SECRET-FILE [HOST]: prints its address as JSON and serves until its standard input ends.
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]).read_bytes(), (*sys.argv[3:], "127.0.0.1")[0]))
