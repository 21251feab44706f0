"""`serve`, and the hidden `panel` commands that install.sh uses."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.cli.instance import PanelError, PanelFile, Running, from_elsewhere, listen
from app.cli.panellog import LOG_BYTES
from app.config.channels import Channel
from app.config.file import ConfigFile
from app.ledger.ledger import Ledger
from app.ledger.letters import Letter
from app.messages import Problem
from app.runtimes.ports import join, own_address
from tests.cli.conftest import ROOT
from tests.support.sinks import Sink


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def serve(data: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start `serve` in a process of its own and wait until it answers on the port."""
    started: list[subprocess.Popen] = []

    def start(port: int, *words: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--data", str(data), *words],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        started.append(process)
        wait_until(lambda: healthy(port) or process.poll() is not None)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=90)


def test_serve_prints_the_url_and_the_initial_admin(serve, data, free_port) -> None:
    port = free_port()
    process = serve(port)
    declared = json.loads((data / "config.json").read_text())
    assert process.stdout.readline().split() == ["Panel:", f"http://127.0.0.1:{port}"]
    assert process.stdout.readline().split() == ["Name:", "admin"]
    assert process.stdout.readline().split()[:2] == ["Password:", declared["_initial_password"]]


def test_serve_no_longer_prints_a_password_that_was_replaced(serve, run, free_port) -> None:
    run("reset-password", "--username", "admin")
    port = free_port()
    process = serve(port, "--json")
    process.terminate()
    assert json.loads(process.communicate(timeout=90)[0]) == {"url": f"http://127.0.0.1:{port}"}


def test_the_panel_ends_cleanly_and_its_proxies_stay(serve, run, free_port) -> None:
    user = run("user", "add", "Alice", "--json").json()
    process = serve(free_port())
    process.terminate()
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 0 and "Traceback" not in errors
    socket.create_connection(("127.0.0.1", user["port"]), timeout=30).close()
    assert run("user", "show", "Alice", "--json").json()["state"] == "running"


def test_the_end_waits_for_a_notification_on_its_way_and_keeps_what_hangs_for_the_next_start(
        serve, data, free_port) -> None:
    quick, hangs, leaves = Sink(), Sink(), threading.Event()
    quick.answer = lambda request: (leaves.wait(60) and time.sleep(0.5)) or (200, {}, b"")
    hangs.answer = lambda request: time.sleep(60) or (200, {}, b"")
    file = ConfigFile(data)
    with file.edit() as config:
        for name, sink in (("Quick", quick), ("Hangs", hangs)):
            config.notifications.append(Channel(id=name.lower(), name=name, kind="webhook", url=sink.url, secret="k"))
    ledger = Ledger(data)
    ledger.letters.note({}, [], [Letter(box, "update", Problem("notice.test", {"name": "x"}), time.time())
                                 for box in ("quick", "hangs")], time.time())
    process = serve(free_port())
    wait_until(lambda: quick.received and hangs.received)
    process.terminate()
    leaves.set()
    _, errors = process.communicate(timeout=50)
    assert process.returncode == 0 and "Traceback" not in errors
    assert ledger.letters.boxes_with_letters() == ["hangs"] and len(quick.received) == 1
    hangs.answer = lambda request: (200, {}, b"")
    serve(free_port())
    wait_until(lambda: not ledger.letters.boxes_with_letters())
    assert (len(quick.received), len(hangs.received)) == (1, 2)
    assert hangs.received[0].json()["id"] == hangs.received[1].json()["id"]
    quick.stop()
    hangs.stop()


