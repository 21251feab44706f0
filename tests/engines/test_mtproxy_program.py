"""What the panel relies on MTProxy for: the stand-in always, and the real one where MTPROXY_BIN names it; both with a
middle proxy of ours (tests/support/middle)."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from app.config.model import Config, load
from app.engines.mtproxy import stats
from tests.bench.processes import rss_mb
from tests.support.clients import tdjson
from tests.support.cover import free_port
from tests.support.dc import DataCenter
from tests.support.middle import Caller, MiddleError, MiddleProxy, request_packet
from tests.support.mtproxy_lab import COVER_NAME, PROGRAMS, CoverSite, Program, captured, dissected, wait_for, words
from tests.support.stream import Stream, trouble

#: How long somebody who is to get no answer waits for one: MTProxy leaves strangers hanging.
PATIENCE = 4
KEYS = [f"{number:032x}" for number in range(1, 40)]
TAG = "abcdef0123456789" * 2
EE = f"ee{KEYS[2]}{COVER_NAME.encode().hex()}"

pytestmark = pytest.mark.parametrize("which", PROGRAMS)


@pytest.fixture(scope="module")
def center() -> Iterator[DataCenter]:
    center = DataCenter().start()
    yield center
    center.stop()


@pytest.fixture
def middle(center: DataCenter) -> Iterator[MiddleProxy]:
    middle = MiddleProxy(os.urandom(128), center.direct).start()
    yield middle
    middle.stop()


@pytest.fixture
def start(which: str, tmp_path: Path, middle: MiddleProxy) -> Iterator[object]:
    """Call it with secrets, and with settings: MTProxy runs with what the panel gives it."""
    running: list[Program] = []

    def start(*secrets: str, nat: str = "127.0.0.1:127.0.0.1", secret: bytes = b"", more: tuple[str, ...] = (),
              **settings: object) -> Program:
        config = config_of(secrets, **settings)
        arguments = [*words(config, free_port(), tmp_path, middle), *more]
        running.append(Program(which, tmp_path / f"program{len(running)}", arguments, middle, nat=nat, secret=secret))
        return running[-1]

    yield start
    for program in running:
        program.stop()


def config_of(secrets: tuple[str, ...], **settings: object) -> Config:
    users = [{"name": f"user {number}", "id": f"u{number}", "port": 3000 + number, "secret": secret}
             for number, secret in enumerate(secrets)]
    return load({"engine": "mtproxy", "mtproxy_connections": 500, **settings, "users": users})


def works(program: Program, secret: str) -> None:
    """Wait until it serves this secret: it takes clients before it has connected to Telegram."""
    wait_for(lambda: not trouble(program.link(secret), PATIENCE))


def moved(link: str, size: int = 3_000_000) -> None:
    """So many bytes each way, every one of them checked, and a message there and back."""

    async def move() -> None:
        stream = await Stream.open(link)
        await stream.req_pq()
        await stream.download(size)
        await stream.upload(size)
        assert await stream.echo() > 0
        await stream.close()

    asyncio.run(move())


def test_clients_of_plain_and_padded_secrets_move_bytes_and_tdlib_gets_its_answer(start, middle) -> None:
    program = start(KEYS[0], "dd" + KEYS[1]).ready()
    works(program, KEYS[0])
    for secret in (KEYS[0], "dd" + KEYS[1]):
        moved(program.link(secret))
        assert tdjson(program.link(secret)) > 0
    assert middle.handshakes and not middle.refused


def test_clients_of_secrets_with_a_domain_do_as_well_past_a_cover_site(start, middle, tmp_path) -> None:
    with CoverSite(tmp_path):
        program = start(EE).ready()
        works(program, EE)
        moved(program.link(EE))
        assert tdjson(program.link(EE)) > 0
        other = f"ee{KEYS[5]}{COVER_NAME.encode().hex()}"
        assert trouble(program.link(other), PATIENCE)
    assert not middle.refused


def test_another_key_gets_no_answer_and_nothing_of_it_reaches_telegram(start, middle, center) -> None:
    program = start("dd" + KEYS[0]).ready()
    works(program, "dd" + KEYS[0])
    asked = center.requests
    assert trouble(program.link("dd" + KEYS[1]), PATIENCE)
    assert center.requests == asked


def test_the_advertising_tag_reaches_telegram(start, middle) -> None:
    program = start("dd" + KEYS[0], proxy_tag=TAG).ready()
    works(program, "dd" + KEYS[0])
    assert set(middle.tags) == {TAG}


@pytest.mark.parametrize("workers", [0, 2])
def test_sixteen_keys_are_served_by_one_program_with_any_number_of_workers(start, workers) -> None:
    program = start(*("dd" + key for key in KEYS[:16]), mtproxy_workers=workers).ready()
    works(program, "dd" + KEYS[15])
    assert not trouble(program.link("dd" + KEYS[0]))


@pytest.mark.parametrize("more", [("-S", KEYS[16]), ("-S", KEYS[16][2:]), ("-S", "dd" + KEYS[16]), ("-P", "0123")])
def test_a_seventeenth_key_and_words_of_the_wrong_length_end_it(start, more) -> None:
    program = start(*("dd" + key for key in KEYS[:16]), more=more)
    wait_for(lambda: program.process.poll() is not None)
    assert program.process.returncode != 0 and program.said


def test_its_figures_are_those_that_the_panel_reads_and_are_told_to_this_machine_only(start) -> None:
    program = start("dd" + KEYS[0], mtproxy_workers=1).ready()
    works(program, "dd" + KEYS[0])

    async def hold() -> None:
        stream = await Stream.open(program.link("dd" + KEYS[0]))
        await stream.req_pq()
        # Workers tell the first process of theirs every now and then.
        for _ in range(200):
            told = stats.parse(program.figures() + "net_received\t1\nnet_sent\t1\n")
            if told.connections and told.created:
                break
            await asyncio.sleep(0.1)
        assert told.connections >= 1 and told.created >= 1 and told.uptime >= 0 and told.workers == 1
        await stream.close()

    asyncio.run(hold())
    others = [each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for address in set(others) - {"127.0.0.1"}:
        with pytest.raises((URLError, OSError)):
            urlopen(f"http://{address}:{program.stats_port}/stats", timeout=2)


def test_behind_nat_the_address_that_telegram_sees_decides(start, middle) -> None:
    """Both sides make their key of it: with another one than the real one, nothing works."""
    program = start("dd" + KEYS[0], nat="127.0.0.1:203.0.113.7").ready()
    assert trouble(program.link("dd" + KEYS[0]), PATIENCE)
    wait_for(lambda: middle.refused)
    assert not middle.handshakes


def test_with_another_proxy_secret_telegram_refuses_it(start, middle) -> None:
    program = start("dd" + KEYS[0], secret=os.urandom(128)).ready()
    assert trouble(program.link("dd" + KEYS[0]), PATIENCE)
    wait_for(lambda: middle.refused)
    assert not middle.handshakes


def test_a_client_by_ipv6_is_served(start) -> None:
    program = start("dd" + KEYS[0], more=("-6",)).ready()
    wait_for(lambda: not trouble(program.link("dd" + KEYS[0], "::1"), PATIENCE))
    assert not trouble(program.link("dd" + KEYS[0])), "and by IPv4 on the same port"


def test_a_hundred_clients_at_once_are_served_in_under_100_mb(start) -> None:
    program = start("dd" + KEYS[0], mtproxy_workers=1).ready()
    works(program, "dd" + KEYS[0])

    async def come() -> float:
        streams = await asyncio.gather(*(Stream.open(program.link("dd" + KEYS[0])) for _ in range(100)))
        await asyncio.gather(*(stream.req_pq() for stream in streams))
        memory = rss_mb(program.pid)
        await asyncio.gather(*(stream.close() for stream in streams))
        return memory

    assert asyncio.run(come()) < 100


def test_it_ends_when_it_is_asked_to(start) -> None:
    program = start("dd" + KEYS[0], mtproxy_workers=1).ready()
    assert program.stop() < 20


def test_who_listens_takes_padded_links_for_nothing_known_and_ee_links_for_visits_to_the_site(start, tmp_path) -> None:
    """nDPI as censors' equipment has it, and tshark, which knows no protocol of Telegram's at all."""
    with CoverSite(tmp_path):
        for secret, protocol, said in (("dd" + KEYS[0], "proto: 0/Unknown", "data"),
                                       (EE, "proto: 91/TLS", COVER_NAME)):
            program = start(secret).ready()
            works(program, secret)
            with captured(program.port, tmp_path / f"{secret[:2]}.pcap") as file:
                moved(program.link(secret), 300_000)
                assert tdjson(program.link(secret)) > 0
            flows = dissected(file)
            assert len(flows) >= 2 and all(protocol in flow for flow in flows), flows
            assert not [flow for flow in flows if re.search("telegram|mtproto", flow, re.IGNORECASE)], flows
            seen = subprocess.run(["tshark", "-n", "-r", file, "-d", f"tcp.port=={program.port},tls", "-V"]
                                  if secret == EE else ["tshark", "-n", "-r", file, "-V"],
                                  capture_output=True, text=True, check=True).stdout
            assert said in seen and not re.search("telegram|mtproto", seen, re.IGNORECASE)


def test_the_middle_proxy_refuses_a_key_of_another_secret_and_of_another_address(which, middle) -> None:
    host, port = middle.address.rsplit(":", 1)
    for secret, seen_as in ((os.urandom(128), ""), (middle.secret[:4] + os.urandom(124), ""),
                            (middle.secret, "203.0.113.7")):
        with pytest.raises((MiddleError, OSError)):
            Caller((host, int(port)), secret, seen_as, timeout=30)
    caller = Caller((host, int(port)), middle.secret)
    caller.put(request_packet(7, ("192.0.2.1", 5), ("127.0.0.1", 1), bytes(20) + b"\xf1\x8e\x7e\xbe" + bytes(16), TAG))
    assert caller.read()[8:16] == (7).to_bytes(8, "little")
    assert (dict(middle.clients), set(middle.tags)) == ({"192.0.2.1": 1}, {TAG})
    caller.socket.close()
