"""An engine with a configuration of the test's choosing, a scripted cover host, and a raw client."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.mtproto import obfuscated2
from app.mtproto.faketls import RANDOM_AT, hello_digest
from app.mtproto.faketls_client import check_answer, client_hello
from app.mtproto.links import tg_link
from app.mtproto.records import frame
from app.mtproto.secret import Secret
from tests.support.cover import free_port

ROOT = Path(__file__).resolve().parents[2]
SECRET = Secret.generate("cover.example.com")


class Engine:
    """The engine's process. Options with dots are TOML keys: {"network.timeout.handshake": "1s"}.

    drain: for how many seconds it lets sessions end, instead of its own 5. max_files: its limit of open
    files, 0 for the machine's.
    """

    def __init__(
        self, folder: Path, secret: Secret = SECRET, host: str = "127.0.0.1", drain: float = 5,
        max_files: int = 0, **options: object
    ) -> None:
        self.folder, self.secret = folder, secret
        self.port, self.metrics_port = free_port(), free_port()
        keys: dict[str, object] = {
            "secret": secret.hex,
            "bind-to": f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}",
            "prefer-ip": "prefer-ipv4",
            "tolerate-time-skewness": "20s",
            # What is between a test's two steps may take long; who tests this time gives one.
            "network.timeout.handshake": "10m",
            "defense.anti-replay.enabled": True,
            "stats.prometheus.enabled": True,
            "stats.prometheus.bind-to": f"127.0.0.1:{self.metrics_port}",
            # Nothing may ever go to the internet: what a test does not name is refused on loopback.
            "network.proxies": ["socks5://127.0.0.1:9"],
            "domain-fronting.ip": "127.0.0.1",
            "domain-fronting.port": 9,
        }
        for name, value in options.items():
            keys[OPTIONS.get(name, name)] = value
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in keys.items()]
        (folder / "config.toml").write_text("".join(lines))
        self._log = open(folder / "engine.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(drain), str(max_files), "run", str(folder / "config.toml")],
            cwd=ROOT, stderr=self._log, stdout=self._log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.wait_for(lambda: self.process.poll() is not None or "serving" in self.log())
        if self.process.poll() is not None:
            raise RuntimeError(f"the engine ended: {self.log()}")

    @property
    def link(self) -> str:
        return tg_link("127.0.0.1", self.port, self.secret)

    def log(self) -> str:
        return (self.folder / "engine.log").read_text()

    def metrics_text(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/", timeout=60) as answer:
            return answer.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all samples with these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.metrics_text())
            for sample in family.samples
            if sample.name.removesuffix("_total") == name and labels.items() <= sample.labels.items()
        )

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain; log: {self.log()[-2000:]}"
            time.sleep(0.02)

    def wait_until_idle(self) -> None:
        """Every gauge of connections is back to zero: nothing has leaked."""
        gauges = ("client_connections", "telegram_connections", "domain_fronting_connections")
        self.wait_for(lambda: not any(self.metric(f"mtg_{name}") for name in gauges))

    def rss(self) -> int:
        """Resident memory in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def set_limits(self, connection: int = 0, total: int = 0) -> None:
        """Write limits.toml and wait until the metrics show it."""
        new = self.folder / "limits.new"
        new.write_text(f"connection-bits-per-second = {connection}\ntotal-bits-per-second = {total}\n")
        os.replace(new, self.folder / "limits.toml")
        name = "builtin_rate_limit_bits_per_second"
        self.wait_for(
            lambda: (self.metric(name, scope="connection"), self.metric(name, scope="total"))
            == (connection, total)
        )

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()
        assert "Traceback" not in self.log(), self.log()[-3000:]


#: The engine with a patience, and a limit of open files, of the test's choosing.
PROGRAM = """\
import resource
import sys
from app.builtin import server
server._DRAIN_SECONDS = float(sys.argv.pop(1))
if files := int(sys.argv.pop(1)):
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
sys.exit(server.main(sys.argv[1:]))
"""

