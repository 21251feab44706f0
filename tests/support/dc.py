"""A test Telegram DC, and a SOCKS5 server before it that answers every CONNECT itself as that DC.

    python -m tests.support.dc [--port N] [--user U --password P] [--mode MODE]

prints one line of JSON with its addresses and serves until its standard input
ends. Protocol facts: ENGINES.md "A test DC"; RFC 1928 and 1929 for SOCKS5. The
obfuscated2 here is written apart from the engine's on purpose: two readings of
the protocol that must agree.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.support import wire

REQ_PQ, REQ_PQ_MULTI, RES_PQ, VECTOR = 0x60469778, 0xBE7E8EF1, 0x05162463, 0x1CB5C415
PQ = bytes.fromhex("17ED48941A08F981")
FINGERPRINT = bytes.fromhex("d09d1d85de64fd85")
CHUNK = 1 << 18

#: What a CONNECT meets. answer: the DC. refuse: "connection refused" from SOCKS5.
#: silent: connected, but nothing is ever answered. close: closed after the CONNECT.
MODES = ("answer", "refuse", "silent", "close")


@dataclass
class Session:
    """One connection as the DC saw it. Bytes are those after the SOCKS5 handshake.

    host, port: where the proxy asked to be connected to ("" and 0: it came
    directly). dc: the DC id in the obfuscated2 header, negative for media.
    """

    host: str = ""
    port: int = 0
    dc: int | None = None
    tag: str = ""
    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    open: bool = True


def res_pq(nonce: bytes) -> bytes:
    """The unencrypted message that answers req_pq and req_pq_multi."""
    body = struct.pack("<I", RES_PQ) + nonce + os.urandom(16) + b"\x08" + PQ + bytes(3)
    body += struct.pack("<II", VECTOR, 1) + FINGERPRINT
    message_id = int(time.time()) << 32 | 1
    return struct.pack("<qqi", 0, message_id, len(body)) + body


class _Conversation:
    """The obfuscated2 stream of one connection, and the answers to what arrives in it."""

    def __init__(self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.session, self.reader, self.writer = session, reader, writer
        self._received, self._crc = 0, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()  # what is asked for is sent in its order, one after the other

    async def run(self) -> None:
        header = await self.reader.readexactly(64)
        self.session.bytes_in += 64
        decryptor = Cipher(algorithms.AES(header[8:40]), modes.CTR(header[40:56])).encryptor()
        turned = header[8:56][::-1]
        self._encryptor = Cipher(algorithms.AES(turned[:32]), modes.CTR(turned[32:])).encryptor()
        plain = decryptor.update(header)
        self._tag = plain[56:60]
        if self._tag not in wire.TAGS:
            raise wire.WireError(f"an obfuscated2 header with the unknown tag {self._tag.hex()}")
        self.session.tag = self._tag.hex()
        self.session.dc = struct.unpack("<h", plain[60:62])[0]
        frames = wire.Frames(self._tag)
        try:
            while data := await self.reader.read(CHUNK):
                self.session.bytes_in += len(data)
                for payload in frames.feed(decryptor.update(data)):
                    self._answer(payload)
                await self.writer.drain()
            await asyncio.gather(*self._tasks)  # the client has only half-closed: let it have the rest
        finally:
            for task in self._tasks:
                task.cancel()

    def _put(self, payload: bytes, noise: bool = True) -> None:
        data = self._encryptor.update(wire.frame(self._tag, payload, noise))
        self.session.bytes_out += len(data)
        self.writer.write(data)

    def _answer(self, payload: bytes) -> None:
        if payload[:8] == bytes(8):
            constructor = struct.unpack_from("<I", payload, 20)[0] if len(payload) >= 40 else None
            if constructor not in (REQ_PQ, REQ_PQ_MULTI):
                raise wire.WireError(f"an unencrypted message that is no req_pq: {payload[:40].hex()}")
            self.session.requests += 1
            self._put(res_pq(payload[24:40]))
            return
        if payload[:8] != wire.MAGIC:
            raise wire.WireError(f"a frame that is neither a req_pq nor a test command: {payload[:24].hex()}")
        _, operation, length, value = wire.HEADER.unpack_from(payload)
        data = payload[wire.HEADER.size : wire.HEADER.size + length]
        if operation == wire.SEND:
            task = asyncio.create_task(self._send(value))
            self._tasks.add(task)
            task.add_done_callback(self._sent)
        elif operation == wire.DATA:
            self._received += len(data)
            self._crc = zlib.crc32(data, self._crc)
        elif operation == wire.END:
            self._put(wire.command(wire.ACK, self._received, struct.pack("<I", self._crc)))
            self._received, self._crc = 0, 0
        elif operation == wire.ECHO:
            self._put(wire.command(wire.ECHO, value, data))
        elif operation == wire.CLOSE:
            self.writer.close()
        else:
            raise wire.WireError(f"a test command with the unknown operation {operation}")

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: a client that goes away during a download is no news

    async def _send(self, total: int) -> None:
        async with self._sending:
            for offset in range(0, total, CHUNK):
                data = wire.pattern(offset, min(CHUNK, total - offset))
                self._put(wire.command(wire.DATA, offset, data), noise=False)
                await self.writer.drain()


def end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Let the tasks of a loop that was stopped end by themselves (their sockets are closed); close it."""
    if pending := asyncio.all_tasks(loop):
        loop.run_until_complete(asyncio.wait(pending, timeout=2))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


