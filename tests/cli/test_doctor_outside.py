"""What a helper on another machine sees of this one: asked only where one is declared, and never believed blindly."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from app.control.doctor import NOTE, OK, PROBLEM, examine
from app.engines.builtin import Builtin
from app.messages import sentence
from app.messages.refused import Refused
from tests.cli.conftest import ROOT
from tests.support.cover import free_port
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime


@pytest.fixture
def helper() -> Iterator[str]:
    """scripts/port-helper.py, on loopback."""
    process = subprocess.Popen([sys.executable, ROOT / "scripts/port-helper.py", "--bind", "127.0.0.1", "--port", "0"],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield f"http://127.0.0.1:{process.stdout.readline().split()[-1]}"
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that takes connections, and the one after it that takes none."""
    with socket.socket() as one:
        port = free_port()  # and the one after it is given to nobody else
        one.bind(("127.0.0.1", port))
        one.listen()
        yield port


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: int) -> Fleet:
    monkeypatch.setenv("MTPROTO_TIME_SITES", "none")
    monkeypatch.setattr("app.control.probing.probe_link", lambda link, clock, config: 5.0)
    fleet = Fleet(tmp_path / "data", MemoryRuntime(Machine()), Builtin())
    fleet.set_settings({"server_ip": "127.0.0.1", "proxy_port": str(listener)})
    fleet.add_user("Alice")
    fleet.add_user("Bob")
    return fleet


def seen(fleet: Fleet) -> list[tuple[str, str]]:
    return [(one.state, sentence(one.told)) for one in examine(fleet) if one.about == "from outside"]


def test_nobody_is_asked_as_long_as_no_helper_is_declared(fleet: Fleet) -> None:
    assert seen(fleet) == []


def test_open_and_closed_ports_are_told_apart(fleet: Fleet, helper: str, listener: int) -> None:
    fleet.set_settings({"helper_url": helper})
    address, closed, reached = seen(fleet)
    assert address == (OK, "from outside, this server is 127.0.0.1")
    assert closed[0] == PROBLEM and f"port {listener + 1} can't be reached" in closed[1]
    assert reached == (OK, f"from outside, {listener} can be reached")


def test_an_address_that_is_another_one_is_a_problem(fleet: Fleet, helper: str) -> None:
    fleet.set_settings({"helper_url": helper, "server_ip": "192.0.2.7"})
    assert seen(fleet)[0] == (
        PROBLEM, "from outside, this server is 127.0.0.1, and links lead to 192.0.2.7 (192.0.2.7)")


@pytest.fixture
def odd() -> Iterator[Callable[[bytes, int], str]]:
    """Call it for the address of a helper that answers this."""
    servers = []

    def start(body: bytes, code: int = 200) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/x?key=1"

    asked: list[str] = []
    start.asked = asked
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("body", [
    b"", b"<html>", b"[]", b"{}", b"[" * 60000, b'{"address": "x", "open": []}', b'{"address": "192.0.2.1", "open": 5}',
    b'{"address": "192.0.2.1", "open": [true]}', b'{"address": 7, "open": []}', b"\xff" * 100000])
def test_an_odd_answer_is_a_note_and_no_crash(fleet: Fleet, odd, body: bytes) -> None:
    fleet.set_settings({"helper_url": odd(body)})
    assert [state for state, _ in seen(fleet)] == [NOTE]


def test_a_helper_out_of_reach_or_one_that_refuses_is_a_note(fleet: Fleet, odd) -> None:
    for url in ("http://127.0.0.1:1", odd(b"", 429)):
        fleet.set_settings({"helper_url": url})
        assert [state for state, _ in seen(fleet)] == [NOTE]


def test_it_is_told_the_ports_and_nothing_else(fleet: Fleet, odd, listener: int) -> None:
    fleet.set_settings({"helper_url": odd(b"{}")})
    seen(fleet)
    assert odd.asked == [f"/x?key=1&ports={listener}%2C{listener + 1}"]


def test_ports_that_were_not_asked_for_count_for_nothing(fleet: Fleet, odd) -> None:
    fleet.set_settings({"helper_url": odd(b'{"address": "127.0.0.1", "open": [1, 2, 3]}')})
    assert [state for state, _ in seen(fleet)] == [OK, PROBLEM, PROBLEM]


@pytest.mark.parametrize("url", ["ftp://x.example", "x.example", "http://", "file:///etc/passwd", "http://a b"])
def test_what_is_no_address_of_a_helper_is_refused(fleet: Fleet, url: str) -> None:
    with pytest.raises(Refused):
        fleet.set_settings({"helper_url": url})


@pytest.mark.parametrize("query", ["?ports=0", "?ports=65536", "?ports=x", "?ports=1;2", "?ports=1" + 32 * ",1"])
def test_the_helper_refuses_what_is_no_question(helper: str, query: str) -> None:
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{helper}/{query}", timeout=20)
    with refused.value as answer:
        assert answer.code == 400


def test_the_helper_tries_nobody_but_who_asks(helper: str, listener: int) -> None:
    with urlopen(f"{helper}/?ports={listener}&address=192.0.2.1", timeout=20) as answer:
        assert json.load(answer) == {"address": "127.0.0.1", "open": [listener]}