OPTIONS = {
    "upstream": "network.proxies",
    "handshake": "network.timeout.handshake",
    "idle": "network.timeout.idle",
    "cover_port": "domain-fronting.port",
    "concurrency": "concurrency",
    "skew": "tolerate-time-skewness",
}


def without_name(hello: bytes, secret: Secret, now: float) -> bytes:
    """The same hello of a client that sends no SNI: what a link converter that strips the domain makes."""
    name = secret.domain.encode()
    at = hello.index(b"\x00" + len(name).to_bytes(2, "big") + name) - 6
    # An extension that nobody knows, in place of the name's.
    changed = bytearray(hello[:at] + b"\x3a\x3a" + hello[at + 2 :])
    changed[RANDOM_AT : RANDOM_AT + 32] = bytes(32)
    proof = bytearray(hello_digest(bytes(changed), secret.key))
    for index, byte in enumerate(struct.pack("<I", int(now))):
        proof[28 + index] ^= byte
    changed[RANDOM_AT : RANDOM_AT + 32] = proof
    return bytes(changed)


def inverted(data: bytes) -> bytes:
    """Every bit the other way round: what a cover host without a script answers."""
    return bytes(byte ^ 0xFF for byte in data)


class Visit:
    """One connection that the cover host got. end: "" while open, else "eof" or "reset"."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.received, self.end = sock, bytearray(), ""


class CoverHost:
    """A TCP server in threads: runs `script(visit)` for each connection after noting what arrives.

    Without a script it answers every byte with its complement and closes at the end of stream.
    """

    def __init__(self, script: Callable[[Visit], None] | None = None) -> None:
        self._script = script or self._mirror
        self.visits: list[Visit] = []
        self._server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            visit = Visit(sock)
            self.visits.append(visit)
            threading.Thread(target=self._run, args=(visit,), daemon=True).start()

    def _run(self, visit: Visit) -> None:
        with visit.sock, contextlib.suppress(OSError):
            self._script(visit)

    @staticmethod
    def _mirror(visit: Visit) -> None:
        while data := read_some(visit):
            visit.sock.sendall(inverted(data))

    def stop(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
        for visit in self.visits:
            with contextlib.suppress(OSError):
                visit.sock.shutdown(socket.SHUT_RDWR)


def read_some(visit: Visit) -> bytes:
    """The next bytes of a visit, noted; b"" at its end."""
    try:
        data = visit.sock.recv(1 << 16)
    except ConnectionResetError:
        visit.end = "reset"
        return b""
    visit.received += data
    if not data:
        visit.end = "eof"
    return data


def connect(engine: Engine, host: str = "127.0.0.1", source: str = "") -> socket.socket:
    """source: the address that the client has."""
    sock = socket.create_connection((host, engine.port), timeout=60, source_address=(source, 0) if source else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, f"the connection ended after {len(data)} of {count} bytes"
        data += piece
    return data


def read_to_end(sock: socket.socket) -> bytes:
    """Everything until the end of stream; a reset counts as one."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(1 << 16):
            data += piece
    return data


def shake_hands(engine: Engine, hello: bytes | None = None, source: str = "") -> socket.socket:
    """A connection through FakeTLS, before the obfuscated2 header."""
    hello = hello or client_hello(engine.secret, time.time())
    sock = connect(engine, source=source)
    sock.sendall(hello)
    answer = b""
    while check_answer(answer, hello, engine.secret.key) is None:
        piece = sock.recv(1 << 16)
        assert piece, "the engine closed the connection during the handshake"
        answer += piece
    return sock


def open_session(engine: Engine, dc: int = 2, tag: bytes = obfuscated2.PADDED, source: str = "") -> socket.socket:
    """A connection through FakeTLS and past the obfuscated2 header."""
    sock = shake_hands(engine, source=source)
    header, _ = obfuscated2.connect(tag, dc, engine.secret.key)
    sock.sendall(b"\x14\x03\x03\x00\x01\x01" + frame(header))
    return sock


@contextlib.contextmanager
def running(thing: Engine | CoverHost) -> Iterator[Engine | CoverHost]:
    try:
        yield thing
    finally:
        thing.stop()
