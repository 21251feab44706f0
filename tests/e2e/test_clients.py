"""Telegram clients that are not ours, through the built-in engine, to the test DC."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.mtproto.links import tg_link
from app.mtproto.secret import PADDED, PLAIN, Secret
from tests.support.clients import ClientFailure, kurigram, mtcute, tdjson, telethon
from tests.support.cover import Cover
from tests.support.dc import DataCenter
from tests.support.engine import Engine

#: Telegram's own addresses of its DCs (core.telegram.org, TDLib), written down apart from app/builtin/dc.py.
ADDRESSES = {
    1: {"149.154.175.50", "149.154.175.53"},
    2: {"149.154.167.51", "149.154.167.50", "95.161.76.100"},
    3: {"149.154.175.100"},
    4: {"149.154.167.91", "149.154.167.92"},
    5: {"149.154.171.5", "91.108.56.130"},
    203: {"91.105.192.100"},
}


def run_kurigram(link: str, **options: object) -> float:
    return asyncio.run(kurigram(link, **options))


def one_wrong_digit(secret: Secret, position: int) -> Secret:
    """The secret with another hex digit at this position (0 to 31) of its key."""
    digits = list(secret.key.hex())
    digits[position] = "0" if digits[position] != "0" else "1"
    return Secret(secret.kind, bytes.fromhex("".join(digits)), secret.domain)


@pytest.mark.parametrize("client", [tdjson, run_kurigram, mtcute])
def test_a_client_with_the_link_gets_its_res_pq(
    client: Callable[[str], float], engine: Engine, dc: DataCenter, cover: Cover
) -> None:
    fronted = cover.accepted()
    assert client(engine.link) > 0
    assert dc.requests >= 1
    assert dc.problems == []
    assert cover.accepted() == fronted


@pytest.mark.parametrize("position", [0, 17, 31])
@pytest.mark.parametrize("client", [tdjson, run_kurigram, mtcute])
def test_one_wrong_hex_digit_leads_to_the_cover_host_and_never_to_telegram(
    client: Callable[[str], float], position: int, engine: Engine, dc: DataCenter, cover: Cover
) -> None:
    fronted = cover.accepted()
    with pytest.raises(ClientFailure, match="hash mismatch|without knowing the proxy secret|hash is invalid"):
        client(engine.link_with(one_wrong_digit(engine.secret, position)))
    assert cover.accepted() > fronted
    assert dc.sessions == []


@pytest.mark.parametrize("kind", [PADDED, PLAIN])
@pytest.mark.parametrize("client", [tdjson, run_kurigram, mtcute])
def test_clients_also_pass_with_dd_and_plain_secrets(
    client: Callable[[str], float], kind: str, start_engine: Callable[..., Engine], dc: DataCenter
) -> None:
    engine = start_engine(secret=Secret(kind, os.urandom(16)))
    assert client(engine.link) > 0
    assert dc.requests >= 1


@pytest.mark.parametrize(
    "kind, encodings", [(PADDED, ["padded"]), (PLAIN, ["abridged", "intermediate", "padded"])]
)
def test_telethon_passes_in_every_packet_encoding_its_secret_allows(
    kind: str, encodings: list[str], start_engine: Callable[..., Engine], dc: DataCenter
) -> None:
    # telethon takes a plain secret that happens to start with dd or ee for one with a prefix.
    engine = start_engine(secret=Secret(kind, b"\x01" + os.urandom(15)))

    async def all_encodings() -> None:
        await asyncio.gather(*(telethon(engine.link, encoding) for encoding in encodings))

    asyncio.run(all_encodings())
    assert dc.requests == len(encodings)
    assert dc.problems == []


def test_a_hundred_kurigram_clients_at_once_all_pass(engine: Engine, dc: DataCenter) -> None:
    async def crowd() -> list[float]:
        return await asyncio.gather(*(kurigram(engine.link, timeout=150) for _ in range(100)))

    assert len(asyncio.run(crowd())) == 100
    assert dc.requests == 100
    assert len(dc.sessions) == 100


def test_ten_tdlib_clients_at_once_all_pass(engine: Engine, dc: DataCenter) -> None:
    with ThreadPoolExecutor(10) as pool:
        times = list(pool.map(lambda _: tdjson(engine.link), range(10)))
    assert len(times) == 10
    assert len(dc.sessions) == 10 and all(session.requests for session in dc.sessions)


@pytest.mark.parametrize("media", [False, True])
def test_every_dc_is_reached_at_its_own_address_and_media_dcs_at_that_of_their_number(
    media: bool, engine: Engine, dc: DataCenter
) -> None:
    for number, addresses in ADDRESSES.items():
        run_kurigram(engine.link, dc=number, media=media)
        session = dc.sessions[-1]
        assert session.requests == 1
        assert session.host in addresses and session.port == 443


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: apt-get install strace")
def test_tdlib_as_we_run_it_talks_to_nothing_but_the_proxy(engine: Engine, tmp_path: Path) -> None:
    trace = tmp_path / "strace"
    tdjson(
        engine.link, prefix=("strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmmsg", "-o", str(trace))
    )
    calls = [line for line in trace.read_text().splitlines() if "sa_family=AF_INET" in line]
    targets = {re.search(r"htons\((\d+)\).*?\"([^\"]+)\"", line).groups() for line in calls}
    assert targets == {(str(engine.port), "127.0.0.1")}


def test_clients_reach_a_proxy_by_its_ipv6_address(
    start_engine: Callable[..., Engine], dc: DataCenter
) -> None:
    engine = start_engine(ip="::1")
    assert run_kurigram(engine.link) > 0
    assert tdjson(engine.link) > 0
    assert dc.requests >= 2


def test_a_dual_stack_listener_serves_ipv4_and_ipv6(
    start_engine: Callable[..., Engine], dc: DataCenter
) -> None:
    engine = start_engine(ip="::")
    for server in ("127.0.0.1", "::1"):
        assert run_kurigram(tg_link(server, engine.port, engine.secret)) > 0
    assert dc.requests == 2
