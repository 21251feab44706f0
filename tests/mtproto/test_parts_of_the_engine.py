"""PROXY protocol headers, buckets and the metrics text, each on its own."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.builtin.metrics import Metrics, serve_metrics
from app.builtin.proxyprotocol import ProxyHeader, ProxyHeaderError, make_header, read_header
from app.builtin.ratelimit import BURST_SECONDS, Bucket, Limits, RateLimiter

PORTS = st.integers(0, 65535)


@given(st.ip_addresses(v=4), PORTS, st.ip_addresses(v=4), PORTS, st.binary(max_size=9))
def test_a_version_2_header_reads_back(
    source: object, port: int, to: object, to_port: int, rest: bytes
) -> None:
    wire = make_header((str(source), port), (str(to), to_port))
    assert read_header(wire + rest) == ProxyHeader(28, (str(source), port), (str(to), to_port))
    assert all(read_header(wire[:end]) is None for end in range(1, 28))


def test_mixed_families_become_ipv6() -> None:
    header = read_header(make_header(("192.0.2.1", 1), ("2001:db8::1", 2)))
    assert header.wire_bytes == 52 and header.destination == ("2001:db8::1", 2)


@pytest.mark.parametrize(
    ("line", "source"),
    [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n", ("192.0.2.7", 56324)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", ("2001:db8::7", 1)),
        (b"PROXY UNKNOWN whatever it says\r\n", None),
        (b"PROXY UNKNOWN\r\n", None),
    ],
)
def test_version_1_lines_are_read(line: bytes, source: object) -> None:
    header = read_header(line + b"\x16\x03")
    assert header.source == source and header.wire_bytes == len(line)
    assert all(read_header(line[:end]) is None for end in range(1, len(line)))


def test_a_load_balancer_may_speak_for_itself() -> None:
    local = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
    assert read_header(local) == ProxyHeader(16)


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 ::1 ::1 1 2\r\n",
     b"PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n", b"PROXY " + b"x" * 120, b"PROXY TCP4 1.2.3.4 1.2.3.4 a b\r\n",
     b"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
     b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x04abcd"],
)  # fmt: skip
def test_what_is_no_proxy_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        read_header(data)


def test_a_bucket_lets_its_rate_through_and_no_more() -> None:
    bucket, now = Bucket(1000.0), 50.0
    passed = 0
    while now < 60.0:
        passed += 100
        now += max(0.0, bucket.charge(100, now))
    assert 10_000 <= passed <= 10_000 + 1000 * BURST_SECONDS + 200


def test_connections_that_share_a_bucket_are_served_in_turn() -> None:
    bucket = Bucket(1000.0)
    waits = [bucket.charge(100, 10.0) for _ in range(4)]
    assert waits == pytest.approx([0.05, 0.15, 0.25, 0.35])


def test_no_rate_is_no_wait_and_reads_get_small_under_a_limit() -> None:
    assert Bucket().charge(10**9, 0.0) == 0
    limiter = RateLimiter()
    assert limiter.read_size == 0
    limiter.apply(Limits(connection=80_000_000, total=8_000_000))
    assert limiter.read_size == 20_000 and limiter.connection_rate == 10_000_000
    limiter.apply(Limits())
    assert limiter.read_size == 0 and limiter.total_down.charge(10**9, 0.0) == 0


def test_the_metrics_text_is_prometheus_text_with_mtgs_names() -> None:
    metrics = Metrics(replay_attacks=3, fronting_up=7)
    traffic = metrics.server("149.154.167.51", 2)
    traffic.down, traffic.up, traffic.connections = 100, 20, 1
    assert metrics.server("149.154.167.51", 2) is traffic
    samples = {
        (sample.name.removesuffix("_total"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text("mtg", Limits(5, 6)))
        for sample in family.samples
    }
    server = (("dc", "2"), ("telegram_ip", "149.154.167.51"))
    assert samples[("mtg_telegram_connections", server)] == 1
    assert samples[("mtg_telegram_traffic", (server[0], ("direction", "to_client"), server[1]))] == 100
    assert samples[("mtg_telegram_traffic", (server[0], ("direction", "from_client"), server[1]))] == 20
    assert samples[("mtg_domain_fronting_traffic", (("direction", "from_client"),))] == 7
    assert samples[("mtg_replay_attacks", ())] == 3
    for name in ("mtg_domain_fronting", "mtg_concurrency_limited"):
        assert samples[(name, ())] == 0
    for family in ("ipv4", "ipv6"):
        assert samples[("mtg_client_connections", (("ip_family", family),))] == 0
    assert samples[("builtin_rate_limit_bits_per_second", (("scope", "connection"),))] == 5
    assert samples[("builtin_rate_limit_bits_per_second", (("scope", "total"),))] == 6


@pytest.mark.parametrize("asked", [("127.0.0.1", "::"), ("::1", "::"), ("127.0.0.1", "0.0.0.0"), ("::1", "::1")])
def test_the_metrics_are_served_by_ipv4_and_ipv6_where_all_addresses_are_meant(asked: tuple[str, str]) -> None:
    """In a network of Docker's that has IPv6, the panel asks by IPv4."""
    host, bound = asked

    async def answer() -> bytes:
        server = await serve_metrics(bound, 0, "/", lambda: "one 1\n")
        async with server:
            reader, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            try:
                return await reader.read()
            finally:
                writer.close()

    assert b"one 1" in asyncio.run(answer())
