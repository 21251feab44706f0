"""The probe tells what is wrong with a link, step by step, against real parts."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from app.mtproto import probe as probe_module
from app.mtproto.links import Link, parse_link
from app.mtproto.probe import CONNECT, HANDSHAKE, TELEGRAM, ProbeError, probe
from app.mtproto.secret import PADDED, PLAIN, Secret
from tests.support.cover import Cover
from tests.support.dc import DataCenter
from tests.support.engine import Engine

SECRET = Secret.generate("cover.test")


@contextlib.contextmanager
def server(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback whose connections `handle` serves one after the other; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        handle(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def queued(listener: socket.socket) -> int:
    """How many connections wait to be accepted: tcpi_unacked of a listening socket, tcp(7)."""
    return struct.unpack_from("<I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait of the probe has the whole time, however long this process was kept from running before it."""
    monkeypatch.setattr(probe_module, "time", SimpleNamespace(monotonic=lambda: 0.0, time=time.time))


@pytest.fixture
def proxy(start_engine: Callable[..., Engine]) -> Engine:
    """The built-in engine with a FakeTLS secret, the test DC behind it, the cover host for the others."""
    return start_engine()


def failure(link: Link, timeout: float = 60) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        probe(link, timeout)
    return caught.value


@pytest.mark.parametrize("kind", ["faketls", PADDED, PLAIN])
def test_a_working_link_gets_telegrams_answer(
    kind: str, start_engine: Callable[..., Engine], dc: DataCenter
) -> None:
    secret = SECRET if kind == "faketls" else Secret(kind, os.urandom(16))
    engine = start_engine(secret=secret)
    assert probe(parse_link(engine.link)) > 0
    assert dc.requests == 1
    assert dc.sessions[-1].host == "149.154.167.51" and dc.sessions[-1].dc == 2


def test_a_closed_port_is_told_with_its_address(free_port: Callable[[], int]) -> None:
    port = free_port()
    error = failure(Link("127.0.0.1", port, SECRET))
    assert error.step == CONNECT
    assert f"127.0.0.1:{port}" in str(error) and "refused" in str(error)


def test_a_name_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(probe_module.socket, "getaddrinfo", no_such_name)
    error = failure(Link("proxy.example.com", 443, SECRET))
    assert error.step == CONNECT and "proxy.example.com" in str(error) and "not known" in str(error)


def test_a_server_that_is_no_host_name_is_told() -> None:
    error = failure(Link("a..b", 443, SECRET))
    assert error.step == CONNECT and "not a host name" in str(error)


def test_packets_that_are_dropped_are_told_as_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(4):  # fill the queue of a server that accepts nobody: later SYNs are dropped
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        while not queued(full):
            time.sleep(0.01)
        error = failure(Link(*full.getsockname(), SECRET), timeout=0.5)
    assert error.step == CONNECT and "no answer in time" in str(error)


def test_a_wrong_key_is_told_as_an_ordinary_website(proxy: Engine, dc: DataCenter) -> None:
    error = failure(parse_link(proxy.link_with(proxy.secret.rotated())))
    assert error.step == HANDSHAKE
    assert "like an ordinary website" in str(error) and f":{proxy.port}" in str(error)
    assert proxy.secret.key.hex() not in str(error)
    assert dc.requests == 0


def test_a_real_website_is_told_as_one(cover: Cover) -> None:
    error = failure(Link(cover.ip, cover.port, SECRET))
    assert error.step == HANDSHAKE and "like an ordinary website" in str(error)


def test_a_server_that_speaks_no_tls_is_not_our_proxy() -> None:
    def banner(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        connection.recv(4096)

    with server(banner) as port:
        error = failure(Link("127.0.0.1", port, SECRET))
    assert error.step == HANDSHAKE and "not like the proxy of this link" in str(error)


def test_a_connection_closed_in_the_handshake_is_told() -> None:
    with server(lambda connection: connection.recv(4096)) as port:
        error = failure(Link("127.0.0.1", port, SECRET))
    assert error.step == HANDSHAKE and "closed" in str(error)


def test_silence_in_the_handshake_is_told_as_such(stopped_clock: None) -> None:
    release = threading.Event()
    with server(lambda _: release.wait(60)) as port:
        error = failure(Link("127.0.0.1", port, SECRET), timeout=0.5)
        release.set()
    assert error.step == HANDSHAKE and "did not answer the FakeTLS handshake within 0.5 s" in str(error)


@pytest.mark.parametrize("mode", ["refuse", "close"])
def test_a_proxy_that_can_not_reach_telegram_is_told_apart(mode: str, proxy: Engine, dc: DataCenter) -> None:
    dc.mode = mode
    error = failure(parse_link(proxy.link), timeout=60)
    assert error.step == TELEGRAM
    assert "knows the secret" in str(error) and "way to Telegram does not work" in str(error)


def test_a_telegram_that_is_silent_is_told_with_the_time_waited(
    proxy: Engine, dc: DataCenter, stopped_clock: None
) -> None:
    dc.mode = "silent"
    error = failure(parse_link(proxy.link), timeout=2)
    assert error.step == TELEGRAM and "within 2 s" in str(error) and "knows the secret" in str(error)


def test_something_else_than_telegram_behind_the_proxy_is_told(
    start_engine: Callable[..., Engine],
) -> None:
    def socks_before_a_web_server(connection: socket.socket) -> None:
        connection.recv(3)
        connection.sendall(b"\x05\x00")
        connection.recv(4096)
        connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + bytes(200))
        connection.recv(4096)

    with server(socks_before_a_web_server) as port:
        error = failure(parse_link(start_engine(upstream=f"127.0.0.1:{port}").link))
    assert error.step == TELEGRAM and "something else answers" in str(error)


@pytest.mark.parametrize("kind", [PADDED, PLAIN])
def test_without_faketls_a_wrong_key_and_a_dead_upstream_look_alike_and_the_message_says_so(
    kind: str, start_engine: Callable[..., Engine], dc: DataCenter
) -> None:
    engine = start_engine(secret=Secret(kind, os.urandom(16)))
    error = failure(parse_link(engine.link_with(engine.secret.rotated())), timeout=3)
    assert "secret" in str(error) and dc.requests == 0
    dc.mode = "refuse"
    error = failure(parse_link(engine.link), timeout=60)
    assert error.step == TELEGRAM and "another secret" in str(error)
