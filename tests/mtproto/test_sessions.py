"""Clients through a running engine to the test DC: every encoding, upstreams, limits, ends."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from app.mtproto import obfuscated2
from app.mtproto.records import FIRST_RECORD, FULL_RECORD
from app.mtproto.secret import Secret
from tests.mtproto.parts import SECRET, CoverHost, Engine, connect, open_session, read_to_end, shake_hands
from tests.support.dc import DataCenter
from tests.support.stream import Stream

Start = Callable[..., Engine]
PLAIN, PADDED = Secret.parse("ab" * 16), Secret.parse("dd" + "ab" * 16)
MB = 1_000_000


def through(proxy: Engine, work: Callable[[Stream], object], **options: object) -> object:
    """Open a stream through the engine and run work(stream) on it."""

    async def run() -> object:
        stream = await Stream.open(proxy.link, **options)
        try:
            return await work(stream)
        finally:
            await stream.close()

    return asyncio.run(run())


async def until_it_takes(least: float, most: float, seconds: Callable[[], Awaitable[float]]) -> None:
    """A busy machine may make it take longer, for a while; nothing makes it take less."""
    deadline = time.monotonic() + 60
    while not least < (took := await seconds()) < most:
        assert least < took and time.monotonic() < deadline, f"{took:.2f} s, not {least} to {most}"


async def all_of_it(stream: Stream) -> None:
    await stream.req_pq()
    await stream.echo(10)
    await stream.upload(3 * MB)
    await stream.download(3 * MB)
    await stream.echo(100_000)


@pytest.mark.parametrize("tag", obfuscated2.TAGS, ids=["abridged", "intermediate", "padded"])
@pytest.mark.parametrize("secret", [SECRET, PADDED, PLAIN], ids=["ee", "dd", "plain"])
def test_every_encoding_passes_under_every_kind_of_secret(
    secret: Secret, tag: bytes, engine: Start, dc: DataCenter
) -> None:
    proxy = engine(secret=secret, upstream=[f"socks5://{dc.socks5}"])
    through(proxy, all_of_it, tag=tag)
    proxy.wait_until_idle()
    (session,) = dc.sessions
    assert (session.tag, session.dc, dc.problems) == (tag.hex(), 2, [])
    down = proxy.metric("mtg_telegram_traffic", direction="to_client", dc="2", telegram_ip="149.154.167.51")
    up = proxy.metric("mtg_telegram_traffic", direction="from_client", dc="2")
    assert (down, up) == (session.bytes_out, session.bytes_in - 64)
    assert proxy.metric("mtg_domain_fronting") == 0


@pytest.mark.parametrize(
    ("dc_id", "prefer_ip", "address"),
    [
        (1, "prefer-ipv4", "149.154.175.50"),
        (-4, "prefer-ipv4", "149.154.167.91"),
        (203, "only-ipv4", "91.105.192.100"),
        (-203, "prefer-ipv6", "2a0a:f280:203:a:5000::100"),
        (5, "only-ipv6", "2001:b28:f23f:f005::a"),
        (0, "prefer-ipv4", "149.154.167.51"),
    ],
)
def test_the_data_centre_that_the_client_asks_for_is_called(
    dc_id: int, prefer_ip: str, address: str, engine: Start, dc: DataCenter
) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], **{"prefer-ip": prefer_ip})
    through(proxy, lambda stream: stream.req_pq(), dc=dc_id)
    (session,) = dc.sessions
    assert (session.host, session.port, session.dc) == (address, 443, dc_id or 2)


def test_an_unknown_data_centre_is_refused_or_replaced_as_configured(engine: Start, dc: DataCenter) -> None:
    upstream = [f"socks5://{dc.socks5}"]
    strict = engine(upstream=upstream)
    with open_session(strict, dc=77) as sock:
        assert read_to_end(sock) == b""
    assert "DC 77, which is unknown" in strict.log() and not dc.sessions
    strict.wait_until_idle()
    lenient = engine(upstream=upstream, **{"allow-fallback-on-unknown-dc": True})
    through(lenient, lambda stream: stream.req_pq(), dc=77)
    assert (dc.sessions[0].host, dc.sessions[0].dc) == ("149.154.167.51", 2)


def test_the_upstream_gets_user_and_password_and_its_refusals_are_told(engine: Start) -> None:
    guarded = DataCenter(user="us@er", password="p:ss").start()
    try:
        good = engine(upstream=[f"socks5://us%40er:p%3Ass@{guarded.socks5}"])
        through(good, lambda stream: stream.req_pq())
        for login in ("us%40er:wrong@", ""):
            proxy = engine(upstream=[f"socks5://{login}{guarded.socks5}"])
            with open_session(proxy) as sock:
                assert read_to_end(sock) == b""
            words = "refused the user or password" if login else "wants a user and password"
            proxy.wait_for(lambda: "DC 2 can't be reached" in proxy.log())
            said = proxy.log()
            assert f"socks5://{guarded.socks5} " in said and (words in said or "does not accept" in said)
            assert "wrong" not in said and "p%3Ass" not in said
            proxy.wait_until_idle()
        guarded.mode = "refuse"
        with open_session(good) as sock:
            assert read_to_end(sock) == b""
        expected = f"socks5://{guarded.socks5} refused 149.154.167.51 port 443: connection refused (reply 5)"
        good.wait_for(lambda: expected in good.log())
    finally:
        guarded.stop()


def test_a_second_upstream_serves_when_the_first_is_down(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=["socks5://127.0.0.1:9", f"socks5://{dc.socks5}"])
    for _ in range(4):
        through(proxy, lambda stream: stream.req_pq())
    assert len(dc.sessions) == 4


def test_an_upstream_that_is_something_else_is_named(
    engine: Start, cover_host: Callable[..., CoverHost]
) -> None:
    host = cover_host(lambda visit: visit.sock.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n"))
    proxy = engine(upstream=[f"socks5://127.0.0.1:{host.port}"])
    with open_session(proxy) as sock:
        assert read_to_end(sock) == b""
    proxy.wait_for(lambda: f"socks5://127.0.0.1:{host.port} does not speak SOCKS5" in proxy.log())
    proxy.wait_until_idle()


def test_records_to_the_client_start_small_and_grow_to_full_size(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"])
    sizes: list[int] = []

    async def watch(stream: Stream) -> None:
        feed = stream._records._open
        stream._records._open = lambda header: (sizes.append(header[3] << 8 | header[4]), feed(header))
        await stream.download(4 * MB)

    through(proxy, watch)
    assert max(sizes[:16]) <= FIRST_RECORD
    assert max(sizes) == FULL_RECORD


def test_the_end_of_either_side_ends_the_session(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"])

    async def hang_up() -> None:
        first, second = await Stream.open(proxy.link), await Stream.open(proxy.link)
        await first.echo()
        await second.echo()
        assert proxy.metric("mtg_telegram_connections", dc="2") == 2
        await first.close()
        await asyncio.to_thread(proxy.wait_for, lambda: proxy.metric("mtg_telegram_connections") == 1)
        dc.cut()
        assert await second.ended(60)
        await second.close()

    asyncio.run(hang_up())
    proxy.wait_until_idle()
    assert not any(session.open for session in dc.sessions)


def test_nonsense_after_a_good_handshake_ends_the_connection(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], handshake="2s")
    request, alert = b"GET / HTTP/1.1\r\n\r\n", b"\x15\x03\x03\x00\x02\x01\x00"
    for nonsense in (request, alert, b"\x17\x03\x03\xff\xff", b""):
        with shake_hands(proxy) as sock:
            sock.sendall(nonsense)
            assert read_to_end(sock) == b""
    for nonsense in (request, alert):
        with open_session(proxy) as sock:
            sock.sendall(nonsense)
            assert read_to_end(sock) == b""
    proxy.wait_until_idle()


def test_idle_sessions_end_and_busy_ones_do_not(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], idle="3s")

    async def watch() -> None:
        busy, idle = await Stream.open(proxy.link), await Stream.open(proxy.link)
        await idle.echo()
        await busy.echo()
        assert proxy.metric("mtg_telegram_connections") == 2
        deadline = time.monotonic() + 60
        while proxy.metric("mtg_telegram_connections") != 1:
            assert time.monotonic() < deadline, "the idle session does not end"
            await busy.echo()
            await asyncio.sleep(0.1)
        await busy.echo()
        await busy.close()
        await idle.close()

    asyncio.run(watch())
    proxy.wait_until_idle()


def test_a_client_that_never_reads_costs_less_than_4_mb(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"])

    async def greedy() -> int:
        warm = await Stream.open(proxy.link)
        await warm.download(20 * MB)
        await warm.upload(5 * MB)
        before = proxy.rss()
        stream = await Stream.open(proxy.link, receive_buffer=4096)
        stream._reader._transport.pause_reading()
        await stream.ask(500 * MB)
        deadline = time.monotonic() + 60
        while len(dc.sessions) < 2 or dc.sessions[-1].bytes_out < 1 * MB:
            assert time.monotonic() < deadline, "nothing is sent to the client"
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)
        await warm.echo()
        grown = proxy.rss() - before
        stream._writer.transport.abort()
        await warm.close()
        return grown

    assert asyncio.run(greedy()) < 4 * MB
    proxy.wait_until_idle()


def test_slow_readers_side_by_side_get_their_own_bytes(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"])

    async def slow(number: int) -> None:
        stream = await Stream.open(proxy.link, receive_buffer=20_000)
        # More than the kernel takes off the engine's hands, so that it must keep what is left.
        size, offset = 12 * MB + number * 1000, 0
        await stream.ask(size)
        await asyncio.sleep(0.3)
        while offset < size:
            offset += await stream.read_pattern(offset)
        await stream.upload(MB)
        await stream.close()

    async def crowd() -> None:
        await asyncio.gather(*(slow(number) for number in range(5)))

    asyncio.run(crowd())
    proxy.wait_until_idle()


def test_500_idle_sessions_fit_into_100_mb(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"])

    async def crowd() -> None:
        streams: list[Stream] = []
        for _ in range(10):
            streams += await asyncio.gather(*(Stream.open(proxy.link) for _ in range(50)))
        await asyncio.gather(*(stream.echo() for stream in streams))
        assert proxy.metric("mtg_telegram_connections") == 500
        assert proxy.rss() < 100 * MB
        await asyncio.gather(*(stream.close() for stream in streams))

    asyncio.run(crowd())
    proxy.wait_until_idle()


@pytest.mark.parametrize("direction", ["download", "upload"])
def test_limits_set_while_running_slow_a_live_connection_and_can_be_lifted(
    direction: str, engine: Start, dc: DataCenter
) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"])
    high = {"connection": 800 * MB, "total": 800 * MB}
    # 1 MB at 8 Mbit/s is a second, less what the bucket lets through at once.
    slow, fast = (0.75, 1.5), (0.0, 0.2)
    steps = ({}, fast), ({"connection": 8 * MB}, slow), ({"total": 8 * MB}, slow), (high, fast), ({}, fast)

    async def measure() -> None:
        stream = await Stream.open(proxy.link)
        for limit, (least, most) in steps:
            await asyncio.to_thread(proxy.set_limits, **limit)

            async def seconds() -> float:
                started = time.perf_counter()
                await getattr(stream, direction)(MB)
                return time.perf_counter() - started

            await until_it_takes(least, most, seconds)
        await stream.close()

    asyncio.run(measure())


def test_a_total_limit_is_shared_and_a_connection_limit_is_not(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"])

    async def together(**limit: int) -> float:
        streams = [await Stream.open(proxy.link) for _ in range(4)]
        await asyncio.to_thread(proxy.set_limits, **limit)
        started = time.perf_counter()
        await asyncio.gather(*(stream.download(MB // 4) for stream in streams))
        seconds = time.perf_counter() - started
        for stream in streams:
            await stream.close()
        return seconds

    # A quarter of a MB at 4 Mbit/s is half a second, and four of them one after the other are two.
    asyncio.run(until_it_takes(0.35, 0.8, lambda: together(connection=4 * MB)))
    asyncio.run(until_it_takes(1.6, 2.8, lambda: together(total=4 * MB)))


def test_lifting_a_limit_wakes_those_who_wait_and_a_broken_file_changes_nothing(
    engine: Start, dc: DataCenter
) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"])
    proxy.set_limits(connection=80_000)

    async def run() -> None:
        stream = await Stream.open(proxy.link)
        await stream.ask(5 * MB)
        task = asyncio.create_task(stream.read_pattern(0))
        broken = proxy.folder / "limits.broken"
        broken.write_text("connection-bits-per-second = 'fast'\n")
        broken.replace(proxy.folder / "limits.toml")  # in one step: an empty file would be one without limits
        await asyncio.to_thread(proxy.wait_for, lambda: "connection-bits-per-second = fast" in proxy.log())
        assert proxy.metric("builtin_rate_limit_bits_per_second", scope="connection") == 80_000
        await asyncio.to_thread(proxy.set_limits)
        offset = await asyncio.wait_for(task, 60)
        while offset < 5 * MB:
            offset += await asyncio.wait_for(stream.read_pattern(offset), 60)
        await stream.close()

    asyncio.run(run())
    assert proxy.log().count("the speed limits stay as they were") == 1


def test_connections_beyond_the_limit_are_closed_and_counted(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], concurrency=3)
    held = [open_session(proxy) for _ in range(3)]
    proxy.wait_for(lambda: proxy.metric("mtg_telegram_connections") == 3)
    for _ in range(2):
        with connect(proxy) as sock:
            assert read_to_end(sock) == b""
    assert proxy.metric("mtg_concurrency_limited") == 2
    held.pop().close()
    proxy.wait_for(lambda: proxy.metric("mtg_client_connections") == 2)
    through(proxy, lambda stream: stream.req_pq())
    for sock in held:
        sock.close()
    proxy.wait_until_idle()


def test_a_dual_stack_address_serves_both_families(engine: Start, dc: DataCenter) -> None:
    if not socket.has_dualstack_ipv6():
        proxy = engine(upstream=[f"socks5://{dc.socks5}"])
    else:
        proxy = engine(host="::", upstream=[f"socks5://{dc.socks5}"])
        with connect(proxy, "::1"):
            proxy.wait_for(lambda: proxy.metric("mtg_client_connections", ip_family="ipv6") == 1)
    with connect(proxy):
        proxy.wait_for(lambda: proxy.metric("mtg_client_connections", ip_family="ipv4") == 1)
    through(proxy, lambda stream: stream.req_pq())
