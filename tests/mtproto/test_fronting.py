"""Whoever is not a client gets the cover host's own bytes, both ways, and nothing of ours."""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.builtin.logs import QUIET_SECONDS
from app.builtin.proxyprotocol import read_header
from app.mtproto.faketls_client import client_hello
from app.mtproto.records import frame
from app.mtproto.secret import FAKETLS, Secret
from tests.mtproto.parts import (
    SECRET,
    CoverHost,
    Engine,
    Visit,
    connect,
    inverted,
    read_exactly,
    read_some,
    read_to_end,
    shake_hands,
)
from tests.support.cover import free_port

Start = Callable[..., Engine]
StartCover = Callable[..., CoverHost]
NOISE = random.Random(7).randbytes(3000)


def stranger_hello(kind: str) -> bytes:
    """What somebody who is not a client sends first."""
    now = time.time()
    if kind == "wrong secret":
        return client_hello(SECRET.rotated(), now)
    if kind == "wrong secret in many records":
        hello = client_hello(SECRET.rotated(), now)
        pieces = [hello[5:][start : start + 200] for start in range(0, len(hello) - 5, 200)]
        return b"".join(hello[:3] + struct.pack(">H", len(piece)) + piece for piece in pieces)
    if kind == "clock skew":
        return client_hello(SECRET, now - 60)
    if kind == "clock ahead":
        return client_hello(SECRET, now + 60)
    if kind == "unknown SNI":
        return client_hello(SECRET.with_domain("other.example.com"), now)
    if kind == "browser":
        context, incoming, outgoing = ssl.create_default_context(), ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=SECRET.domain)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        return outgoing.read()
    return {
        "HTTP": b"GET / HTTP/1.1\r\nHost: cover.example.com\r\n\r\n",
        "noise": b"\xff" + NOISE,
        "one byte": b"x",
        "TLS alert": b"\x15\x03\x01\x00\x02\x02\x28",
        "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
        "broken hello": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03rest",
    }[kind]


KINDS = (
    "wrong secret", "wrong secret in many records", "clock skew", "clock ahead", "unknown SNI", "browser",
    "HTTP", "noise", "one byte", "TLS alert", "SSH", "broken hello",
)  # fmt: skip


WITH_THE_KEY = ("clock skew", "clock ahead", "unknown SNI")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_talks_with_the_cover_host_and_every_byte_arrives_both_ways(
    kind: str, engine: Start, cover_host: StartCover
) -> None:
    host = cover_host()
    proxy = engine(cover_port=host.port)
    first = stranger_hello(kind)
    with connect(proxy) as sock:
        sock.sendall(first)
        assert read_exactly(sock, len(first)) == inverted(first)
        sock.sendall(NOISE)
        assert read_exactly(sock, len(NOISE)) == inverted(NOISE)
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b""
    (visit,) = host.visits
    assert bytes(visit.received) == first + NOISE and visit.end == "eof"
    proxy.wait_until_idle()
    total = len(first) + len(NOISE)
    assert proxy.metric("mtg_domain_fronting") == (kind not in WITH_THE_KEY), "who has the key is no prober"
    assert proxy.metric("mtg_domain_fronting_traffic", direction="to_client") == total
    assert proxy.metric("mtg_domain_fronting_traffic", direction="from_client") == total
    assert proxy.metric("mtg_telegram_traffic") == 0


def test_a_replayed_hello_meets_the_cover_host_also_with_its_time_moved_on(
    engine: Start, cover_host: StartCover
) -> None:
    host = cover_host()
    proxy = engine(cover_port=host.port, skew="1h")
    sent_at = time.time() - 1800
    hello = client_hello(SECRET, sent_at)
    shake_hands(proxy, hello).close()
    # The time is only XORed in: whoever recorded the hello can put today's there.
    moved = bytearray(hello)
    for index, byte in enumerate(struct.pack("<I", int(sent_at) ^ int(time.time()))):
        moved[39 + index] ^= byte
    for replay in (hello, bytes(moved)):
        with connect(proxy) as sock:
            sock.sendall(replay)
            assert read_exactly(sock, len(replay)) == inverted(replay)
    assert proxy.metric("mtg_replay_attacks") == 2
    assert [bytes(visit.received) for visit in host.visits] == [hello, bytes(moved)]
    proxy.wait_until_idle()


