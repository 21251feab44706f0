"""A user who is blocked at the limit, on the real Docker engine: out at once, until a reset, and alone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.control.records import UserView
from app.runtimes.base import EXITED, RUNNING
from tests.docker.conftest import Lab, passes
from tests.support.fleet import Fleet
from tests.support.stream import BackgroundStream

LIMIT_GB = 0.002  # a little more than 2 MB
OVER = 2_300_000


@pytest.fixture
def alice(lab: Lab) -> UserView:
    return lab.fleet.add_user("Alice", limit_gb=LIMIT_GB, at_limit="block")


@pytest.fixture
def bob(lab: Lab) -> Iterator[BackgroundStream]:
    """Another user, who streams all the while."""
    with BackgroundStream(lab.fleet.add_user("Bob", at_limit="block").tg_link, piece=50_000) as stream:
        yield stream


def goes_on(stream: BackgroundStream) -> bool:
    """Whether it moves more, with nothing lost or cut."""
    before, deadline = stream.report.rounds, time.monotonic() + 60
    while stream.report.rounds < before + 2 and not stream.report.broken and time.monotonic() < deadline:
        time.sleep(0.02)
    return stream.report.rounds >= before + 2 and not stream.report.broken


def crosses(lab: Lab, alice: UserView) -> None:
    """Two live sessions of hers, one tick before and one after the limit."""
    with BackgroundStream(alice.tg_link, piece=1_000, pause=5.0) as quiet:
        lab.monitor.tick()
        assert not quiet.report.broken
        # Only from here on: it is over the limit within a moment.
        with BackgroundStream(alice.tg_link, piece=100_000) as busy:
            deadline = time.monotonic() + 60
            while busy.report.down + busy.report.up < OVER:
                assert time.monotonic() < deadline and not busy.report.broken
                time.sleep(0.02)
            lab.monitor.tick()
            for stream in (busy, quiet):
                assert stream.wait_until_broken(60) and stream.report.broken


def is_blocked(lab: Lab, alice: UserView) -> bool:
    view = lab.fleet.user(alice.id)
    return view.state == "blocked" and "limit.blocked" in view.over_limit.codes and not passes(view.tg_link) \
        and lab.seen(f"mtg-proxy-{view.port}").state == EXITED


def test_live_sessions_end_new_ones_are_refused_and_nobody_else_notices(lab, alice, bob):
    crosses(lab, alice)
    assert is_blocked(lab, alice)
    lab.monitor.tick()
    assert is_blocked(lab, alice) and lab.fleet.status().problems == []
    assert goes_on(bob)


def test_a_reset_lets_them_in_again_and_the_limit_holds_for_the_new_period(lab, alice, bob):
    crosses(lab, alice)
    lab.fleet.reset_traffic(alice.id, actor="test")
    view = lab.fleet.user(alice.id)
    assert view.state == RUNNING and view.period_down < 10_000 and passes(view.tg_link)
    lab.monitor.tick()
    assert passes(view.tg_link)
    crosses(lab, alice)
    assert is_blocked(lab, alice) and goes_on(bob)


def test_a_block_outlives_the_panel_and_a_start_by_hand(lab, alice, bob):
    crosses(lab, alice)
    lab.hands.start(f"mtg-proxy-{alice.port}")
    again = Fleet(lab.fleet.data_dir, lab.runtime, lab.fleet.engine)
    again.reconcile()
    assert is_blocked(lab, alice) and goes_on(bob)
    assert again.update_user(alice.id, {"limit_gb": "5"}).state == RUNNING and passes(alice.tg_link)
