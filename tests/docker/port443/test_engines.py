"""The limit on addresses is the same with every engine, on port 443 and on ports of their own.

The built-in engine and telemt's stand-in always, the real mtg and telemt where MTG_BIN and TELEMT_BIN name them. mtg
itself can't count, so nginx or the kernel does; test_devices.py has it with the stand-in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator

import pytest

from app.control.records import UserView
from app.engines.telemt.engine import NAME as TELEMT
from app.lib import portmap
from app.mtproto.faketls_client import AnswerError
from app.mtproto.links import parse_link, tg_link
from tests.support import clients, lab443
from tests.support.cover import free_port
from tests.support.lab443 import Guest, Stage, served_by
from tests.support.stream import Stream, StreamBroken

pytestmark = pytest.mark.timeout(600)

ENGINES = ["builtin", "telemt's stand-in", *(["mtg"] if os.environ.get("REAL_MTG") else []),
           *(["telemt"] if os.environ.get("TELEMT_BIN") else [])]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Stage]:
    """As in conftest, with an nginx that has the module for limits."""
    with lab443.stage(tmp_path_factory.mktemp("engines"), image, panel_port=free_port(), newer=True) as stage:
        yield stage


@pytest.fixture(params=ENGINES)
def served(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Stage]:
    """The stage, with this engine for everybody."""
    with served_by(stage, request.param):
        yield stage


class Phone:
    """Somebody at an address of their own."""

    def __init__(self, stage: Stage) -> None:
        self.guest: Guest = stage.guest()
        self.loop = asyncio.new_event_loop()
        self.streams: list[Stream] = []

    def comes(self, link: str) -> bool:
        """Whether a session begins."""
        async def session() -> Stream:
            stream = await Stream.open(link)
            await stream.req_pq()
            return stream

        with contextlib.suppress(OSError, StreamBroken, AnswerError):
            self.streams.append(self.guest.run(lambda: self.loop.run_until_complete(session())))
            return True
        return False

    def lives(self) -> bool:
        return all(self.loop.run_until_complete(stream.echo()) > 0 for stream in self.streams)

    def leaves(self) -> None:
        for stream in self.streams:
            self.loop.run_until_complete(stream.close())
        self.streams.clear()


def link_for_guests(stage: Stage, user: UserView) -> str:
    """The way that a client has: to nginx on port 443, else to the container itself."""
    if stage.fleet.config().port_443_mode:
        return stage.inside(user.tg_link)
    name = TELEMT if user.served_by == "telemt" else f"mtg-proxy-{user.port}"
    return tg_link(stage.address(name), portmap.CLIENTS, parse_link(user.tg_link).secret)


@pytest.mark.parametrize("on_443", [True, False], ids=["port 443", "own ports"])
def test_a_third_address_is_refused_until_one_leaves_and_tdlib_and_kurigram_go_by_it(
        served: Stage, on_443: bool, record_property) -> None:
    served.fleet.set_settings({"port_443_mode": on_443, "shared_port": free_port()})
    link = link_for_guests(served, served.fleet.add_user("Alice", max_unique_ips="2"))
    bob = link_for_guests(served, served.fleet.add_user("Bob"))
    first, second, third = phones = [Phone(served) for _ in range(3)]
    assert first.comes(link) and second.comes(link) and all(first.comes(link) for _ in range(5))
    assert not third.comes(link)
    with pytest.raises(clients.ClientFailure):
        clients.tdjson(link, prefix=third.guest.prefix)
    assert third.comes(bob), "nobody else is limited"
    third.leaves()
    assert first.lives() and second.lives()
    first.leaves()
    left = time.monotonic()
    while not third.comes(link):
        assert time.monotonic() - left < 30
        time.sleep(0.05)
    record_property("seconds until one more was let in", waited := time.monotonic() - left)
    print(f"let in {waited:.2f} s after one left")
    assert not first.comes(link), "now that one is one too many"
    clients.tdjson(link, prefix=second.guest.prefix)
    third.guest.run(lambda: asyncio.run(clients.kurigram(link)))
    assert second.lives() and third.lives()
    for phone in phones:
        phone.leaves()