def test_a_busy_port_is_refused_with_its_holder_and_a_free_one(command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = command("serve", "--port", str(port)).refused()
    assert f"port {port} is taken by another program" in message and f"pid {os.getpid()}" in message
    free = int(message.rpartition("--port ")[2])
    assert free > port


def test_an_address_of_another_machine_is_refused(command) -> None:
    for address in ("192.0.2.1", "no such host"):
        message = command("serve", "--bind", address, "--port", "18080").refused()
        assert address in message and "not an address of this machine" in message


def test_a_second_panel_on_the_same_folder_is_refused(serve, command, free_port) -> None:
    first = serve(free_port())
    message = command("serve", "--port", str(free_port())).refused()
    assert "already serves" in message and str(first.pid) in message


def test_a_panel_that_was_killed_is_replaced_at_once(serve, data, free_port) -> None:
    port = free_port()
    first = serve(port)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = serve(port)
    # The worker of the first may answer for another second; then only the second is left.
    assert second.stdout.readline().startswith("Panel:")
    wait_until(lambda: (data / "panel.pid").read_text().startswith(f"{second.pid}\n") and healthy(port))


def test_the_lock_of_a_killed_panel_is_waited_for_and_that_of_a_living_one_is_not(data) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    file = PanelFile(data)
    with file.path.open("a+") as worker:
        fcntl.flock(worker, fcntl.LOCK_EX)
        worker.write(f"{os.getpid()}\nhttp://127.0.0.1:1\n")
        worker.flush()
        with pytest.raises(PanelError, match=f"process {os.getpid()}"):
            file.claim("http://127.0.0.1:2")

        worker.truncate(0)
        worker.write(f"{ended.pid}\nhttp://127.0.0.1:1\n")
        worker.flush()
        release = threading.Timer(0.3, fcntl.flock, (worker, fcntl.LOCK_UN))
        release.start()
        with file.claim("http://127.0.0.1:2"):
            release.join()
            assert file.running() == Running(os.getpid(), "http://127.0.0.1:2")
    assert file.running() is None


def test_a_broken_config_starts_nothing(command, data) -> None:
    (data / "config.json").write_text('{"proxy_port": "high"}')
    assert "proxy_port: 'high'" in command("serve").refused()


def test_restart_replaces_the_panel_and_stop_ends_proxies_too(command, run, data, free_port) -> None:
    user = run("user", "add", "Alice", "--json").json()
    port = free_port()
    first = command("panel", "restart", "--port", str(port))
    assert first.code == 0 and f"http://127.0.0.1:{port}" in first.stdout
    pid = (data / "panel.pid").read_text().splitlines()[0]
    assert command("panel", "restart", "--port", str(port)).code == 0
    assert healthy(port)
    assert (data / "panel.pid").read_text().splitlines()[0] != pid
    assert run("user", "show", "Alice", "--json").json()["state"] == "running"

    stopped = command("panel", "stop", "--json").json()
    assert stopped == {"panel": True, "proxies": [f"mtg-proxy-{user['port']}"]}

    assert not healthy(port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", user["port"]), timeout=30)
    assert command("panel", "stop", "--json").json() == {"panel": False, "proxies": []}
    assert run("user", "show", "Alice", "--json").json()["enabled"] is True


def test_a_restart_on_a_busy_port_leaves_the_running_panel_alone(command, free_port) -> None:
    port = free_port()
    assert command("panel", "restart", "--port", str(port)).code == 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        message = command("panel", "restart", "--port", str(other.getsockname()[1])).refused()
    assert "taken by another program" in message
    assert healthy(port)


def test_stop_in_a_folder_without_an_installation_makes_none(command, tmp_path) -> None:
    nothing = tmp_path / "nothing"
    assert "no installation" in command("panel", "stop", "--data", str(nothing)).refused()
    assert not nothing.exists()


def ask(url: str) -> str:
    with urllib.request.urlopen(f"{url}/healthz", timeout=30) as answer:
        return answer.read().decode()


def test_all_ipv6_addresses_means_ipv4_too(serve, free_port) -> None:
    port = free_port()
    process = serve(port, "--bind", "::")
    assert ask(f"http://127.0.0.1:{port}") == ask(f"http://[::1]:{port}") == "ok"
    assert process.stdout.readline().split() == ["Panel:", f"http://127.0.0.1:{port}"]


@pytest.mark.parametrize(("bind", "server", "hint", "warns"), [
    ("127.0.0.1", "", "ssh -L 8080:127.0.0.1:8080 THIS-SERVER, then open http://127.0.0.1:8080", False),
    ("127.0.0.1", "proxy.example", "ssh -L 8080:127.0.0.1:8080 proxy.example,", False),
    ("127.0.0.2", "", "ssh -L 8080:127.0.0.2:8080 ", False),
    ("localhost", "", "ssh -L 8080:127.0.0.1:8080 ", False),
    ("::1", "", "ssh -L 8080:[::1]:8080 ", False),
    ("0.0.0.0", "proxy.example", "open http://proxy.example:8080", True),
    ("::", "2001:db8::7", "open http://[2001:db8::7]:8080", True),
    ("[::]", "", f"open http://{join(own_address(), 8080)}", True),
    ("192.0.2.7", "proxy.example", "open http://192.0.2.7:8080", True),
    ("2001:db8::7", "", "open http://[2001:db8::7]:8080", True),
    ("panel.lan", "", "open http://panel.lan:8080", True),
])
def test_the_way_from_elsewhere_fits_the_address_that_is_listened_on(
        bind: str, server: str, hint: str, warns: bool) -> None:
    said = "\n".join(from_elsewhere(bind, 8080, server))
    assert hint in said
    assert ("plain HTTP" in said) == warns


def test_serve_on_all_addresses_says_how_to_get_there_and_warns(serve, free_port) -> None:
    process = serve(free_port(), "--bind", "0.0.0.0")
    process.terminate()
    said, _ = process.communicate(timeout=90)
    assert "WARNING" in said and "plain HTTP" in said and "--bind 127.0.0.1" in said and own_address() in said


def test_a_time_zone_that_is_none_is_said_at_the_start(serve, free_port, monkeypatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Moskva")
    process = serve(free_port())
    process.terminate()
    assert "TZ is 'Europe/Moskva'" in process.communicate(timeout=90)[1]


def test_behind_a_reverse_proxy_the_way_in_is_the_proxys(serve, free_port, monkeypatch) -> None:
    monkeypatch.setenv("MTPROTO_TRUSTED_PROXIES", "127.0.0.1")
    process = serve(free_port(), "--bind", "0.0.0.0")
    process.terminate()
    assert "WARNING" not in process.communicate(timeout=90)[0]


def test_the_log_of_a_panel_in_the_background_is_rotated_while_it_runs(command, data, free_port) -> None:
    port = free_port()
    log = data / "panel.log"
    data.mkdir(exist_ok=True)
    log.write_bytes(b"x" * (LOG_BYTES - 10))
    assert command("panel", "restart", "--port", str(port)).code == 0
    # A proxy that is not believed is a line in the log.
    request = urllib.request.Request(f"http://127.0.0.1:{port}/healthz", headers={"X-Forwarded-For": "192.0.2.1"})
    urllib.request.urlopen(request, timeout=30).close()
    wait_until(lambda: (data / "panel.log.1").exists() and log.stat().st_size > 0)
    assert (data / "panel.log.1").stat().st_size <= LOG_BYTES and log.stat().st_size < 10_000
    assert "192.0.2.1" not in log.read_text() and "MTPROTO_TRUSTED_PROXIES" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_is_written_past_the_log_is_in_it_and_counts(tmp_path: Path) -> None:
    file = tmp_path / "panel.log"
    program = ("import logging, os, sys, threading\n"
               "from app.cli import panellog\n"
               f"panellog.LOG_BYTES = 2000\n"
               f"panellog.init({str(file)!r})\n"
               "os.write(2, b'by hand\\n'); print('printed', flush=True)\n"
               "died = threading.Thread(target=lambda: 1 / 0); died.start(); died.join()\n"
               "for _ in range(100): logging.warning('%s', 'y' * 100); os.write(2, b'z' * 50)\n"
               "os.write(1, b'the end')\n")
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=90)
    older, newer = file.with_name("panel.log.1").read_text(), file.read_text()
    assert newer.endswith("the end")
    assert all(len(text) <= 2200 for text in (older, newer))
    subprocess.run([sys.executable, "-c", program.replace("range(100)", "range(0)")], cwd=ROOT, check=True, timeout=90)
    everything = file.with_name("panel.log.1").read_text() + file.read_text()
    assert "by hand" in everything and "printed" in everything and "ZeroDivisionError" in everything


def test_the_last_port_is_taken_and_another_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Problem("port.taken", {"port": 65535, "owner": "nginx, pid 1"})
    monkeypatch.setattr("app.cli.instance.bind_error", lambda at: taken if at.endswith(":65535") else None)
    monkeypatch.setattr("app.cli.instance.is_free", lambda at: True)
    with pytest.raises(PanelError, match="--port 1024"):
        listen("127.0.0.1", 65535)
