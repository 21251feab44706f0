"""Real proxies: who is cut off is cut off at once, and nobody else notices.

A stranger streams through another user's proxy all the while; not one byte of
his may be lost.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from app.engines.builtin import SPEED_FILE, Builtin
from app.runtimes.process.runtime import ProcessRuntime
from tests.support.cover import Cover
from tests.support.dc import DataCenter
from tests.support.fleet import Fleet
from tests.support.stream import BackgroundStream


@pytest.fixture
def real_fleet(tmp_path, dc: DataCenter, cover: Cover, free_port) -> Iterator[Fleet]:
    runtime = ProcessRuntime(tmp_path, SPEED_FILE)
    runtime.start_timeout = runtime.stop_timeout = runtime.scrape_timeout = runtime.throttle_timeout = 60.0
    fleet = Fleet(tmp_path, runtime, Builtin())
    fleet.set_settings({
        "proxy_bind": "127.0.0.1", "proxy_port": str(free_port()), "upstream_socks5": dc.socks5,
        "fake_tls_domain": cover.host, "domain_fronting_ip": cover.ip, "domain_fronting_port": str(cover.port)})
    yield fleet
    fleet.stop_everything()


CUTS = {
    "disable": lambda fleet, view: fleet.disable(view.id),
    "remove": lambda fleet, view: fleet.remove(view.id),
    "rotate": lambda fleet, view: fleet.rotate(view.id),
    "another port": lambda fleet, view: fleet.update_user(view.id, {"port": str(view.port + 5)}),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_a_cut_ends_that_users_connections_and_nobody_elses(real_fleet, cut):
    stranger, victim = real_fleet.add_user("Stranger"), real_fleet.add_user("Victim")
    with BackgroundStream(stranger.tg_link) as other, BackgroundStream(victim.tg_link) as mine:
        cut(real_fleet, victim)
        # The verb has returned, so the connection has ended: the thread only has to find out.
        assert mine.wait_until_broken(60)
        assert mine.report.broken
        rounds = other.report.rounds
        report = other.finish()
    assert not report.broken and report.rounds >= rounds > 0


def test_fifty_random_changes_of_others_cost_a_stranger_not_one_byte(real_fleet):
    random.seed(3)
    stranger = real_fleet.add_user("Stranger")
    start = [o.run_id for o in real_fleet.runtime.observe() if o.user_id == stranger.id]
    others: list[str] = []
    with BackgroundStream(stranger.tg_link) as stream:
        for number in range(50):
            verb = random.choice(["add", "rename", "limit", "rotate", "disable", "enable", "remove"])
            if verb == "add" or not others:
                others.append(real_fleet.add_user(f"user {number}").id)
                continue
            one = random.choice(others)
            match verb:
                case "rename":
                    real_fleet.update_user(one, {"name": f"renamed {number}"})
                case "limit":
                    real_fleet.update_user(one, {"limit_gb": str(number), "speed_mbps": "2"})
                case "remove":
                    real_fleet.remove(one)
                    others.remove(one)
                case _:
                    getattr(real_fleet, verb)(one)
        report = stream.finish()
    assert not report.broken and report.rounds > 0
    assert [o.run_id for o in real_fleet.runtime.observe() if o.user_id == stranger.id] == start


def test_a_new_link_works_after_a_rotation_and_the_old_one_never_again(real_fleet):
    old = real_fleet.add_user("Alice")
    new = real_fleet.rotate("Alice")
    with BackgroundStream(new.tg_link) as stream:
        assert not stream.finish().broken
    with BackgroundStream(old.tg_link) as stream:
        assert stream.finish().broken


def test_what_a_stream_moved_is_what_is_billed(real_fleet):
    alice, bob = real_fleet.add_user("Alice"), real_fleet.add_user("Bob")
    with BackgroundStream(alice.tg_link, piece=1_000_000) as stream:
        while stream.report.rounds < 5:
            assert not stream.report.broken
            time.sleep(0.01)
        connected = real_fleet.status(max_age=0)
        report = stream.finish()
    status = {view.id: view for view in real_fleet.status(max_age=0).users}
    assert connected.connections == 1
    assert report.down <= status[alice.id].bytes_down <= report.down * 1.01 + 10_000
    assert report.up <= status[alice.id].bytes_up <= report.up * 1.01 + 10_000
    assert status[bob.id].bytes_down == status[bob.id].bytes_up == 0


def test_a_user_over_the_limit_is_slowed_down_and_freed_again_while_connected(real_fleet):
    alice = real_fleet.add_user("Alice", speed_mbps="8")
    limit = 8_000_000 / 8 / PIECE
    with BackgroundStream(alice.tg_link, piece=PIECE) as stream:
        wait_until_it_reaches(3 * limit, stream)
        real_fleet.update_user(alice.id, {"limit_gb": "0.001"})
        real_fleet.sample()
        real_fleet.reconcile()
        assert real_fleet.user(alice.id).throttled_bps == 8_000_000
        assert rate(stream) < 1.2 * limit  # a slow machine makes it less
        real_fleet.update_user(alice.id, {"limit_gb": "0"})
        assert real_fleet.user(alice.id).throttled_bps is None
        wait_until_it_reaches(3 * limit, stream)
        assert not stream.finish().broken


PIECE = 500_000


def rate(stream: BackgroundStream) -> float:
    """Rounds per second over the next few rounds; less, but never more, where this thread looks too late."""
    first, began, now = stream.report.rounds + 1, 0.0, time.monotonic()
    while stream.report.rounds < first + 3:
        if stream.report.rounds < first:
            began = now
        assert not stream.report.broken
        time.sleep(0.001)
        now = time.monotonic()
    return 3 / (time.monotonic() - began)


def wait_until_it_reaches(wanted: float, stream: BackgroundStream) -> None:
    """A machine that is busy for a moment may be as slow as any throttle, but not for a minute."""
    deadline = time.monotonic() + 60
    while (now := rate(stream)) < wanted:
        assert time.monotonic() < deadline, f"{now:.1f} rounds a second, {wanted:.1f} at least were to be reached"
