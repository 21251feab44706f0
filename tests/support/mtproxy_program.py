"""Stands in for MTProxy: takes the same flags, serves the same kinds of secrets on the same port, and has the same page
of figures, for this machine only. It leads clients to the middle proxy of its file, as MTProxy does, by a connection
each; where those of the file are Telegram's, which no test may reach, it answers req_pq itself.

    mtproto-proxy -p 3130 -H 3128 --http-stats -M 1 -C 1000 -S HEX... [-D DOMAIN...] [-P TAG] [-6] [-c N] [-u USER]
        [--nat-info A:B] --aes-pwd proxy-secret proxy-multi.conf

tests/engines/test_mtproxy_program.py holds it, and the real one, to what the panel relies on.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from app.mtproto import faketls, obfuscated2
from app.mtproto.records import RecordReader, frame
from tests.support.middle import ANSWER, CLOSE_SERVER, Caller, MiddleError, request_packet

STARTED = time.time()
TELEGRAMS = [ipaddress.ip_network(each) for each in ("149.154.160.0/20", "91.108.0.0/16", "91.105.192.0/23")]


@dataclass(frozen=True)
class Middle:
    """Where clients are led. address: None where this program answers itself."""

    address: tuple[str, int] | None
    secret: bytes
    tag: str
    seen_as: str

    @classmethod
    def of(cls, conf: str, secret: bytes, tag: str, nat: str) -> Middle:
        host, port = re.findall(r"proxy_for\s+-?\d+\s+([\d.]+):(\d+)", conf)[0]
        telegrams = any(ipaddress.ip_address(host) in network for network in TELEGRAMS)
        return cls(None if telegrams else (host, int(port)), secret, tag, nat.partition(":")[2])


def res_pq(nonce: bytes) -> bytes:
    """What Telegram answers to req_pq_multi, as in tests/support/dc."""
    body = (struct.pack("<I", 0x05162463) + nonce + os.urandom(16) + b"\x08" + bytes.fromhex("17ED48941A08F981")
            + bytes(3) + struct.pack("<II", 0x1CB5C415, 1) + bytes.fromhex("d09d1d85de64fd85"))
    return struct.pack("<qqi", 0, int(time.time()) << 32 | 1, len(body)) + body


class Figures:
    """What the page tells. open, created: connections of clients that have shown a key."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open = self.created = 0

    def count(self, opened: int) -> None:
        with self.lock:
            self.open += opened
            self.created += max(0, opened)


class Plain:
    """The client's bytes as they are."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.rest = connection, b""

    def read(self, count: int) -> bytes:
        while len(self.rest) < count:
            part = self.more()
            if not part:
                raise ConnectionError
            self.rest += part
        found, self.rest = self.rest[:count], self.rest[count:]
        return found

    def more(self) -> bytes:
        return self.connection.recv(65536)

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)


class Tls(Plain):
    """The same in records of FakeTLS."""

    def __init__(self, connection: socket.socket, rest: bytes) -> None:
        super().__init__(connection)
        self.reader = RecordReader()
        self.rest = bytes(self.reader.feed(memoryview(rest))) if rest else b""

    def more(self) -> bytes:
        part = super().more()
        found = bytes(self.reader.feed(memoryview(part)))
        return found or (self.more() if part else b"")

    def write(self, data: bytes) -> None:
        super().write(frame(data))


def opened(connection: socket.socket, keys: list[bytes], domains: list[str]) -> tuple[Plain, bytes] | None:
    """The stream of a client, and with which key; None for a stranger's."""
    if not domains:
        return Plain(connection), b""
    buffer, reader = b"", faketls.HelloReader()
    while not (hello := reader.read(buffer)):
        part = connection.recv(65536)
        if not part:
            return None
        buffer += part
    for key in keys:
        try:
            faketls.check_key(hello, key)
        except ValueError:
            continue
        if not any(name in domains for name in hello.server_names):
            return None
        connection.sendall(faketls.answer(hello, key, 2000))
        return Tls(connection, b""), key
    return None


class Framed:
    """The messages of one client."""

    def __init__(self, stream: Plain, streams: obfuscated2.Streams) -> None:
        self.stream, self.streams, self.abridged = stream, streams, streams.tag == obfuscated2.ABRIDGED

    def read(self) -> bytes:
        take = self.streams.incoming.update
        length = take(self.stream.read(1))[0] * 4 if self.abridged else 0
        if length == 0x7F * 4:
            length = int.from_bytes(take(self.stream.read(3)), "little") * 4
        elif not self.abridged:
            (length,) = struct.unpack("<I", take(self.stream.read(4)))
        return take(self.stream.read(length))

    def write(self, message: bytes) -> None:
        words = len(message) // 4
        head = struct.pack("<I", len(message)) if not self.abridged else bytes([words]) if words < 0x7F else \
            b"\x7f" + words.to_bytes(3, "little")
        self.stream.write(self.streams.outgoing.update(head + message))


