"""What a prober sees at the proxy's port: the cover host, byte for byte, and nothing else."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.mtproto.faketls_client import client_hello
from tests.support.clients import tdjson
from tests.support.cover import Cover, certificate
from tests.support.dc import DataCenter
from tests.support.engine import Engine
from tests.support.relay import Relay

#: The same every time: what begins like half a hello would be waited for.
NOISE = random.Random(1).randbytes(500)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def watched(start_engine: Callable[..., Engine], cover: Cover) -> Iterator[tuple[Engine, Relay]]:
    """An engine whose way to the cover host leads through a recorder."""
    recorder = Relay(f"{cover.ip}:{cover.port}", record=True).start()
    yield start_engine(cover=(cover.host, cover.ip, int(recorder.address.rsplit(":", 1)[1]))), recorder
    recorder.stop()


def conversation(port: int, pieces: list[bytes], quiet: float = 1.0, pause: float = 0.0) -> bytes:
    """Send the pieces, then read until the other side closes, or has answered and says nothing more for `quiet`
    seconds."""
    received = bytearray()
    connection = socket.create_connection(("127.0.0.1", port), 60)
    with connection, contextlib.suppress(OSError):  # a reset is an end too
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        while data := connection.recv(1 << 16):
            received += data
            connection.settimeout(quiet)
    return bytes(received)


def s_client(port: int, arguments: list[str], request: bytes = b"") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *arguments]
    done = subprocess.run(command, input=request, capture_output=True, timeout=120)
    return done.stdout.decode(errors="replace")


@pytest.mark.parametrize(
    "sni", [["-servername", "cover.test"], ["-servername", "other.test"], ["-noservername"]]
)
@pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
def test_openssl_sees_the_certificate_and_the_page_of_the_cover_host(
    sni: list[str], version: str, engine: Engine, cover: Cover, dc: DataCenter
) -> None:
    shown = s_client(engine.port, [*sni, version, "-CAfile", str(cover.cert)])
    found = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", shown, re.DOTALL)
    assert found and found[0] == cover.cert.read_text()
    assert "Verify return code: 0 (ok)" in shown
    request = b"GET / HTTP/1.0\r\nHost: cover.test\r\n\r\n"
    answer = s_client(engine.port, [*sni, version, "-quiet", "-ign_eof"], request)
    head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 200 OK") and "Server: nginx" in head
    assert body == cover.page.decode()
    assert dc.sessions == []


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_chromium_shows_the_cover_hosts_page_and_accepts_no_other_key(
    engine: Engine, cover: Cover, tmp_path: Path
) -> None:
    def browse(pin: str, profile: str) -> str:
        command = [
            # It does not mind that other tests change the network meanwhile.
            Path(__file__).parents[1] / "support/chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / profile}",
            f"--host-resolver-rules=MAP cover.test 127.0.0.1:{engine.port},MAP * ~NOTFOUND",
            f"--ignore-certificate-errors-spki-list={pin}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            "https://cover.test/",
        ]
        return subprocess.run(command, capture_output=True, timeout=150).stdout.decode(errors="replace")

    seen = len(cover.requests())
    page = browse(cover.spki, "one")
    lines = re.findall(r"<p>([0-9a-f]{64})</p>", page)
    assert cover.title in page
    assert lines == re.findall(r"<p>([0-9a-f]{64})</p>", cover.page.decode())
    assert any("Chrome" in line for line in cover.requests()[seen:])
    assert cover.title not in browse(certificate("cover.test")[2], "two")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\nHost: cover.test\r\n\r\n"],
        [b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"],
        [b"SSH-2.0-OpenSSH_9.2p1\r\n"],
        [NOISE[:300]],
        [b"\x16\x03\x01" + NOISE],
        [b"GET / HT", b"TP/1.0\r\n", b"\r\n"],
    ],
    ids=["http", "tiny hello", "ssh", "random", "random record", "http in pieces"],
)
def test_whatever_is_no_client_talks_to_the_cover_host_alone(
    pieces: list[bytes], watched: tuple[Engine, Relay], cover: Cover, dc: DataCenter
) -> None:
    engine, recorder = watched
    received = conversation(engine.port, pieces, pause=0.1)
    recorded = recorder.recorded[-1]
    assert bytes(recorded.sent) == b"".join(pieces)
    assert received == bytes(recorded.received)
    direct = conversation(cover.port, pieces, pause=0.1)
    assert without_dates(received) == without_dates(direct)
    assert dc.sessions == []


def without_dates(answer: bytes) -> bytes:
    return re.sub(rb"Date: [^\r]*", b"Date:", answer)


def flight(answer: bytes) -> list[tuple[int, int, bytes]]:
    """The TLS records of a server's first flight: type, length, and what is no secret of that connection.

    Of the ServerHello that is all but the random and the X25519 key (its last 32
    bytes, or before the supported_versions extension); of encrypted records nothing.
    """
    records, position = [], 0
    while position < len(answer):
        kind, length = answer[position], int.from_bytes(answer[position + 3 : position + 5], "big")
        body = answer[position + 5 : position + 5 + length]
        assert len(body) == length, "a record is cut off"
        if kind == 0x16:
            key = body.find(b"\x00\x33\x00\x24\x00\x1d\x00\x20") + 8
            assert key > 8, "a ServerHello without an X25519 key share"
            body = body[:6] + bytes(32) + body[38:key] + bytes(32) + body[key + 32 :]
        elif kind == 0x17:
            body = b""
        records.append((kind, length, body))
        position += 5 + length
    return records


def test_a_recorded_hello_played_again_gets_the_cover_hosts_own_answer(
    watched: tuple[Engine, Relay], cover: Cover, dc: DataCenter
) -> None:
    engine, recorder = watched
    tap = Relay(f"127.0.0.1:{engine.port}", record=True).start()
    try:
        tdjson(engine.link.replace(f"port={engine.port}", f"port={tap.address.rsplit(':', 1)[1]}"))
    finally:
        tap.stop()
    sent = bytes(tap.recorded[0].sent)
    hello = sent[: 5 + int.from_bytes(sent[3:5], "big")]
    assert len(hello) > 1000 and dc.requests and recorder.recorded == []

    replayed = conversation(engine.port, [hello])
    recorded = recorder.recorded[-1]
    assert bytes(recorded.sent) == hello
    assert replayed == bytes(recorded.received) and len(replayed) > 1000
    assert flight(replayed) == flight(conversation(cover.port, [hello]))
    whole = conversation(engine.port, [sent])
    assert bytes(recorder.recorded[-1].sent) == sent
    assert whole == bytes(recorder.recorded[-1].received)
    assert len(dc.sessions) == 1


@pytest.mark.parametrize("off", [-3600, 3600])
def test_a_hello_with_a_clock_far_off_gets_the_cover_hosts_own_answer(
    off: int, watched: tuple[Engine, Relay], cover: Cover, dc: DataCenter
) -> None:
    engine, recorder = watched
    hello = client_hello(engine.secret, time.time() + off)
    received = conversation(engine.port, [hello])
    assert received == bytes(recorder.recorded[-1].received)
    assert flight(received) == flight(conversation(cover.port, [hello]))
    assert dc.sessions == []


def test_a_tls_session_with_the_cover_host_lasts_through_the_proxy(engine: Engine, cover: Cover) -> None:
    context = ssl.create_default_context(cafile=str(cover.cert))
    expected = (cover.folder / "site" / "blob.bin").read_bytes()
    raw = socket.create_connection(("127.0.0.1", engine.port), 60)
    with context.wrap_socket(raw, server_hostname="cover.test") as connection:
        for _ in range(2):  # keep-alive: two requests on one connection, 4 MB each
            connection.sendall(b"GET /blob.bin HTTP/1.1\r\nHost: cover.test\r\n\r\n")
            received = bytearray()
            while b"\r\n\r\n" not in received:
                received += connection.recv(1 << 16)
            _, _, received = received.partition(b"\r\n\r\n")
            while len(received) < len(expected):
                received += connection.recv(1 << 16)
            assert bytes(received) == expected
