"""The configuration file that mtg and the built-in engine are given."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.model import Config
from app.engines.builtin import Builtin
from app.engines.mtg.config_file import render_config, socks5_url
from app.engines.mtg.engine import Mtg, MtgImage
from app.engines.toml import render

# Everything that UTF-8 can hold.
any_text = st.text(st.characters(exclude_categories=["Cs"]))


@given(any_text)
def test_any_text_comes_back_from_the_file(text):
    assert tomllib.loads(render({"": {"key": text}, "a.b": {"list": [text, ""]}})) == {
        "key": text, "a": {"b": {"list": [text, ""]}}}


@pytest.mark.parametrize(
    "text", ['"', "\\", '\\"', "\x7f", "\0", "\n[network]\nproxies = []", "\r", "🦊", "\u2028"])
def test_text_that_means_something_to_toml_is_only_text(text):
    assert tomllib.loads(render({"": {"key": text}})) == {"key": text}


@given(st.booleans(), st.integers(-(2**62), 2**62))
def test_numbers_and_truth_values_come_back(truth, number):
    assert tomllib.loads(render({"t": {"truth": truth, "number": number}})) == {
        "t": {"truth": truth, "number": number}}


def test_the_file_says_what_was_declared(user, config, place):
    alice = user()
    told = tomllib.loads(render_config(alice, config, place))
    assert told == {
        "secret": alice.secret, "bind-to": "127.0.0.1:2443", "concurrency": 4096, "prefer-ip": "prefer-ipv4",
        "tolerate-time-skewness": "20s",
        "network": {"timeout": {"tcp": "5s", "http": "10s", "idle": "5m", "handshake": "10s"}},
        "defense": {"anti-replay": {"enabled": True}},
        "stats": {"prometheus": {"enabled": True, "bind-to": "127.64.9.139:3129", "http-path": "/"}},
    }


def test_cover_and_upstream_are_told_when_declared(user, place):
    config = Config(domain_fronting_ip="127.0.0.9", domain_fronting_port=8443, proxy_prefer_ip="only-ipv6",
                    upstream_socks5="bob:p@ss@127.0.0.1:1080")
    told = tomllib.loads(render_config(user(), config, place))
    assert told["prefer-ip"] == "only-ipv6"
    assert told["network"]["proxies"] == ["socks5://bob:p%40ss@127.0.0.1:1080"]
    # mtg up to 2.2.8 reads the first, builds of 2026 the last.
    assert told["domain-fronting"] == {"ip": "127.0.0.9", "port": 8443, "host": "127.0.0.9"}


def test_the_settings_of_the_engine_are_told(user, place):
    config = Config(proxy_concurrency=500, proxy_anti_replay=False, proxy_blocklist=True,
                    proxy_dns="https://192.0.2.1", upstream_socks5="127.0.0.1:1080")
    told = tomllib.loads(render_config(user(), config, place))
    assert told["concurrency"] == 500 and told["defense"]["anti-replay"] == {"enabled": False}
    assert told["network"]["dns"] == "https://192.0.2.1" and told["network"]["proxies"]
    assert told["defense"]["blocklist"]["enabled"] is True and told["defense"]["blocklist"]["urls"]


@given(any_text.filter(lambda t: t.strip() == t and t and ":" not in t),
       any_text.filter(lambda t: t.strip() == t),
       st.sampled_from(["127.0.0.1", "[::1]", "socks.example.com"]), st.integers(1, 65535))
def test_any_user_and_password_of_the_upstream_come_back_from_its_url(name, password, host, port):
    url = urlsplit(socks5_url(f"{name}:{password}@{host}:{port}"))
    assert (url.scheme, url.hostname, url.port) == ("socks5", host.strip("[]"), port)
    assert (unquote(url.username), unquote(url.password or "")) == (name, password)


def test_an_upstream_without_a_login_has_none_in_its_url():
    assert socks5_url("127.0.0.1:1080") == "socks5://127.0.0.1:1080"
    assert socks5_url("[::1]:1080") == "socks5://[::1]:1080"


def test_the_name_of_the_pinned_cover_that_newer_builds_read_restarts_nobody_who_has_not_got_it(user, config, place):
    pinned = config.model_copy(update={"domain_fronting_ip": "127.0.0.9"})
    for engine in (MtgImage(), Mtg("/opt/mtg"), Builtin()):
        made = engine.workload(user(), pinned, place)
        text = made.files["config.toml"]
        assert 'ip = "127.0.0.9"' in text and 'host = "127.0.0.9"' in text
        before = replace(made, files={"config.toml": text.replace('host = "127.0.0.9"\n', "")}, unhashed=())
        assert made.spec == before.spec
        other = pinned.model_copy(update={"domain_fronting_ip": "127.0.0.10"})
        assert engine.workload(user(), other, place).spec != made.spec
