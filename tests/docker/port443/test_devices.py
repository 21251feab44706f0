"""A limit on the addresses of a user's link on port 443, where the engine sees nginx only: kept by nginx."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.control.monitor import Monitor
from tests.support import lab443
from tests.support.cover import free_port
from tests.support.lab443 import Stage
from tests.support.stream import Stream
from tests.support.telemt_lab import Clients


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Stage]:
    """As in conftest, with an nginx that has the module for it."""
    with lab443.stage(tmp_path_factory.mktemp("devices443"), image, panel_port=free_port(), newer=True) as stage:
        yield stage


@pytest.fixture
def phones() -> Iterator[list[str]]:
    with lab443.phones(4) as found:
        yield found


def comes(stage: Stage, clients: Clients, link: str, source: str) -> Stream | None:
    return lab443.comes(clients, stage.inside(link), source)


def test_a_third_address_is_refused_until_one_of_two_is_gone_and_the_panel_says_what_nginx_says(
        stage: Stage, phones: list[str]):
    alice, bob = stage.fleet.add_user("Alice", max_unique_ips="2"), stage.fleet.add_user("Bob")
    clients = Clients()
    held = {phone: comes(stage, clients, alice.tg_link, phone) for phone in phones[:2]}
    more = [comes(stage, clients, alice.tg_link, phones[0]) for _ in range(5)]
    assert all(held.values()) and all(more), "all devices behind one address are one"
    assert comes(stage, clients, alice.tg_link, phones[2]) is None
    others = [comes(stage, clients, bob.tg_link, phone) for phone in phones]
    assert all(others), "nobody else is limited"
    Monitor(stage.fleet).tick()
    view = stage.fleet.user("Alice")
    assert (view.addresses, view.most_addresses, view.state) == (2, 2, "running") and view.addresses_verified_at
    clients.do(held[phones[1]].close())
    began = time.monotonic()
    while (let_in := comes(stage, clients, alice.tg_link, phones[2])) is None:
        assert time.monotonic() - began < 20
    assert comes(stage, clients, alice.tg_link, phones[3]) is None
    stage.fleet.add_user("Carol")  # nginx reads a new configuration
    assert comes(stage, clients, alice.tg_link, phones[3]) is None
    assert all(clients.do(each.echo()) > 0 for each in (held[phones[0]], let_in, *more, *others))
    for each in (held[phones[0]], let_in, *more, *others):
        clients.do(each.close())
    clients.close()
