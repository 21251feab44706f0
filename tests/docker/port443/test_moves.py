"""Users are moved from engine to engine behind the real nginx: links stay, others notice nothing, failures stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from app.control.moving import Moving
from app.control.records import UserView
from app.engines.base import by_name
from app.engines.builtin import BuiltinImage
from app.engines.mtg.engine import MtgImage
from app.engines.telemt.engine import NAME, TelemtImage
from app.messages import Problem
from app.mtproto.probe import HANDSHAKE, ProbeError
from app.runtimes.base import RUNNING
from tests.support import clients
from tests.support.docker_lab import builtin_image, telemt_image
from tests.support.lab443 import Stage
from tests.support.restless import Restless
from tests.support.stream import BackgroundStream, trouble
from tests.support.telemt_lab import PROGRAMS

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=PROGRAMS)
def engines(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Stage]:
    """The stage, whose users begin with mtg and may have any engine."""
    fleet = stage.fleet
    before = dict(fleet.engines)
    fleet.engines.clear()
    fleet.engines.update(by_name(MtgImage(), TelemtImage(), BuiltinImage(builtin_image())))
    fleet.set_settings({"telemt_image": telemt_image(request.param)})
    yield stage
    fleet.set_settings({"engine": ""})
    fleet.engines.clear()
    fleet.engines.update(before)


def kurigram(link: str) -> float:
    return asyncio.run(clients.kurigram(link))


def told(user: UserView) -> str:
    return " ".join(map(str, user.hints))


def runs(stage: Stage) -> dict[str, str]:
    return {each.name: each.engine for each in stage.fleet.runtime.observe() if each.state == RUNNING}


@pytest.fixture
def moved(engines: Stage) -> Iterator[Callable[[str], None]]:
    """Call it to move everybody, while they connect again and again: nobody is without a proxy for a moment."""
    fleet = engines.fleet
    names = ("Alice", "Bob", "Carol")
    links = {name: fleet.add_user(name).tg_link for name in names}
    with Restless(0.2) as people:
        people.use({name: [link] for name, link in links.items()})
        people.wait()

        def move(engine: str) -> None:
            people.use({name: [link] for name, link in links.items()})
            fleet.set_settings({"engine": engine})
            for outcome in Moving(fleet).step():
                assert outcome.ok, outcome
            users = {user.name: user for user in fleet.users()}
            assert [(users[name].served_by, users[name].hints) for name in names] == [(engine, [])] * 3
            assert {name: users[name].tg_link for name in names} == links
            for name, seen in people.wait().items():
                assert seen.in_a_row <= 1, f"{name} was without a proxy on the way to {engine}: {seen}"

        yield move


def test_links_and_a_stranger_s_stream_live_through_all_moves(
        engines: Stage, moved: Callable[[str], None]) -> None:
    fleet = engines.fleet
    dora = fleet.add_user("Dora", engine="mtg")
    with BackgroundStream(dora.tg_link, piece=20_000, pause=0.1) as hers:
        for engine in ("telemt", "builtin", "mtg"):
            moved(engine)
            expected = {NAME: "telemt"} if engine == "telemt" else {
                f"mtg-proxy-{user.port}": engine for user in fleet.users()}
            assert runs(engines) == {**expected, f"mtg-proxy-{dora.port}": "mtg"}
            for user in fleet.users():
                assert not trouble(user.tg_link), (engine, user.name)
            for client in (clients.tdjson, kurigram):
                client(fleet.user("Alice").tg_link)
        report = hers.finish()
    assert not report.broken and report.rounds > 5


def test_who_can_not_be_moved_stays_and_is_told_why(engines: Stage) -> None:
    fleet = engines.fleet
    alice, bob = fleet.add_user("Alice"), fleet.add_user("Bob")

    def prove(link: object, config: object) -> None:
        raise ProbeError(HANDSHAKE, Problem("probe.clock_off", {"off": "600 s behind"}))

    before = {each.name: each.run_id for each in fleet.runtime.observe()}
    fleet.set_settings({"engine": "telemt"})
    with BackgroundStream(alice.tg_link, piece=20_000, pause=0.1) as hers:
        Moving(fleet, prove).step()
        assert "stays with mtg" in told(fleet.user("Alice")) and "600 s" in told(fleet.user("Alice"))
        assert {each.name: each.run_id for each in fleet.runtime.observe()} == before
        assert not trouble(alice.tg_link) and not trouble(bob.tg_link)
        assert not hers.finish().broken


def test_while_nginx_is_away_nobody_is_moved_and_all_are_when_it_is_back(engines: Stage) -> None:
    fleet, lab = engines.fleet, engines.lab
    alice = fleet.add_user("Alice")
    (before,) = fleet.runtime.observe()
    engines.hands.pause(lab.container)
    try:
        fleet.set_settings({"engine": "telemt"})
        moving = Moving(fleet)
        moving.step()
        assert "stays with mtg" in told(fleet.user("Alice")) and "nginx" in told(fleet.user("Alice"))
        assert before.run_id in {each.run_id for each in fleet.runtime.observe()}
    finally:
        engines.hands.unpause(lab.container)
    assert not trouble(alice.tg_link)
    moving.step(respect_backoff=False)
    assert fleet.user("Alice").served_by == "telemt" and not trouble(alice.tg_link)
    assert runs(engines) == {NAME: "telemt"}
