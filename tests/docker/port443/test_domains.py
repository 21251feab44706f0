"""A change of a user's domain: the old link works beside the new one for the grace period, and no longer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from app.mtproto.links import parse_link
from tests.support import clients
from tests.support.docker_lab import eventually
from tests.support.lab443 import Stage
from tests.support.stream import BackgroundStream, Stream, passes

OLD, NEW = "www.example.com", "www.example.org"
DAY = 86400


@pytest.fixture
def stage(stage: Stage) -> Iterator[Stage]:
    yield stage
    stage.fleet.reconciler.clock = time.time


def move(link: str, size: int) -> None:
    """Download so many bytes, and upload half of them."""

    async def through() -> None:
        async with asyncio.timeout(60):
            stream = await Stream.open(link)
            await stream.download(size)
            await stream.upload(size // 2)
            await stream.close()

    asyncio.run(through())


def look(stage: Stage):
    stage.fleet.sample()
    return stage.fleet.user("Alice")


def test_the_old_link_works_beside_the_new_one_until_the_grace_period_is_over(stage):
    alice = stage.fleet.add_user("Alice", domain=OLD)
    bob = stage.fleet.add_user("Bob")
    with BackgroundStream(bob.tg_link, piece=20_000) as stranger:
        new = stage.fleet.update_user(alice.id, {"domain": NEW})
        assert parse_link(new.tg_link).secret.key == parse_link(alice.tg_link).secret.key
        assert (parse_link(new.tg_link).secret.domain, parse_link(alice.tg_link).secret.domain) == (NEW, OLD)
        assert [old.tg_link for old in new.old_links] == [alice.tg_link]
        for link in (alice.tg_link, new.tg_link):
            clients.tdjson(link)
            assert passes(link)

        # Both at once: a session of each, while the other's goes on.
        with BackgroundStream(alice.tg_link, piece=20_000) as by_old, \
                BackgroundStream(new.tg_link, piece=20_000) as by_new:
            # The sessions before were closed by the clients; the proxies notice a moment later.
            eventually(lambda: look(stage).connections == 2, "two sessions, one by each link")
            assert not by_old.finish().broken and not by_new.finish().broken

        stage.fleet.reconciler.clock = lambda: time.time() + 7 * DAY - 3600
        assert stage.fleet.reconcile() == [] and passes(alice.tg_link)
        stage.fleet.reconciler.clock = lambda: time.time() + 7 * DAY + 60
        stage.fleet.reconcile()
        assert not passes(alice.tg_link) and passes(new.tg_link)
        assert not stranger.finish().broken
    assert stage.fleet.user(alice.id).old_links == []
    assert sorted(o.name for o in stage.fleet.runtime.observe()) == sorted(
        f"mtg-proxy-{user.port}" for user in (alice, bob))


def test_the_traffic_of_both_links_is_billed_to_the_one_user_once_and_the_last_used_link_is_told(stage):
    alice = stage.fleet.add_user("Alice", domain=OLD)
    move(alice.tg_link, 1_000_000)
    new = stage.fleet.update_user(alice.id, {"domain": NEW})
    before = look(stage)
    assert before.link_last_used is None and before.old_links[0].last_used, "what was used is the old link"
    time.sleep(1.1)  # times are shown in whole seconds
    move(alice.tg_link, 2_000_000)
    seen = look(stage)
    assert seen.link_last_used is None and seen.old_links[0].last_used > before.old_links[0].last_used
    time.sleep(1.1)  # times are shown in whole seconds
    move(new.tg_link, 4_000_000)
    last = look(stage)
    assert last.old_links[0].last_used == seen.old_links[0].last_used < last.link_last_used

    stage.fleet.reconciler.clock = lambda: time.time() + 8 * DAY
    stage.fleet.reconcile()  # with the old link's container go its counters, not what they have counted
    stage.fleet.sample()
    total = stage.fleet.user(alice.id)
    assert total.bytes_down == pytest.approx(7_000_000, rel=0.01)
    assert total.bytes_up == pytest.approx(3_500_000, rel=0.01)
    assert (total.period_down, total.period_up) == (total.bytes_down, total.bytes_up)
    assert stage.fleet.status().bytes_down == total.bytes_down


def test_without_a_grace_period_the_old_link_ends_at_once_and_so_do_its_sessions(stage):
    stage.fleet.set_settings({"domain_grace_days": 0})
    alice = stage.fleet.add_user("Alice", domain=OLD)
    with BackgroundStream(alice.tg_link, piece=20_000) as session:
        new = stage.fleet.update_user(alice.id, {"domain": NEW})
        assert new.old_links == []
        assert session.wait_until_broken(60)
    assert not passes(alice.tg_link) and passes(new.tg_link)
