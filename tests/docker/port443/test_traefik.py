"""Telegram's own clients through Traefik, which stands before nginx: the same links, and the same walls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from app.lib import portmap
from app.mtproto.links import parse_link, tg_link
from tests.support import clients, lab443
from tests.support.cover import free_port
from tests.support.docker_lab import eventually
from tests.support.lab443 import BASE, Stage
from tests.support.stream import BackgroundStream
from tests.support.telemt_lab import Clients


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Stage]:
    with lab443.stage(tmp_path_factory.mktemp("traefik"), image, panel_port=free_port(), traefik=True) as stage:
        yield stage


def test_tdlib_and_kurigram_reach_each_users_own_container_by_the_name_alone(routed: Stage):
    users = [routed.fleet.add_user(name) for name in ("Alice", "Bob", "Carol")]
    ports = [user.port for user in users]

    def billed() -> list[int]:
        told: list = []

        def over() -> bool:
            told[:] = [routed.counters(f"mtg-proxy-{port}") for port in ports]
            return not any(each.clients for each in told)

        eventually(over, "the clients' sessions end")
        return [each.down + each.up for each in told]

    for client in (clients.tdjson, lambda link: asyncio.run(clients.kurigram(link))):
        for number, user in enumerate(users):
            before = billed()
            client(user.tg_link)
            assert [after > then for after, then in zip(billed(), before)] == [other == number for other in range(3)]


def test_a_removed_users_stream_ends_and_another_users_lives_on(routed: Stage):
    gone, stays = routed.fleet.add_user("Gone"), routed.fleet.add_user("Stays")
    with BackgroundStream(gone.tg_link, piece=20_000) as ends, BackgroundStream(stays.tg_link, piece=20_000) as lives:
        routed.fleet.remove(gone.id)
        assert ends.wait_until_broken(60)
        assert not lives.finish().broken


def test_a_stranger_under_a_domain_of_ours_meets_the_cover_site(routed: Stage):
    routed.fleet.set_settings({"sni_mode": "own", "sni_base_domain": BASE})
    user = routed.fleet.add_user("Dora")
    routed.certify(BASE, user.domain)
    shown = [routed.lab.page(name, trusted=routed.authority.file) for name in (BASE, user.domain)]
    assert shown[0] == shown[1] and "<title>" in shown[0][1]
    clients.tdjson(user.tg_link)


@pytest.mark.parametrize("engine", ["builtin", "telemt's stand-in"])
def test_other_engines_serve_behind_it_and_keep_their_limit_as_they_see_each_clients_address(
        routed: Stage, engine: str):
    streams = Clients()
    with lab443.served_by(routed, engine), lab443.phones(3) as phones:
        alice = routed.fleet.add_user(f"Alice by {engine}", max_unique_ips="2")
        bob = routed.fleet.add_user(f"Bob by {engine}")
        router = routed.fleet.port443.edge
        link = tg_link(router.ip, portmap.ROUTER, parse_link(alice.tg_link).secret)
        held = {phone: lab443.comes(streams, link, phone) for phone in phones}
        assert [stream is not None for stream in held.values()] == [True, True, False]
        eventually(lambda: alice.domain in str(router.served().routers), "Traefik itself routes it")
        clients.tdjson(bob.tg_link)
        streams.do(held[phones[0]].close())
        eventually(lambda: lab443.comes(streams, link, phones[2]), "a place is free again")
        assert streams.do(held[phones[1]].echo()) > 0
    streams.close()
