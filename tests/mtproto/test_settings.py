from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.builtin.dc import PREFER_IP, addresses, known
from app.builtin.ratelimit import Limits, LimitsError, LimitsFile, parse_limits
from app.builtin.settings import Endpoint, SettingsError, parse_settings, read_settings
from app.mtproto.secret import Secret

SECRET = Secret.generate("cover.example.com")
MINIMAL = f'secret = "{SECRET.base64url}"\nbind-to = "[::]:2443"\n'


def test_two_keys_are_enough_and_the_rest_are_mtgs_defaults() -> None:
    settings = parse_settings(MINIMAL)
    assert settings.secret == SECRET
    assert settings.bind_to == Endpoint("::", 2443) and str(settings.bind_to) == "[::]:2443"
    assert (settings.concurrency, settings.prefer_ip) == (4096, "prefer-ipv6")
    times = (settings.tolerate_time_skewness, settings.idle_timeout, settings.handshake_timeout)
    assert times == (3, 300, 10)
    assert settings.cover == Endpoint("cover.example.com", 443)
    assert not (settings.anti_replay or settings.metrics or settings.upstreams)
    assert not (settings.proxy_protocol_listener or settings.allow_fallback_on_unknown_dc or settings.debug)


def test_every_key_of_the_issue_is_read() -> None:
    settings = parse_settings(f"""
        debug = true
        secret = "{SECRET.hex}"
        bind-to = "0.0.0.0:3128"
        concurrency = 8192
        prefer-ip = "Only-IPv4"
        proxy-protocol-listener = true
        tolerate-time-skewness = "1m5s"
        allow-fallback-on-unknown-dc = true
        unknown-key = {{ a = 1 }}
        [domain-fronting]
        ip = "10.0.0.1"
        host = "ignored.example.com"
        port = 8443
        proxy-protocol = true
        [network]
        proxies = ["socks5://us%40er:p%3Ass@127.0.0.1:1081", "socks5h://[::1]"]
        [network.timeout]
        tcp = "1.5s"
        http = "10s"
        idle = "1h30m"
        handshake = "250 ms"
        [network.keep-alive]
        disabled = true
        [defense.anti-replay]
        enabled = true
        max-size = "2 MiB"
        error-rate = 0.001
        [stats.prometheus]
        enabled = true
        bind-to = "127.0.0.1:3129"
        http-path = "metrics/"
        metric-prefix = "abc"
    """)
    assert settings.debug and settings.proxy_protocol_listener and settings.allow_fallback_on_unknown_dc
    assert (settings.concurrency, settings.prefer_ip) == (8192, "only-ipv4")
    assert (settings.cover, settings.cover_proxy_protocol) == (Endpoint("10.0.0.1", 8443), True)
    first, second = settings.upstreams
    assert (first.user, first.password, first.endpoint) == ("us@er", "p:ss", Endpoint("127.0.0.1", 1081))
    assert second.endpoint == Endpoint("::1", 1080) and "p:ss" not in str(first)
    times = (settings.connect_timeout, settings.idle_timeout, settings.handshake_timeout)
    assert times == (1.5, 5400, 0.25) and settings.tolerate_time_skewness == 65
    assert settings.anti_replay and settings.anti_replay_bytes == 2 * 1024 * 1024
    assert settings.metrics == Endpoint("127.0.0.1", 3129)
    assert (settings.metrics_path, settings.metrics_prefix) == ("/metrics", "abc")
    assert not settings.keep_alive.enabled


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bind-to = 'localhost:1'", "bind-to = 'localhost:1' is not allowed; allowed is an IP address"),
        ("bind-to = '0.0.0.0:0'", "bind-to"),
        ("bind-to = '0.0.0.0:65536'", "bind-to"),
        ("bind-to = ':::2443'", "bind-to"),
        ("bind-to = 2443", "bind-to = 2443"),
        ("prefer-ip = 'v4'", "prefer-ip = 'v4' is not allowed; allowed is only-ipv4, only-ipv6, prefer-ipv4"),
        ("concurrency = -1", "concurrency = -1 is not allowed; allowed is a whole number from 1"),
        ("concurrency = true", "concurrency = True"),
        ("concurrency = '5'", "concurrency"),
        ("debug = 1", "debug = 1 is not allowed; allowed is true or false"),
        ("tolerate-time-skewness = '5'", "'5' is not allowed; allowed is a duration such as"),
        ("tolerate-time-skewness = '-5s'", "tolerate-time-skewness"),
        ("tolerate-time-skewness = '99999h'", "at most one year"),
        ("network.timeout.idle = '5 minutes'", "network.timeout.idle"),
        ("network.timeout = 5", "network.timeout = 5 is not allowed; allowed is a table"),
        ("network.proxies = 'socks5://a'", "network.proxies"),
        ("network.proxies = ['http://a:1']", "item 1 is not usable"),
        ("network.proxies = ['socks5://u:hunter2@a:99999']", "item 1 is not usable"),
        ("domain-fronting.ip = 'a.example.com'", "domain-fronting.ip"),
        ("domain-fronting.host = 'a b'", "domain-fronting.host"),
        ("domain-fronting.port = 70000", "domain-fronting.port = 70000"),
        ("defense.anti-replay.max-size = 'big'", "defense.anti-replay.max-size"),
        ("stats.prometheus.enabled = true", "stats.prometheus.bind-to is missing"),
        ("stats.prometheus.metric-prefix = '1a'", "stats.prometheus.metric-prefix"),
        ("secret = ''", "secret is missing"),
        ("secret = 'hello'", "secret"),
        ("debug = ", "not TOML"),
    ],
)
def test_a_bad_value_is_named_with_its_key_and_what_is_allowed(line: str, words: str) -> None:
    kept = [one for one in MINIMAL.splitlines() if one.split(" = ")[0] != line.split(" = ")[0]]
    with pytest.raises(SettingsError) as caught:
        parse_settings("\n".join([*kept, line]))
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_settings(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        read_settings(tmp_path / "config.toml")


def test_plain_secrets_have_no_cover() -> None:
    for text in ("ab" * 16, "dd" + "ab" * 16):
        assert parse_settings(f'secret = "{text}"\nbind-to = "127.0.0.1:1"').cover is None


VALUES = st.one_of(
    st.text(max_size=30),
    st.integers(-(2**62), 2**62),
    st.booleans(),
    st.lists(st.text(max_size=9), max_size=3),
)
KEYS = st.sampled_from(
    ["secret", "bind-to", "concurrency", "prefer-ip", "debug", "tolerate-time-skewness", "domain-fronting.ip",
     "domain-fronting.port", "domain-fronting.host", "network.proxies", "network.timeout.tcp",
     "network.timeout.idle", "defense.anti-replay.max-size", "stats.prometheus.http-path", "whatever"]
)  # fmt: skip


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_values_are_used_or_refused_with_a_message(values: dict[str, object]) -> None:
    keys = {"secret": SECRET.hex, "bind-to": "127.0.0.1:1", **values}
    # JSON's strings escape DEL otherwise than TOML wants it.
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()).replace("\x7f", "\\u007f")
    try:
        settings = parse_settings(text)
    except SettingsError as error:
        assert len(str(error)) > 10
    else:
        assert 1 <= settings.bind_to.port <= 65535 and settings.idle_timeout > 0


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_is_refused(text: str) -> None:
    for read, error in ((parse_settings, SettingsError), (parse_limits, LimitsError)):
        with contextlib.suppress(error):
            read(text)


