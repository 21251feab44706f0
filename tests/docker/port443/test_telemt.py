"""telemt behind nginx on port 443: the stand-in always, and the real one where TELEMT_BIN names its program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from app.engines.base import by_name
from app.engines.mtg.engine import MtgImage
from app.engines.telemt import live
from app.engines.telemt.engine import NAME, TelemtImage
from app.lib import portmap
from app.runtimes.base import RUNNING
from tests.support import clients
from tests.support.docker_lab import eventually, telemt_image
from tests.support.lab443 import Stage
from tests.support.stream import BackgroundStream, trouble
from tests.support.telemt_lab import PROGRAMS


@pytest.fixture(params=PROGRAMS)
def telemt(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Stage]:
    """The stage, with telemt for everybody."""
    fleet = stage.fleet
    before = dict(fleet.engines)
    fleet.engines.clear()
    fleet.engines.update(by_name(TelemtImage(), MtgImage()))
    fleet.set_settings({"telemt_image": telemt_image(request.param)})
    yield stage
    fleet.engines.clear()
    fleet.engines.update(before)


pytestmark = pytest.mark.timeout(600)


def kurigram(link: str) -> float:
    return asyncio.run(clients.kurigram(link))


def billed(stage: Stage) -> dict[str, int]:
    """The bytes of each user, once the last session is over."""
    def over() -> bool:
        stage.fleet.sample()
        return not any(user.connections for user in stage.fleet.users())

    eventually(over, "the clients' sessions end")
    return {user.name: user.bytes_down + user.bytes_up for user in stage.fleet.users()}


@pytest.mark.parametrize("client", [clients.tdjson, kurigram, clients.mtcute], ids=["tdlib", "kurigram", "mtcute"])
def test_telegram_s_clients_reach_telemt_by_the_name_alone_and_each_is_billed(
        telemt: Stage, client: Callable[[str], float]) -> None:
    users = [telemt.fleet.add_user(name) for name in ("Alice", "Bob", "Carol")]
    assert len({user.domain for user in users}) == 3
    for user in users:
        before = billed(telemt)
        client(user.tg_link)
        after = billed(telemt)
        assert [name for name in after if after[name] > before[name]] == [user.name]
    assert [o.name for o in telemt.fleet.runtime.observe()] == [NAME]


def test_it_knows_the_address_that_a_client_itself_has_and_believes_nobody_but_nginx(telemt: Stage) -> None:
    alice = telemt.fleet.add_user("Alice")
    guest = telemt.guest()
    clients.tdjson(telemt.inside(alice.tg_link), prefix=guest.prefix)
    link = alice.tg_link.replace(f"server=127.0.0.1&port={telemt.public}&",
                                 f"server={telemt.address(NAME)}&port={portmap.CLIENTS}&")
    assert guest.run(lambda: trouble(link)), "straight to it, past nginx"
    assert not trouble(alice.tg_link)


def test_a_stranger_s_stream_lives_through_changes_of_others_and_of_nginx(telemt: Stage) -> None:
    fleet = telemt.fleet
    alice, bob = fleet.add_user("Alice"), fleet.add_user("Bob")
    (before,) = fleet.runtime.observe()
    with BackgroundStream(alice.tg_link, piece=50_000, pause=0.05) as hers:
        for number in range(3):
            fleet.disable("Bob")
            fleet.enable("Bob")
            fleet.rotate("Bob")
            fleet.add_user(f"User {number}")
        assert not trouble(fleet.user("Bob").tg_link) and trouble(bob.tg_link)
        report = hers.finish()
    assert not report.broken and report.rounds > 5
    (after,) = fleet.runtime.observe()
    assert (after.state, after.run_id) == (RUNNING, before.run_id)
    assert live.parse(fleet.runtime.held(NAME)[live.FILE]).disabled == []