class DataCenter:
    """The DC with its SOCKS5 server, in a thread of this process between start() and stop().

    socks5: "127.0.0.1:port" for a proxy's upstream; direct: the DC without
    SOCKS5 before it; sessions: every connection so far; mode: one of MODES,
    may be changed at any time. host: the address to listen on; containers reach
    their network's gateway.
    """

    def __init__(self, port: int = 0, user: str = "", password: str = "", mode: str = "answer",
                 host: str = "127.0.0.1"):
        self.user, self.password, self.mode, self._host = user, password, mode, host
        self.sessions: list[Session] = []
        self.refused_logins = 0
        self.problems: list[str] = []
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def requests(self) -> int:
        """How many req_pq and req_pq_multi were answered."""
        return sum(session.requests for session in self.sessions)

    def stats(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "connections": len(self.sessions),
            "open": sum(session.open for session in self.sessions),
            "refused_logins": self.refused_logins,
            "problems": self.problems[-100:],
            "sessions": [asdict(session) for session in self.sessions[-1000:]],
        }

    async def serve(self) -> None:
        """Listen, in the running loop; afterwards `socks5`, `direct` and `control` are set."""
        host = self._host
        servers = []
        for handler, port in ((self._socks5, self._port), (self._direct, 0), (self._control, 0)):
            servers.append(await asyncio.start_server(handler, host, port, limit=CHUNK * 4, backlog=1024))
        self._servers = servers
        names = [f"{host}:{server.sockets[0].getsockname()[1]}" for server in servers]
        self.socks5, self.direct, self.control = names

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    def start(self) -> DataCenter:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self.serve())
            ready.set()
            self._loop.run_forever()
            self._loop.run_until_complete(self.close())
            end_tasks(self._loop)

        self._thread = threading.Thread(target=run, name="test DC", daemon=True)
        self._thread.start()
        if not ready.wait(60):
            raise RuntimeError("the test DC did not start within 60 s")
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self) -> None:
        """Reset every open connection, as a DC that goes away does."""

        def abort() -> None:
            for writer in list(self._writers):
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    async def _direct(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session()
        self.sessions.append(session)
        await self._converse(session, reader, writer)

    async def _socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            session = await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            session = None
        if session is None:
            writer.close()
            return
        await self._converse(session, reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Session | None:
        """The SOCKS5 handshake up to the answered CONNECT; None if it was refused."""
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 2 if self.user else 0
        if version != 5 or method not in methods:
            self.refused_logins += 1
            writer.write(b"\x05\xff")
            return None
        writer.write(bytes([5, method]))
        if method == 2:
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            (size,) = await reader.readexactly(1)
            password = await reader.readexactly(size)
            if (user, password) != (self.user.encode(), self.password.encode()):
                self.refused_logins += 1
                writer.write(b"\x01\x01")
                return None
            writer.write(b"\x01\x00")
        version, verb, _, kind = await reader.readexactly(4)
        if version != 5 or verb != 1 or kind not in (1, 3, 4):
            writer.write(b"\x05\x07\x00\x01" + bytes(6))
            return None
        if kind == 3:
            (size,) = await reader.readexactly(1)
            host = (await reader.readexactly(size)).decode(errors="replace")
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        session = Session(host, port)
        self.sessions.append(session)
        if self.mode == "refuse":
            session.open = False
            writer.write(b"\x05\x05\x00\x01" + bytes(6))
            return None
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        return session

    async def _converse(
        self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.add(writer)
        try:
            if self.mode == "answer":
                await _Conversation(session, reader, writer).run()
            elif self.mode == "silent":
                while data := await reader.read(CHUNK):
                    session.bytes_in += len(data)
        except wire.WireError as error:
            self.problems.append(str(error))
        except asyncio.IncompleteReadError as error:
            if error.partial:
                self.problems.append(f"the obfuscated2 header ended after {len(error.partial)} bytes")
        except OSError:
            pass  # the proxy reset the connection: an ordinary end
        finally:
            session.open = False
            self._writers.discard(writer)
            writer.close()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a line: "stats", or "mode NAME"; one line of JSON each."""
        with contextlib.suppress(OSError):
            while line := (await reader.readline()).decode().split():
                if line[0] == "mode" and line[1:] and line[1] in MODES:
                    self.mode = line[1]
                writer.write(json.dumps(self.stats()).encode() + b"\n")
                await writer.drain()
        writer.close()


class DataCenterProcess:
    """The same in a process of its own, so that it costs the measured program nothing."""

    def __init__(self, *arguments: str):
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.dc", *arguments],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the test DC did not start: exit code {self._process.wait()}")
        self.__dict__.update(json.loads(line))

    socks5: str
    direct: str
    control: str
    pid: int

    def stats(self, request: str = "stats") -> dict[str, object]:
        host, port = self.control.rsplit(":", 1)
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(request.encode() + b"\n")
            return json.loads(connection.makefile().readline())

    def stop(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


async def _main(arguments: argparse.Namespace) -> None:
    center = DataCenter(arguments.port, arguments.user, arguments.password, arguments.mode, arguments.host)
    await center.serve()
    addresses = {key: getattr(center, key) for key in ("socks5", "direct", "control")}
    print(json.dumps({**addresses, "pid": os.getpid()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await center.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="port of the SOCKS5 server; 0: any free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--mode", choices=MODES, default="answer")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args()))
