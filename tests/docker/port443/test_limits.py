"""Speed limits and blocks on port 443, where nginx stands between a client and the limited proxy.

Clients connect to nginx's address in the proxies' network, as in tests/docker/test_throttle.py.
"""

from __future__ import annotations

import subprocess

import pytest

from app.control.monitor import Monitor
from tests.docker.test_throttle import LIMIT_GB, OVER, move, right
from tests.support.goodput import download_speed, upload_speed, use_cubic
from tests.support.lab443 import Stage
from tests.support.stream import BackgroundStream, passes


@pytest.fixture
def stage(stage: Stage) -> Stage:
    use_cubic(stage.center)
    # nginx sends, too. Its network's own default can't be set where cubic is not among tcp_allowed_congestion_control.
    nginx = stage.hands.inspect_container(stage.lab.container)["State"]["Pid"]
    subprocess.run(["nsenter", "--target", str(nginx), "--net", "ip", "route", "change", f"{stage.lab.prefix}.0/24",
                    "dev", "eth0", "congctl", "cubic"], check=True)
    return stage


def throttled(stage: Stage, mbps: float) -> tuple[str, int]:
    """Alice's link inside the network, when she is over her limit, and her speed in bits/s as it was read back."""
    alice = stage.fleet.add_user("Alice", limit_gb=LIMIT_GB, speed_mbps=mbps)
    link = stage.inside(alice.tg_link)
    move(link, OVER)
    Monitor(stage.fleet).tick()
    view = stage.fleet.user(alice.id)
    assert view.throttled_bps == mbps * 1e6 and view.throttle_verified_at, view.reason
    return link, view.throttled_bps


@pytest.mark.parametrize("mbps", [1, 5, 20, 100])
def test_a_throttled_user_gets_the_set_speed_in_both_directions(stage, mbps):
    link, bps = throttled(stage, mbps)

    def good(speed: float) -> bool:
        return abs(speed / bps - 1) <= 0.1

    down = right(lambda: download_speed(link, bps, seconds=2.0), good)
    up = right(lambda: upload_speed(link, stage.center, seconds=2.0), good)
    assert good(down[-1]), f"set {bps}, measured down {down}"
    assert good(up[-1]), f"set {bps}, measured up {up}"


def test_a_throttle_slows_nobody_else_down(stage):
    bob = stage.inside(stage.fleet.add_user("Bob").tg_link)
    link, _ = throttled(stage, 5)

    def share() -> float:
        """Bob's speed beside her, as a part of his speed a moment before."""
        alone = download_speed(bob, 1e8, seconds=1.0)
        with BackgroundStream(link, piece=100_000):
            return download_speed(bob, 1e8, seconds=1.0) / alone

    shares = right(share, lambda value: value >= 0.6)
    assert shares[-1] >= 0.6, shares


def test_a_block_at_the_limit_ends_the_sessions_and_the_next_period_lets_the_user_in_again(stage):
    bob = stage.fleet.add_user("Bob")
    alice = stage.fleet.add_user("Alice", limit_gb=LIMIT_GB, at_limit="block")
    with BackgroundStream(bob.tg_link, piece=20_000) as stranger, BackgroundStream(alice.tg_link, piece=20_000) as hers:
        move(alice.tg_link, OVER)
        Monitor(stage.fleet).tick()
        assert hers.wait_until_broken(60)
        assert stage.fleet.user(alice.id).state == "blocked" and not passes(alice.tg_link)
        assert not stranger.finish().broken
    stage.fleet.reset_traffic(alice.id)
    assert passes(alice.tg_link)
