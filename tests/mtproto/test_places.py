"""Strangers who hold connections take no place from a user, and no memory that matters."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.builtin.places import Places, share_of
from tests.mtproto.parts import CoverHost, Engine, Visit, connect, read_some, shake_hands
from tests.mtproto.test_sessions import through
from tests.support.dc import DataCenter

Start = Callable[..., Engine]
StartCover = Callable[..., CoverHost]
#: Places of the engines here, and how many connections a stranger opens to take them.
PLACES, CROWD = 128, 600
MB = 1 << 20


@contextlib.contextmanager
def strangers(proxy: Engine, addresses: list[str], count: int, first: bytes = b"\x16") -> Iterator[list[socket.socket]]:
    """Hold connections from these loopback addresses in turn, each of which has sent a little."""
    held = []
    try:
        for number in range(count):
            sock = socket.socket()
            held.append(sock)
            sock.settimeout(60)
            sock.bind((addresses[number % len(addresses)], 0))
            sock.connect(("127.0.0.1", proxy.port))
            with contextlib.suppress(OSError):  # it may have been ended already
                sock.sendall(first)
        yield held
    finally:
        for sock in held:
            sock.close()


def still_open(held: list[socket.socket]) -> int:
    """How many of them the engine has not ended."""
    count = 0
    for sock in held:
        sock.setblocking(False)
        try:
            count += bool(sock.recv(1))
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


ONE = ["127.0.0.2"]
MANY = [f"127.0.1.{number}" for number in range(1, 200)]


@pytest.mark.parametrize("addresses", [ONE, MANY], ids=["one address", "199 addresses"])
def test_a_crowd_of_one_byte_connections_locks_nobody_out(
    addresses: list[str], engine: Start, dc: DataCenter
) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], concurrency=PLACES)
    with strangers(proxy, addresses, CROWD) as held:
        for _ in range(20):
            through(proxy, lambda stream: stream.req_pq())
        most = PLACES // 16 if addresses is ONE else PLACES // 2
        assert proxy.metric("mtg_client_connections") <= most
        assert 0 < still_open(held) <= most
    assert proxy.metric("builtin_ended_early") >= CROWD - PLACES // 2
    proxy.wait_until_idle()


def test_the_user_behind_the_strangers_own_address_is_let_in_too(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], concurrency=PLACES)
    with strangers(proxy, ["127.0.0.1"], CROWD):
        for _ in range(20):
            through(proxy, lambda stream: stream.req_pq())


def test_a_thousand_users_behind_one_address_are_no_crowd(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], concurrency=PLACES)
    with contextlib.ExitStack() as stack:
        for _ in range(PLACES):
            stack.enter_context(shake_hands(proxy))
        assert proxy.metric("builtin_ended_early") == 0
        assert proxy.metric("mtg_client_connections") == PLACES


def test_a_proven_client_is_never_ended_for_strangers(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], concurrency=PLACES)

    async def beside_a_crowd(stream: object) -> None:
        await stream.echo()
        with strangers(proxy, MANY, CROWD):
            await stream.download(MB)

    through(proxy, beside_a_crowd)


@pytest.mark.parametrize("addresses", [ONE, MANY], ids=["one address", "199 addresses"])
def test_visitors_that_the_cover_host_keeps_for_ever_lock_nobody_out(
    addresses: list[str], engine: Start, cover_host: StartCover, dc: DataCenter
) -> None:
    host = cover_host()
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], cover_port=host.port, concurrency=PLACES)
    with strangers(proxy, addresses, CROWD, b"GET / HTTP/1.1\r\n") as held:
        most = 8 if addresses is ONE else PLACES // 4
        proxy.wait_for(lambda: proxy.metric("mtg_domain_fronting") >= most)
        for _ in range(20):
            through(proxy, lambda stream: stream.req_pq())
        # What was just ended may be on its way out.
        proxy.wait_for(lambda: proxy.metric("mtg_client_connections") <= most)
        assert held


def test_a_visitor_of_the_cover_host_has_an_end_however_busy(engine: Start, cover_host: StartCover) -> None:
    proxy = engine(cover_port=cover_host().port, idle="200ms")
    with connect(proxy) as busy, connect(proxy) as silent:
        silent.sendall(b"x")
        answers = 0
        with contextlib.suppress(ConnectionError):
            while True:
                busy.sendall(b"y")
                if not busy.recv(1):
                    break
                answers += 1
        assert answers > 10
        silent.settimeout(60)
        assert silent.recv(1) and not silent.recv(1)
    proxy.wait_until_idle()


@pytest.mark.parametrize("version", [4, 6])
def test_behind_nginx_the_address_of_the_proxy_header_has_the_share(
    version: int, engine: Start, dc: DataCenter
) -> None:
    proxy = engine(concurrency=PLACES, **{"proxy-protocol-listener": True})

    def header(number: int) -> bytes:
        if version == 4:
            return b"PROXY TCP4 192.0.2.7 192.0.2.1 %d 443\r\n" % (1000 + number)
        return b"PROXY TCP6 2001:db8::%x 2001:db8:1::1 %d 443\r\n" % (number + 1, 1000 + number)

    with contextlib.ExitStack() as stack:
        held = []
        for number in range(40):
            sock = stack.enter_context(connect(proxy))
            sock.sendall(header(number) + b"\x16")
            held.append(sock)
        other = stack.enter_context(connect(proxy))
        other.sendall(b"PROXY TCP4 198.51.100.1 192.0.2.1 5 443\r\n\x16")
        proxy.wait_for(lambda: proxy.metric("builtin_ended_early", share="address") == 40 - 8)
        proxy.wait_for(lambda: proxy.metric("mtg_client_connections") == 9)
        assert still_open([other]) == 1 and still_open(held) == 8
        assert still_open(held[-8:]) == 8, "the oldest go first"


def test_few_file_descriptors_are_fewer_places_and_no_lock_out(tmp_path: object, engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], concurrency=4096, max_files=512)
    assert "512 open files" in proxy.log() and "concurrency = 4096" in proxy.log()
    with strangers(proxy, MANY, CROWD):
        for _ in range(5):
            through(proxy, lambda stream: stream.req_pq())
    assert "can't accept" not in proxy.log()


def unfinished_hello(size: int) -> bytes:
    """The most that fits before the engine knows that it is no client: tiny records of one long hello."""
    message = b"\x01" + struct.pack(">I", 32_000)[1:] + random.Random(5).randbytes(32_000)
    pieces = [message[start : start + 4000] for start in range(0, size, 4000)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece for piece in pieces)


@pytest.mark.parametrize("kind", ["a long hello", "a hello in tiny records"])
def test_what_strangers_send_is_not_kept(kind: str, engine: Start, cover_host: StartCover) -> None:
    """Before: some 90 KB for each of them, for as long as the cover host allowed."""

    def script(visit: Visit) -> None:
        while read_some(visit):
            pass

    message = b"\x01\x00\x1f\xf0" + random.Random(5).randbytes(8000)
    first = {
        "a long hello": unfinished_hello(31_000),
        "a hello in tiny records": b"".join(b"\x16\x03\x01\x00\x02" + message[i : i + 2] for i in range(0, 8000, 2)),
    }[kind]
    count = 250
    proxy = engine(cover_port=cover_host(script).port, concurrency=4096, handshake="1s")
    with strangers(proxy, MANY, 20, first):
        proxy.wait_for(lambda: proxy.metric("mtg_domain_fronting_connections") == 20)
    proxy.wait_until_idle()
    before = proxy.rss()
    with strangers(proxy, MANY, count, first):
        proxy.wait_for(lambda: proxy.metric("mtg_domain_fronting_connections") == count)
        grown = proxy.rss() - before
    assert grown / count < 40_000, f"{grown / count:.0f} bytes each"


class Guest:
    """A holder that notes its end."""

    def __init__(self) -> None:
        self.ended = False

    def end(self) -> None:
        self.ended = True


@settings(max_examples=60)
@given(st.integers(1, 200),
       st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 400)), max_size=400))
def test_places_never_exceed_their_bounds_and_end_no_proven_holder(
    total: int, steps: list[tuple[int, int, int]]
) -> None:
    places, inside, proven, addresses = Places(total), [], set(), {}
    for verb, address, which in steps:
        if verb <= 2:
            guest = Guest()
            name = "" if verb == 2 else f"address {address}"
            before = {held for held in inside if not held.ended}
            if places.enter(guest, name):
                inside.append(guest)
                addresses[guest] = name
            else:
                assert len(before) == len(before & proven) == total, "refused only when all are proven"
        elif inside:
            guest = inside[which % len(inside)]
            if verb == 3:
                places.prove(guest)
                if not guest.ended:
                    proven.add(guest) if guest in places._proven else None
            elif verb == 4:
                places.front(guest)
            else:
                places.leave(guest)
                inside.remove(guest)
                proven.discard(guest)
        held = [guest for guest in inside if not guest.ended]
        assert len(places) == len(held) <= total
        assert not any(guest.ended for guest in proven)
    for guest in inside:
        places.leave(guest)
    assert len(places) == 0 and not places._unproven._by_address and not places._fronted._by_address


def test_ten_times_the_connections_take_no_longer_each() -> None:
    """Counted in steps of the interpreter, not in seconds."""

    def steps(total: int) -> float:
        places, count = Places(total), 0

        def trace(frame: object, event: str, argument: object) -> object:
            nonlocal count
            count += event == "line"
            return trace

        guests = [Guest() for _ in range(2 * total)]
        sys.settrace(trace)
        try:
            for number, guest in enumerate(guests):
                places.enter(guest, str(number % 50))
        finally:
            sys.settrace(None)
        return count / len(guests)

    assert steps(4000) < 1.5 * steps(400)


@pytest.mark.parametrize(
    ("host", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_an_ipv4_address_and_an_ipv6_64_have_a_share_each(host: str, other: str, same: bool) -> None:
    assert (share_of(host) == share_of(other)) is same