def test_limits_are_read_when_the_file_changes_and_a_broken_one_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    file = LimitsFile(path)
    assert file.changed() == Limits() and file.changed() is None
    path.write_text("connection-bits-per-second = 1000000\n")
    assert file.changed() == Limits(connection=1_000_000) and file.changed() is None
    path.write_text("total-bits-per-second = -5\n")
    with pytest.raises(LimitsError, match="total-bits-per-second = -5 is not allowed; allowed is 0"):
        file.changed()
    assert file.changed() is None
    path.unlink()
    assert file.changed() == Limits()


@pytest.mark.parametrize("prefer_ip", PREFER_IP)
def test_each_data_centre_has_addresses_in_the_preferred_order(prefer_ip: str) -> None:
    for dc in (1, 2, 3, 4, 5, 203):
        assert known(dc) == known(-dc) == dc
        families = [6 if ":" in address else 4 for address in addresses(dc, prefer_ip)]
        first = 4 if prefer_ip.endswith("ipv4") else 6
        assert families[0] == first
        assert set(families) == ({first} if prefer_ip.startswith("only") else {4, 6})
    assert known(0) == 2
    for dc in (6, 99, -6, 202, 10002, -32768):
        assert known(dc) == 0 and addresses(abs(dc), prefer_ip) == []
