"""Everybody is moved from engine to engine, for real: every link works after each move, and bills stay right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.control.moving import Moving
from app.control.records import UserView
from app.engines.base import by_name
from app.engines.builtin import SPEED_FILE, Builtin
from app.engines.mtg.engine import Mtg
from app.engines.telemt.engine import Telemt
from app.mtproto.links import parse_link, tg_link
from app.runtimes.base import RUNNING
from app.runtimes.process.runtime import ProcessRuntime
from tests.support.cover import Cover, free_port
from tests.support.dc import DataCenter
from tests.support.docker_lab import patient
from tests.support.fleet import Fleet
from tests.support.restless import SPEED, Restless
from tests.support.stream import Stream, passes
from tests.support.telemt_lab import builtin_as_mtg, program

USERS = 6
DOWN, UP = 300_000, 100_000


@pytest.fixture
def fleet(tmp_path: Path, dc: DataCenter, cover: Cover):
    runtime = patient(ProcessRuntime(tmp_path / "data", SPEED_FILE))
    fleet = Fleet(tmp_path / "data", runtime,
                  by_name(Mtg(builtin_as_mtg(tmp_path)), Builtin(), Telemt(program("stand-in", tmp_path))))
    fleet.set_settings({
        "proxy_bind": "127.0.0.1", "server_ip": "127.0.0.1", "shared_port": free_port(), "proxy_port": free_port(),
        "upstream_socks5": dc.socks5, "domain_fronting_ip": cover.ip, "domain_fronting_port": cover.port,
        "fake_tls_domain": cover.host, "move_changes_links": True})
    yield fleet
    for observed in runtime.observe():
        runtime.remove(observed.name)


async def move_bytes(user: UserView) -> None:
    async with asyncio.timeout(90):
        stream = await Stream.open(user.tg_link)
        await stream.download(DOWN)
        await stream.upload(UP)
        await stream.close()


def test_every_link_works_after_each_move_and_bills_are_right(fleet: Fleet) -> None:
    for number in range(USERS):
        fleet.add_user(f"User {number}")
    links = {user.name: user.tg_link for user in fleet.users()}
    for rounds, engine in enumerate(("mtg", "telemt", "builtin", "mtg"), 1):
        fleet.set_settings({"engine": engine})
        for outcome in Moving(fleet).step():
            assert outcome.ok, outcome
        users = fleet.users()
        assert [(user.served_by, user.hints) for user in users] == [(engine, [])] * USERS
        running = [each for each in fleet.runtime.observe() if each.state == RUNNING]
        assert {each.engine for each in running} == {engine}
        assert len(running) == (1 if engine == "telemt" else USERS)
        for user in users:
            assert passes(user.tg_link), user.name
            asyncio.run(move_bytes(user))
        fleet.sample()
        for user in fleet.users():
            assert user.bytes_down == pytest.approx(rounds * DOWN, rel=0.01)
            assert user.bytes_up == pytest.approx(rounds * UP, rel=0.01)
    assert {user.name: user.tg_link for user in fleet.users()} == links


def test_under_load_a_link_is_served_through_all_moves_and_every_byte_is_billed(fleet: Fleet) -> None:
    """Nothing runs that would repair it later. How long a link is away is measured by tests/bench/moves.py."""
    for number in range(USERS):
        fleet.add_user(f"User {number}")
    shared = fleet.config().shared_port
    ways = {user.name: [tg_link("127.0.0.1", port, parse_link(user.tg_link).secret) for port in (user.port, shared)]
            for user in fleet.users()}
    with Restless(0.2, 0.03) as people:
        people.use(ways)
        people.wait()
        for engine in ("telemt", "builtin", "mtg"):
            people.use(ways)
            fleet.set_settings({"engine": engine})
            for outcome in Moving(fleet).step():
                assert outcome.ok, outcome
            for name, seen in people.wait().items():
                # From builtin to mtg the port is the same, and a moment passes between the two.
                assert engine == "mtg" or seen.in_a_row <= 1, f"{name} on the way to {engine}: {seen}"
            fleet.sample()
        people.wait(more=10)
        people.use({name: [] for name in ways})
        people.rest()
        told = people.told()
    fleet.sample()
    for user in fleet.users():
        moved, unsure = told[user.name].moved, told[user.name].unsure
        # What passes between the last look at a proxy and its end is not: of each of three, a tenth of a second.
        assert (moved - unsure) * 0.99 - 3 * 0.1 * 2 * SPEED <= user.bytes_down + user.bytes_up <= moved * 1.01