def test_half_a_hello_and_silence_are_handed_over_when_the_handshake_time_is_up(
    engine: Start, cover_host: StartCover
) -> None:
    host = cover_host()
    proxy = engine(cover_port=host.port, handshake="400ms")
    hello = client_hello(SECRET, time.time())
    with connect(proxy) as stalled, connect(proxy) as silent:
        stalled.sendall(hello[:700])
        assert read_exactly(stalled, 700) == inverted(hello[:700])
        stalled.sendall(hello[700:])
        assert read_exactly(stalled, len(hello) - 700) == inverted(hello[700:])
        proxy.wait_for(lambda: len(host.visits) == 2)
        silent.sendall(b"late")
        assert read_exactly(silent, 4) == inverted(b"late")
    proxy.wait_until_idle()


def test_the_end_of_half_a_hello_is_passed_on_at_once(engine: Start, cover_host: StartCover) -> None:
    def script(visit: Visit) -> None:
        while read_some(visit):
            pass
        visit.sock.sendall(b"answer after your end")

    host = cover_host(script)
    proxy = engine(cover_port=host.port, handshake="1h")
    hello = client_hello(SECRET, time.time())
    with connect(proxy) as sock:
        sock.sendall(hello[:900])
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b"answer after your end"
    assert bytes(host.visits[0].received) == hello[:900]
    proxy.wait_until_idle()


def test_the_cover_hosts_half_close_leaves_the_other_direction_open(
    engine: Start, cover_host: StartCover
) -> None:
    def script(visit: Visit) -> None:
        visit.sock.sendall(b"server speaks first")
        visit.sock.shutdown(socket.SHUT_WR)
        while read_some(visit):
            pass

    host = cover_host(script)
    proxy = engine(cover_port=host.port)
    with connect(proxy) as sock:
        sock.sendall(b"hello?")
        assert read_to_end(sock) == b"server speaks first"
        for number in range(5):
            sock.sendall(b"still here %d" % number)
        sock.shutdown(socket.SHUT_WR)
        proxy.wait_for(lambda: host.visits[0].end == "eof")
    assert bytes(host.visits[0].received) == b"hello?" + b"".join(b"still here %d" % n for n in range(5))
    proxy.wait_until_idle()


@pytest.mark.parametrize("who", ["client", "cover"])
def test_a_reset_is_passed_on_as_a_reset(who: str, engine: Start, cover_host: StartCover) -> None:
    def script(visit: Visit) -> None:
        read_some(visit)
        visit.sock.sendall(b"got it")
        if who == "cover":
            visit.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        while read_some(visit):
            pass

    host = cover_host(script)
    proxy = engine(cover_port=host.port)
    sock = connect(proxy)
    sock.sendall(b"GET /")
    if who == "client":
        assert read_exactly(sock, 6) == b"got it"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        proxy.wait_for(lambda: host.visits[0].end == "reset")
    else:
        with pytest.raises(ConnectionResetError):
            while sock.recv(100):
                pass
        sock.close()
    proxy.wait_until_idle()


def test_large_answers_and_uploads_arrive_whole_past_slow_readers(
    engine: Start, cover_host: StartCover
) -> None:
    body = os.urandom(8_000_000)

    def script(visit: Visit) -> None:
        while len(visit.received) < len(body):
            time.sleep(0.001)
            read_some(visit)
        visit.sock.sendall(body)

    host = cover_host(script)
    proxy = engine(cover_port=host.port)
    with connect(proxy) as sock:
        sock.sendall(body)
        got = bytearray()
        while len(got) < len(body):
            time.sleep(0.001)
            got += sock.recv(1 << 16)
    assert bytes(host.visits[0].received) == body == bytes(got)
    proxy.wait_until_idle()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_tls_client_sees_the_cover_hosts_certificate_and_page(
    version: ssl.TLSVersion, engine: Start, cover_host: StartCover, tmp_path: Path
) -> None:
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    def script(visit: Visit) -> None:
        with context.wrap_socket(visit.sock, server_side=True) as tls:
            assert tls.recv(100) == b"GET / HTTP/1.0\r\n\r\n"
            tls.sendall(b"HTTP/1.0 200 OK\r\n\r\nthe cover page")

    proxy = engine(cover_port=cover_host(script).port)
    browser = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    browser.minimum_version = browser.maximum_version = version
    with connect(proxy) as sock, browser.wrap_socket(sock, server_hostname=SECRET.domain) as tls:
        assert tls.getpeercert(binary_form=True) == certificate
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        page = b""
        while piece := tls.recv(1000):
            page += piece
    assert page.endswith(b"the cover page")
    proxy.wait_until_idle()


