"""The engine as a program: what it says when it can't start, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mtproto.parts import ROOT, SECRET, Engine, connect, open_session, read_to_end
from tests.support.cover import free_port
from tests.support.dc import DataCenter

Start = Callable[..., Engine]


def run(config: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.builtin.server", "run", str(config), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "can't read the configuration"),
        ("secret = 'ab'", "error: secret: the secret has 1 bytes"),
        (f"secret = '{SECRET.hex}'\nbind-to = 'somewhere'", "bind-to = 'somewhere' is not allowed"),
        (f"secret = '{SECRET.hex}'\nbind-to = '192.0.2.77:4000'", "this machine has no address 192.0.2.77"),
    ],
)
def test_a_bad_configuration_ends_it_with_a_sentence(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config.toml").write_text(text)
    done = run(tmp_path / "config.toml")
    assert done.returncode == 1 and words in done.stderr
    assert "Traceback" not in done.stderr and SECRET.hex not in done.stderr


@pytest.mark.parametrize("key", ["bind-to", "stats.prometheus.bind-to"])
def test_a_busy_port_ends_it_with_a_sentence_that_names_it(key: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"bind-to": free_port(), "stats.prometheus.bind-to": free_port()}
        ports[key] = taken.getsockname()[1]
        lines = [f"{name} = '127.0.0.1:{port}'" for name, port in ports.items()]
        text = "\n".join([f"secret = '{SECRET.hex}'", "stats.prometheus.enabled = true", *lines])
        (tmp_path / "config.toml").write_text(text)
        done = run(tmp_path / "config.toml")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{key}: port {ports[key]} on 127.0.0.1 is in use by another program" in done.stderr


def test_it_imports_none_of_the_panels_libraries() -> None:
    code = (
        "import sys, app.builtin.server\n"
        "print(*sorted({'flask', 'pydantic', 'click', 'docker', 'qrcode', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == ""


def refuses(proxy: Engine) -> bool:
    """Whether it takes no new connection."""
    try:
        connect(proxy).close()
    except OSError:
        return True
    return False


def test_sigterm_without_sessions_ends_it_at_once(engine: Start) -> None:
    proxy = engine(drain=3600)
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.process.wait(60) == 0


def test_sigterm_lets_a_session_end_and_takes_no_new_one(engine: Start, dc: DataCenter) -> None:
    proxy = engine(drain=3600, upstream=[f"socks5://{dc.socks5}"])
    session = open_session(proxy)
    proxy.wait_for(lambda: proxy.metric("mtg_telegram_connections") == 1)
    proxy.process.send_signal(signal.SIGTERM)
    proxy.wait_for(lambda: refuses(proxy))
    time.sleep(0.3)
    assert proxy.process.poll() is None and proxy.metric("mtg_telegram_connections") == 1
    session.close()
    assert proxy.process.wait(60) == 0


def test_sessions_that_do_not_end_are_ended_by_the_drain_or_by_a_second_signal(
    engine: Start, dc: DataCenter
) -> None:
    patient, hasty = (engine(drain=drain, upstream=[f"socks5://{dc.socks5}"]) for drain in (5, 3600))
    held = [open_session(proxy) for proxy in (patient, hasty)]
    for proxy in (patient, hasty):
        proxy.wait_for(lambda proxy=proxy: proxy.metric("mtg_telegram_connections") == 1)
    asked = time.monotonic()
    for proxy in (patient, hasty):
        proxy.process.send_signal(signal.SIGTERM)
        proxy.wait_for(lambda proxy=proxy: refuses(proxy))  # a second signal before that would be none
    hasty.process.send_signal(signal.SIGTERM)
    assert hasty.process.wait(60) == 0
    assert patient.process.wait(60) == 0 and time.monotonic() - asked > 4.5
    assert [read_to_end(sock) for sock in held] == [b"", b""]
    assert "Traceback" not in patient.log() + hasty.log()


def test_metrics_answer_several_requests_on_one_connection_and_refuse_nonsense(engine: Start) -> None:
    proxy = engine(**{"stats.prometheus.http-path": "/metrics", "stats.prometheus.metric-prefix": "abc"})
    connection = http.client.HTTPConnection("127.0.0.1", proxy.metrics_port, timeout=60)
    for _ in range(3):
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Content-Type").startswith("text/plain; version=0.0.4")
        assert b"abc_telegram_traffic" in answer.read()
    connection.request("HEAD", "/metrics?x=1")
    assert connection.getresponse().read() == b""
    connection.request("GET", "/other")
    answer = connection.getresponse()
    assert answer.status == 404 and b"/metrics" in answer.read()
    connection.request("POST", "/metrics", body=b"")
    assert connection.getresponse().status == 405
    connection.close()
    for nonsense in (b"\x00\xff" * 100 + b"\r\n\r\n", b"A" * 100_000, b"\r\n\r\n", b"GET /metrics\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", proxy.metrics_port), timeout=60) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(nonsense)
            read_to_end(sock)
    assert "Traceback" not in proxy.log()


def test_the_log_shows_the_start_and_no_key(engine: Start) -> None:
    proxy = engine()
    assert f"serving {SECRET.masked()} on 127.0.0.1:{proxy.port}" in proxy.log()
    assert SECRET.key.hex() not in proxy.log() and len(proxy.log().splitlines()) == 1
