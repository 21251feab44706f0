"""This server's clock against others: asked seldom, told where it matters, and never in anybody's way."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.checks import clock
from app.checks.clock import OutsideClock, sites_of
from app.config.model import Config
from app.control.monitor import Monitor
from app.control.probing import probe_link
from app.engines.builtin import Builtin
from app.ledger.ledger import Ledger
from app.messages import sentence
from app.mtproto.links import parse_link
from app.mtproto.probe import HANDSHAKE, ProbeError
from tests.support.cover import Cover, free_port
from tests.support.engine import Engine
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.support.problems import codes

EdgeConfig = Callable[..., str]


@pytest.fixture
def site() -> Iterator[EdgeConfig]:
    """Call it for the URL of a site whose clock is `ahead` seconds ahead; a cache of this `age`, or no Date at all."""
    servers = []

    def start(ahead: float = 0.0, age: int = 0, date: str | None = "") -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response_only(301)
                shown = email.utils.formatdate(time.time() + ahead - age, usegmt=True) if date == "" else date
                if shown is not None:
                    self.send_header("Date", shown)
                if age:
                    self.send_header("Age", str(age))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., OutsideClock]:
    """Call it with URLs for a clock that has asked them."""

    def look(*urls: str) -> OutsideClock:
        monkeypatch.setenv(clock.VARIABLE, " ".join(urls))
        asked = OutsideClock(Ledger(tmp_path).clocks)
        asked.look(Config())
        return asked

    return look


def test_a_right_clock_is_no_problem_and_a_wrong_one_is_told_with_its_seconds(
    site: EdgeConfig, ask: Callable[..., OutsideClock]
) -> None:
    right = ask(site(), site(), site())
    assert abs(right.ahead()) < 5 and right.problem() is None
    late = ask(*(site(ahead=600) for _ in range(3)))
    assert abs(late.ahead() + 600) < 5
    assert codes(late.problem()) == ["clock.off", "clock.behind", "clock.refused"]
    assert "timedatectl set-ntp true" in sentence(late.problem())
    early = ask(*(site(ahead=-15) for _ in range(3)))
    assert codes(early.problem()) == ["clock.off", "clock.ahead", "clock.some_refused"]


def test_one_wrong_site_among_several_says_nothing_and_two_that_differ_say_nothing(
    site: EdgeConfig, ask: Callable[..., OutsideClock]
) -> None:
    assert abs(ask(site(), site(), site(ahead=90_000)).ahead()) < 5
    assert abs(ask(site(), site(), site(date=None), site(date="yesterday"), site(age=86_400)).ahead()) < 5


def test_nothing_is_known_without_two_that_agree(site: EdgeConfig, ask: Callable[..., OutsideClock]) -> None:
    silent = f"http://127.0.0.1:{free_port()}/"
    for urls in ([site()], [site(), site(ahead=500)], [silent], [site(date="x" * 5000), silent], ["none"],
                 [site(), "https://"], [site(), "http://[::", "http://:80/"]):
        known = ask(*urls)
        assert known.ahead() is None and known.problem() is None


def test_https_sites_are_asked_whatever_their_certificate_is(cover: Cover, ask: Callable[..., OutsideClock]) -> None:
    url = f"https://127.0.0.1:{cover.port}/"
    assert abs(ask(url, url).ahead()) < 5


def test_a_clock_that_is_set_is_seen_at_once_and_a_look_of_before_a_reboot_is_forgotten(
    site: EdgeConfig, ask: Callable[..., OutsideClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(site(), site())
    now = time.time
    monkeypatch.setattr(clock.time, "time", lambda: now() + 600)
    assert abs(asked.ahead() - 600) < 5
    monkeypatch.setattr(clock, "boot_id", lambda: "another boot")
    assert asked.ahead() is None


def test_it_is_asked_again_after_hours_or_after_minutes_if_nobody_answered(
    site: EdgeConfig, ask: Callable[..., OutsideClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    up, passed = clock._uptime, 0.0
    monkeypatch.setattr(clock, "_uptime", lambda: up() + passed)
    answered, unanswered = ask(site(), site()), ask(f"http://127.0.0.1:{free_port()}/")
    assert not answered.due and not unanswered.due
    passed = 1000.0
    assert not answered.due and unanswered.due
    passed = 7 * 3600.0
    assert answered.due


def test_our_own_names_are_not_asked_and_none_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(sni_base_domain="example.com", panel_domain="panel.example.org",
                    fake_tls_domain="rumako.example.com", domain_pool=["www.one.net", "panel.example.org"])
    assert sites_of(config) == []
    monkeypatch.delenv(clock.VARIABLE)
    assert sites_of(config) == ["https://www.one.net/"]
    assert len(sites_of(Config())) == 5
    monkeypatch.setenv(clock.VARIABLE, "time.example.com http://other.example.com/x")
    assert sites_of(config) == ["https://time.example.com/", "http://other.example.com/x"]


def test_the_monitor_asks_beside_its_round_and_the_status_tells(
    site: EdgeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(clock.VARIABLE, " ".join(site(ahead=-600) for _ in range(3)))
    fleet = Fleet(tmp_path, MemoryRuntime(), Builtin())
    gate, look = threading.Event(), fleet.clock.look

    def slow(config: Config) -> None:
        gate.wait(60)
        look(config)

    monkeypatch.setattr(fleet.clock, "look", slow)
    monitor = Monitor(fleet)
    monitor.tick()
    monitor.tick()
    assert not any("clock" in problem for problem in fleet.status().problems)
    gate.set()
    monitor._beside["clock"].join(60)
    # What one process has found out, another one knows.
    other = Fleet(tmp_path, MemoryRuntime(), Builtin())
    assert [problem for problem in other.status().problems if "600 s ahead of other clocks" in problem]


def test_the_probe_goes_by_other_clocks_and_says_when_the_servers_is_wrong(
    site: EdgeConfig, ask: Callable[..., OutsideClock], engine: Engine
) -> None:
    link = parse_link(engine.link)
    assert probe_link(link, ask(site(), site()), Config()) > 0
    assert probe_link(link, ask("none"), Config()) > 0, "by its own clock, if there is no other"
    with pytest.raises(ProbeError, match="Telegram answers, but this server's clock is .* s behind other clocks, "
                                         "so apps will be refused") as caught:
        probe_link(link, ask(site(ahead=600), site(ahead=600)), Config())
    assert caught.value.step == HANDSHAKE
    wrong = parse_link(engine.link_with(engine.secret.rotated()))
    with pytest.raises(ProbeError, match="like an ordinary website"):
        probe_link(wrong, ask(site(ahead=600), site(ahead=600)), Config())