def test_the_cover_host_learns_the_visitors_address_when_it_wants_the_proxy_protocol(
    engine: Start, cover_host: StartCover
) -> None:
    host = cover_host()
    proxy = engine(cover_port=host.port, **{"domain-fronting.proxy-protocol": True})
    with connect(proxy) as sock:
        sock.sendall(b"GET /")
        proxy.wait_for(lambda: len(host.visits) == 1 and len(host.visits[0].received) >= 33)
        seen = bytes(host.visits[0].received)
        header = read_header(seen)
        assert header.source == sock.getsockname() and header.destination == sock.getpeername()
        assert seen[header.wire_bytes :] == b"GET /"


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\xdc\x04\x01\xbb",
    ],
)
def test_a_load_balancers_header_is_taken_off_and_its_addresses_count(
    header: bytes, engine: Start, cover_host: StartCover
) -> None:
    host = cover_host()
    proxy = engine(
        cover_port=host.port, **{"proxy-protocol-listener": True, "domain-fronting.proxy-protocol": True}
    )
    with connect(proxy) as sock:
        for piece in (header[:5], header[5:] + b"HEL", b"LO"):
            sock.sendall(piece)
            time.sleep(0.02)
        proxy.wait_for(lambda: len(host.visits) == 1 and len(host.visits[0].received) >= 33)
        seen = read_header(bytes(host.visits[0].received))
        assert (seen.source, seen.destination) == (("192.0.2.7", 56324), ("192.0.2.1", 443))
        assert bytes(host.visits[0].received[seen.wire_bytes :]) == b"HELLO"
    with connect(proxy) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_to_end(sock) == b""
    assert "without a PROXY protocol header" in proxy.log()
    proxy.wait_until_idle()


def test_a_cover_host_that_is_down_closes_the_connection_and_is_logged_once(engine: Start) -> None:
    proxy = engine()
    began = time.monotonic()
    for _ in range(3):
        with connect(proxy) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert read_to_end(sock) == b""
    words = "the cover host 127.0.0.1:9 can't be reached: 127.0.0.1: Connection refused"
    assert 1 <= proxy.log().count(words) <= 1 + (time.monotonic() - began) // QUIET_SECONDS
    proxy.wait_until_idle()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::ffff:127.0.0.1", "ip6-localhost"])
def test_nobody_is_passed_on_to_an_address_inside_that_only_the_dns_or_the_secret_names(
    name: str, engine: Start, cover_host: StartCover
) -> None:
    host = cover_host()
    inside = Secret(FAKETLS, SECRET.key, name)
    proxy = engine(cover_port=host.port, secret=inside, **{"domain-fronting.ip": ""})
    with connect(proxy) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_to_end(sock) == b""
    assert not host.visits
    if name != "ip6-localhost":  # which not every machine knows
        assert "not a public address" in proxy.log() and "domain-fronting.ip" in proxy.log()


def test_a_cover_host_that_is_the_proxy_itself_does_not_loop(engine: Start) -> None:
    port = free_port()
    proxy = engine(cover_port=port, **{"bind-to": f"127.0.0.1:{port}"})
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_to_end(sock) == b""
    assert "is this proxy itself" in proxy.log()
    assert proxy.metric("mtg_domain_fronting") <= 2
    proxy.wait_until_idle()


def test_a_port_check_that_sends_nothing_does_not_bother_the_cover_host(
    engine: Start, cover_host: StartCover
) -> None:
    host = cover_host()
    proxy = engine(cover_port=host.port)
    connect(proxy).close()
    proxy.wait_until_idle()
    assert not host.visits and proxy.metric("mtg_domain_fronting") == 0


def test_without_faketls_bad_handshakes_are_read_and_dropped_at_the_timeout(engine: Start) -> None:
    for text in ("dd" + "ab" * 16, "ab" * 16):
        proxy = engine(secret=Secret.parse(text), handshake="600ms")
        started = time.monotonic()
        with connect(proxy) as sock:
            with contextlib.suppress(OSError):  # the time may be up before all of it is sent
                sock.sendall(NOISE)
                time.sleep(0.1)
                sock.sendall(frame(NOISE))
            assert read_to_end(sock) == b""
            assert time.monotonic() - started > 0.5
        proxy.wait_until_idle()


def _certificate(folder: Path) -> bytes:
    """A self-signed certificate for the cover's name in cert.pem and key.pem; its DER bytes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SECRET.domain)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SECRET.domain)]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return certificate.public_bytes(serialization.Encoding.DER)
