"""Whoever sends slowly, reads slowly or says nothing holds nobody up, and is sent away in the end."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

import pytest
from flask import Flask

from app.cli.instance import listen
from app.cli.server import Server

#: What a client sends before it falls silent, each in its own way.
UNFINISHED = {
    "nothing": b"",
    "half a request line": b"GET /log",
    "half of the headers": b"GET /login HTTP/1.1\r\nHost: localhost\r\nX-Long: aaaa",
    "an empty line": b"\r\n",
    "half of a form": b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                      b"Content-Type: application/x-www-form-urlencoded\r\n\r\nabc",
    "half of a chunk": b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
    "a question whether to go on": b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                                   b"Expect: 100-continue\r\n\r\n",
}


@contextmanager
def serving(panel: Flask, **how: object) -> Iterator[int]:
    """The panel's own server on a port of 127.0.0.1."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        server = Server(panel, listener, **how)
        thread = threading.Thread(target=server.run)
        thread.start()
        yield port
        server.task_dispatcher.shutdown()
        server.asyncore.close_all(server._map)
        thread.join()


def connect(port: int, sent: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(sent)
    return client


def answered(port: int) -> None:
    """/healthz and the login page answer."""
    client = HTTPConnection("127.0.0.1", port, timeout=60)
    for path, part in (("/healthz", b"ok"), ("/login", b"csrf_token")):
        client.request("GET", path)
        assert part in client.getresponse().read()
    client.close()


def ended(client: socket.socket) -> bool:
    """Whether the server ends the connection, whatever it may have said before."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("kind", UNFINISHED)
def test_beside_64_unfinished_requests_the_panel_answers_everybody_else(panel: Flask, kind: str) -> None:
    with serving(panel) as port, ExitStack() as slow:
        for _ in range(64):
            slow.enter_context(connect(port, UNFINISHED[kind]))
        answered(port)


def test_who_does_not_finish_is_sent_away(panel: Flask) -> None:
    with serving(panel, patience=1) as port, ExitStack() as slow:
        clients = {kind: slow.enter_context(connect(port, sent)) for kind, sent in UNFINISHED.items()}
        for kind, client in clients.items():
            assert ended(client), kind


@pytest.mark.parametrize("piece", [b"a", b"\r\n"])
def test_a_byte_now_and_then_wins_no_time(panel: Flask, piece: bytes) -> None:
    begun = b"" if piece != b"a" else UNFINISHED["half of a form"]
    with serving(panel, patience=2) as port, connect(port, begun) as slow:
        slow.settimeout(0.2)
        deadline = time.monotonic() + 60
        with pytest.raises((ConnectionError, EOFError)):
            while time.monotonic() < deadline:
                slow.sendall(piece)
                try:
                    if not slow.recv(65536):
                        raise EOFError
                except TimeoutError:
                    pass


def test_who_does_not_read_the_answer_is_sent_away_and_holds_nobody_up(panel: Flask) -> None:
    panel.add_url_rule("/healthz/large", "large", lambda: b"x" * 40_000_000)
    panel.view_functions["health.healthz"], large = (lambda: "ok"), panel.view_functions["large"]
    with serving(panel, patience=1) as port, ExitStack() as slow:
        panel.view_functions["health.healthz"] = large
        clients = [connect(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(3)]
        for client in clients:
            slow.enter_context(client)
            client.recv(100)
        panel.view_functions["health.healthz"] = lambda: "ok"
        answered(port)
        time.sleep(1.5)
        for client in clients:
            with pytest.raises((ConnectionError, EOFError)):
                while True:
                    if not client.recv(1_000_000):
                        raise EOFError


def test_when_all_places_are_taken_the_one_that_has_waited_longest_goes(panel: Flask) -> None:
    with serving(panel, connections=20) as port, ExitStack() as slow:
        clients = [slow.enter_context(connect(port, b"GET /log")) for _ in range(25)]
        assert all(ended(client) for client in clients[:5])
        clients[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            clients[-1].recv(1)
        answered(port)


def test_a_thousand_connections_leave_the_panel_answering(panel: Flask) -> None:
    with serving(panel) as port, ExitStack() as slow:
        for _ in range(1000):
            slow.enter_context(connect(port, b"GET /log"))
        answered(port)
        assert len(os.listdir("/proc/self/fd")) < 1000 + 700, "the server keeps no more than it has places for"


def test_an_idle_connection_may_be_used_again(panel: Flask) -> None:
    with serving(panel, patience=6) as port:
        client = HTTPConnection("127.0.0.1", port, timeout=60)
        client.connect()
        same = client.sock
        for pause in (0, 2.5, 2.5, 2.5):  # longer than its patience, together
            time.sleep(pause)
            client.request("GET", "/healthz")
            assert client.getresponse().read() == b"ok" and client.sock is same
        client.close()


@pytest.mark.parametrize("sent", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",                 # TLS
    b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"\x00\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e9\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET //[evil HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%ff%00%zz HTTP/1.1\r\nHost: x\r\n\r\n",
], ids=lambda sent: repr(sent[:40]))
def test_what_is_no_request_is_no_trouble(panel: Flask, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with serving(panel) as port, connect(port, sent) as client:
        client.shutdown(socket.SHUT_WR)
        said = client.recv(65536)
        assert not said or said.split()[1] in (b"302", b"308", b"400", b"404", b"413", b"431", b"501"), said
        answered(port)
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR" or r.name.startswith("app")] == []


def test_the_server_does_not_say_what_it_is(panel: Flask) -> None:
    with serving(panel) as port, connect(port, b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        assert b"\r\nServer:" not in client.recv(65536)


def test_a_clock_that_is_set_ends_nobody_who_is_quick_and_spares_nobody_who_is_slow(
        panel: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(panel, patience=1.0) as port, ExitStack() as stack:
        wall = [time.time()]
        monkeypatch.setattr(time, "time", lambda: wall[0])
        slow = stack.enter_context(connect(port, b"GET /log"))
        wall[0] -= 86400.0
        slow.settimeout(30)
        assert slow.recv(1) == b"", "its minute is over, whatever the clock says"
    with serving(panel, patience=60.0) as port, ExitStack() as stack:
        quick = stack.enter_context(connect(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"))
        answered(port)
        wall[0] += 86400.0
        time.sleep(2.2)  # two looks
        quick.sendall(b"\r\n")
        quick.settimeout(30)
        assert quick.recv(12) == b"HTTP/1.1 200"