def relay(framed: Framed, connection: socket.socket, middle: Middle) -> None:
    """Messages to the middle proxy, and its answers, until one of the two ends."""
    caller = Caller(middle.address, middle.secret, middle.seen_as)

    def answers() -> None:
        with suppress(OSError, MiddleError):
            while (payload := caller.read())[:4] != struct.pack("<I", CLOSE_SERVER):
                if payload[:4] == struct.pack("<I", ANSWER):
                    framed.write(payload[16:])
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=answers, daemon=True)
    thread.start()
    try:
        while True:
            message = framed.read()
            # What a padded frame has at its end: MTProxy leaves whole words of it.
            caller.put(request_packet(1, ("127.0.0.1", 1), ("127.0.0.1", 1), message[:len(message) & ~3], middle.tag))
    finally:
        caller.socket.close()


def serve(connection: socket.socket, keys: list[bytes], domains: list[str], figures: Figures, middle: Middle) -> None:
    found = opened(connection, keys, domains)
    if not found:
        return
    stream, known = found
    header = stream.read(obfuscated2.HEADER_BYTES)
    streams = None
    for key in [known] if known else keys:
        try:
            streams = obfuscated2.accept(header, key)
            break
        except obfuscated2.HeaderError:
            continue
    if streams is None:
        return
    figures.count(1)
    framed = Framed(stream, streams)
    try:
        if middle.address:
            relay(framed, connection, middle)
        while True:
            framed.write(res_pq(framed.read()[24:40]))
    finally:
        figures.count(-1)


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-p", type=int, required=True)
    parser.add_argument("-H", type=int, required=True)
    parser.add_argument("-M", type=int, default=0)
    parser.add_argument("-C", type=int, default=60000)
    parser.add_argument("-c", type=int, default=60000)
    parser.add_argument("-S", action="append", default=[])
    parser.add_argument("-D", action="append", default=[])
    parser.add_argument("-P", default="")
    parser.add_argument("-u")
    parser.add_argument("-6", dest="six", action="store_true")
    parser.add_argument("--http-stats", action="store_true")
    parser.add_argument("--nat-info", default="")
    parser.add_argument("--aes-pwd", required=True)
    parser.add_argument("conf")
    told = parser.parse_args()
    if any(not re.fullmatch("[0-9a-fA-F]{32}", each) for each in (*told.S, *([told.P] if told.P else []))):
        sys.exit("'S' option requires exactly 32 hex digits")
    if len(told.S) > 16:
        sys.exit("Assertion `ext_secret_cnt < 16' failed.")
    secret, conf = Path(told.aes_pwd).read_bytes(), Path(told.conf).read_text()
    if not 32 <= len(secret) <= 256:
        sys.exit("cannot load the AES password file")
    if "proxy_for" not in conf:
        sys.exit("configuration file has no proxies")
    middle = Middle.of(conf, secret, told.P, told.nat_info)
    keys, figures = [bytes.fromhex(each) for each in told.S], Figures()
    print(f"mtproxy stands in, nat: {told.nat_info}, connections: {told.c}, workers: {told.M}", flush=True)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not told.http_stats or self.path != "/stats" or self.client_address[0] != "127.0.0.1":
                self.send_error(404)
                return
            body = (f"pid\t1\nuptime\t{int(time.time() - STARTED)}\n>>>>>>connections>>>>>>\tstart\n"
                    f"workers\t{told.M}\next_connections\t{figures.open}\n"
                    f"ext_connections_created\t{figures.created}\ntot_threads\t0 16 8 1\n"
                    "version\tmtproxy-stand-in\n").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet, as MTProxy does."""

    class Client(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError, ValueError, MiddleError):  # a stranger, or somebody who has left
                serve(self.request, keys, told.D, figures, middle)

    class Clients(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True
        # A hundred come at once: past the five of the library, the kernel cuts those that wait.
        request_queue_size = 1024
        address_family = socket.AF_INET6 if told.six else socket.AF_INET

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    page = ThreadingHTTPServer(("127.0.0.1", told.p), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    with Clients(("::" if told.six else "0.0.0.0", told.H), Client) as clients:
        clients.serve_forever()


if __name__ == "__main__":
    main()
