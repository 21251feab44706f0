"""Everybody is moved from engine to engine, for real: every link works after each move, and bills stay right."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from app.control.moving import Moving
from app.control.records import UserView
from app.engines.base import by_name
from app.engines.builtin import SPEED_FILE, Builtin
from app.engines.mtg.engine import Mtg
from app.engines.telemt.engine import Telemt
from app.runtimes.base import RUNNING
from app.runtimes.process.runtime import ProcessRuntime
from tests.support.cover import Cover, free_port
from tests.support.dc import DataCenter
from tests.support.docker_lab import patient
from tests.support.fleet import Fleet
from tests.support.stream import Stream, passes
from tests.support.telemt_lab import program

USERS = 6
DOWN, UP = 300_000, 100_000


@pytest.fixture
def fleet(tmp_path: Path, dc: DataCenter, cover: Cover):
    mtg = tmp_path / "mtg"
    mtg.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app.builtin.server "$@"\n')
    mtg.chmod(0o755)
    runtime = patient(ProcessRuntime(tmp_path / "data", SPEED_FILE))
    fleet = Fleet(tmp_path / "data", runtime,
                  by_name(Mtg(str(mtg)), Builtin(), Telemt(program("stand-in", tmp_path))))
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
