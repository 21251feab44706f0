"""Fixtures every test may use. Real parts on loopback; all of them are ended at the end."""

from __future__ import annotations

import os
import signal
import socketserver
from collections.abc import Callable, Iterator
from pathlib import Path

# Before pytest gives the name to the folder tests/docker, as it does with folders of tests.
import docker  # noqa: F401
import pytest
from hypothesis import HealthCheck, settings

from app.config import passwords
from tests.support import cover as cover_host
from tests.support import indoors
from tests.support.cover import Cover
from tests.support.dc import DataCenter
from tests.support.engine import Engine, run_engine

# A proxy or a data folder of the person who runs the tests must not get into them.
if "MTG_BIN" in os.environ:
    os.environ["REAL_MTG"] = os.environ["MTG_BIN"]  # for the tests that are about it
for name in list(os.environ):
    if name.lower() in ("http_proxy", "https_proxy", "all_proxy") or name.startswith(("MTPROTO_", "MTG_BIN")):
        del os.environ[name]
# Local processes, even where a Docker engine runs beside the tests; tests/docker says otherwise itself.
os.environ["MTPROTO_RUNTIME"] = "process"
# Nobody outside is asked for the time, but by a test that names whom.
os.environ["MTPROTO_TIME_SITES"] = "none"
# A shell's background job is started deaf to Ctrl-C, and so would be every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A machine that is busy is slow, which is no failure; and what passes once passes everywhere. Without
# this, hypothesis would see to it only where it finds itself in somebody's CI.
settings.register_profile("tests", deadline=None, derandomize=True, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
# Python's own servers let five callers wait, and refuse whoever comes while this machine is busy elsewhere.
socketserver.TCPServer.request_queue_size = 1024
# A password's hash takes 0.1 s by design, and most tests make two that they are not about.
REAL_METHOD = passwords._METHOD
passwords._METHOD = "scrypt:256:8:1"

#: What makes a test slow by itself, beside the marks of single tests: the Docker engine, installations, Telegram
#: clients, a browser, panels in processes of their own.
SLOW_FOLDERS = {"docker", "edge", "install", "e2e", "server"}
SLOW_FIXTURES = {"chromium", "dockers_lab", "serve", "renamed", "real_fleet"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in SLOW_FOLDERS or not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


indoors.stay()


@pytest.fixture(autouse=True)
def stayed_indoors() -> Iterator[None]:
    """No test reaches the internet, not even in a thread that swallows what it is told."""
    indoors.tried.clear()
    yield
    indoors.fail_whoever_went()


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as in a real panel."""
    monkeypatch.setattr(passwords, "_METHOD", REAL_METHOD)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Call it for a TCP port on 127.0.0.1 that nobody listens on just now."""
    return cover_host.free_port


@pytest.fixture
def dc() -> Iterator[DataCenter]:
    """A test DC with the SOCKS5 server before it, fresh for this test."""
    center = DataCenter().start()
    yield center
    center.stop()


@pytest.fixture(scope="session")
def cover(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cover]:
    """The cover host: a real nginx with TLS and a page."""
    host = Cover(tmp_path_factory.mktemp("cover")).start()
    yield host
    host.stop()


@pytest.fixture
def start_engine(tmp_path: Path, dc: DataCenter, cover: Cover) -> Iterator[Callable[..., Engine]]:
    """Call it to start built-in engines: start_engine(secret=…, upstream=…, cover=…, ip=…, more=…)."""
    running = []

    def start(**options: object) -> Engine:
        options.setdefault("upstream", dc.socks5)
        options.setdefault("cover", (cover.host, cover.ip, cover.port))
        running.append(run_engine(tmp_path / f"engine{len(running)}", **options))
        return running[-1]

    yield start
    for engine in running:
        engine.stop()


@pytest.fixture
def engine(start_engine: Callable[..., Engine]) -> Engine:
    """A built-in engine with a FakeTLS secret, the test DC behind it and the cover host for the others."""
    return start_engine()
