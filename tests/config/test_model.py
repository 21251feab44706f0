"""The declaration's rules: what loads, what is refused, and with which words."""

from __future__ import annotations

import difflib
import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config import model, values
from app.config.model import Config, InvalidConfig, User, dump, load
from app.messages import ENGLISH
from app.mtproto.secret import Secret

KEY = "00112233445566778899aabbccddeeff"
EE = f"ee{KEY}" + b"www.example.com".hex()


def user(**fields) -> dict:
    return {"name": "Alice", "secret": EE, "port": 2443, "id": "a1b2c3d4", **fields}


def message(data) -> str:
    with pytest.raises(InvalidConfig) as refused:
        load(data)
    return str(refused.value)


def test_an_empty_object_is_a_configuration_of_defaults():
    config = load({})
    assert (config.proxy_port, config.admin_username, config.users) == (2443, "admin", [])


def test_a_file_of_the_first_panel_loads_with_every_field():
    old = {
        "admin_username": "root", "admin_password_hash": "ab:" + "0" * 64, "secret_key": "k" * 64,
        "server_domain": "", "server_ip": "203.0.113.7", "proxy_port": 3000, "proxy_tag": "",
        "proxy_container_name": "mtg-proxy", "proxy_image": "mtg-custom", "fake_tls_domain": "www.google.com",
        "proxy_buffer_size": "32KB", "proxy_prefer_ip": "v4", "stats_enabled": True, "traffic_limit_gb": 0,
        "throttle_speed_mbps": 1, "port_443_mode": False,
        "users": [
            {"name": "Phone", "secret": EE, "enabled": True, "created_at": "2025-01-02T03:04:05.678901"},
            {"name": "Friend", "secret": EE, "port": 3001, "enabled": False, "traffic_limit_gb": 50},
            {"name": "Third", "secret": EE},
        ],
    }
    config = load(old)
    assert [u.port for u in config.users] == [3000, 3001, 3002]
    assert all(u.id and u.fake_tls_domain == "www.example.com" for u in config.users)
    assert config.users[0].created_at.tzinfo is not None
    assert config.proxy_prefer_ip == "prefer-ipv4"
    assert dump(config)["proxy_buffer_size"] == "32KB"


def test_a_user_without_a_port_never_gets_one_that_another_user_has():
    config = load({"users": [{"name": "a", "secret": EE}, {"name": "b", "secret": EE, "port": 2443},
                             {"name": "c", "secret": EE}]})
    assert config.users[1].port == 2443
    assert len({u.port for u in config.users}) == 3


@pytest.mark.parametrize("data, words", [
    ([], ["a list", "an object"]),
    ("text", ["a text"]),
    ({"proxy_port": 70000}, ["proxy_port", "70000", "1 to 65535"]),
    ({"proxy_port": True}, ["proxy_port", "True", "1 to 65535"]),
    ({"traffic_limit_gb": -1}, ["traffic_limit_gb", "-1", "0 to 1,000,000"]),
    ({"traffic_limit_gb": "much"}, ["traffic_limit_gb", "'much'"]),
    ({"traffic_limit_gb": float("nan")}, ["traffic_limit_gb", "nan"]),
    ({"throttle_speed_mbps": 0}, ["throttle_speed_mbps", "more than 0"]),
    ({"server_ip": "300.1.1.1"}, ["server_ip", "300.1.1.1", "IPv4 or IPv6"]),
    ({"server_domain": "a b"}, ["server_domain", "'a b'"]),
    ({"fake_tls_domain": "no_dot"}, ["fake_tls_domain", "no_dot"]),
    ({"proxy_prefer_ip": "v5"}, ["proxy_prefer_ip", "'v5'", "only-ipv6"]),
    ({"upstream_socks5": "host"}, ["upstream_socks5", "host:port"]),
    ({"proxy_image": "My Image"}, ["proxy_image", "'My Image'", "mtg-custom"]),
    ({"proxy_image": ""}, ["proxy_image", "''", "mtg-custom"]),
    ({"proxy_dns": "dns.example.com"}, ["proxy_dns", "dns.example.com", "tls://"]),
    ({"proxy_dns": "ftp://192.0.2.1"}, ["proxy_dns", "ftp://192.0.2.1", "https://"]),
    ({"proxy_concurrency": 8}, ["proxy_concurrency", "8", "64 to 1,000,000"]),
    ({"proxy_memory_mb": 6}, ["proxy_memory_mb", "6", "64 to 1,000,000"]),
    ({"trafic_limit_gb": 5}, ["trafic_limit_gb", "did you mean 'traffic_limit_gb'"]),
    ({"usres": []}, ["usres", "did you mean 'users'"]),
    ({"users": {}}, ["users", "a list"]),
    ({"users": [5]}, ["users[0]"]),
    ({"users": [{"secret": EE}]}, ["users[0].name", "missing"]),
    ({"users": [user(name="  ")]}, ["users[0]", ".name"]),
    ({"users": [user(port=0)]}, ["users[0] ('Alice').port", "0", "1 to 65535"]),
    ({"users": [user(secret="zz")]}, ["users[0] ('Alice').secret"]),
    ({"users": [user(), user(id="other")]}, ["both have the port 2443"]),
    ({"users": [user(), user(port=2444)]}, ["both have the id a1b2c3d4"]),
    ({"users": [user(expires_at="soon")]}, [".expires_at", "'soon'"]),
    ({"admin_username": "x", "admins": [{"username": "x", "password_hash": ""}]}, ["two admins", "'x'"]),
])
def test_a_broken_rule_is_told_with_field_value_and_what_is_allowed(data, words):
    text = message(data)
    for word in words:
        assert word in text


@pytest.mark.parametrize("value", [
    "", "192.0.2.1", "2001:db8::1", "https://192.0.2.1", "tls://dns.example.com:853"])
def test_every_kind_of_resolver_that_mtg_knows_is_allowed(value):
    assert load({"proxy_dns": value}).proxy_dns == value


@pytest.mark.parametrize("value", [
    "mtg-custom", "nineseconds/mtg:2.2.8", "registry.example.com:5000/a/b:x", "mtg@sha256:" + "0" * 64])
def test_every_form_of_an_image_name_is_allowed(value):
    assert load({"proxy_image": value}).proxy_image == value


@pytest.mark.parametrize("field, value", [
    ("secret_key", 12345), ("admin_password_hash", 12345), ("upstream_socks5", "bob:hunter2@")])
def test_a_refused_secret_value_is_not_repeated(field, value):
    assert str(value) not in message({field: value})


def test_every_broken_rule_has_a_line_of_its_own():
    assert len(message({"proxy_port": 0, "traffic_limit_gb": -1}).splitlines()) == 2


def test_fields_of_another_version_survive_a_round_trip():
    data = load({"colour": "blue", "users": [user(nickname="Al")]})
    assert dump(data)["colour"] == "blue"
    assert dump(data)["users"][0]["nickname"] == "Al"


def test_the_secret_decides_about_the_domain():
    assert load({"users": [user(fake_tls_domain="other.example.com")]}).users[0].fake_tls_domain == \
        "www.example.com"


def test_every_field_says_what_is_allowed():
    for part in (Config, User, model.Admin):
        for name, info in part.model_fields.items():
            assert info.description in ENGLISH.templates, f"{part.__name__}.{name} has no description"


moments = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1),
                       timezones=st.just(timezone(timedelta(hours=3))))
users = st.builds(
    User, id=st.uuids().map(lambda u: u.hex[:8]), name=st.text(min_size=1).filter(str.strip),
    secret=st.binary(min_size=16, max_size=16).map(
        lambda key: Secret("faketls", key, "www.example.com").hex),
    port=st.integers(1, 65535), enabled=st.booleans(), traffic_limit_gb=st.floats(0, 1e6),
    throttle_speed_mbps=st.floats(0, 1e5), expires_at=st.none() | moments,
    note=st.text(max_size=1000), created_at=moments)
configs = st.builds(
    Config, proxy_port=st.integers(1, 65535), server_ip=st.sampled_from(["", "203.0.113.7", "2001:db8::7"]),
    traffic_limit_gb=st.floats(0, 1e6), throttle_speed_mbps=st.floats(0.001, 1e5),
    users=st.lists(users, max_size=5, unique_by=(lambda u: u.port, lambda u: u.id)))


@given(configs)
@settings(max_examples=300, deadline=None)
def test_what_is_dumped_loads_as_the_same_configuration(config):
    assert load(json.loads(json.dumps(dump(config)))) == config


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["users", "admins", "name", "secret", "port", "id", "proxy_port",
                                         "server_ip", "expires_at", "_initial_password"]), inner),
                    max_leaves=12))
@settings(max_examples=500, deadline=None)
def test_any_json_either_loads_or_is_refused_in_words(data):
    try:
        assert isinstance(load(data), Config)
    except InvalidConfig as refused:
        assert str(refused)


@pytest.mark.parametrize("text, expected", [
    ("127.0.0.1:1080", ("127.0.0.1", 1080, "", "")),
    ("bob:p@ss:w@proxy.example.com:1080", ("proxy.example.com", 1080, "bob", "p@ss:w")),
    ("[2001:db8::1]:9050", ("2001:db8::1", 9050, "", "")),
])
def test_an_upstream_is_read_into_its_parts(text, expected):
    assert values.parse_socks5(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "host:0", "host:99999", "@host:1", "bob@host:1", "a b:1"])
def test_an_upstream_that_is_none_is_refused(text):
    with pytest.raises(ValueError):
        values.parse_socks5(text)


def test_a_bare_expiry_date_means_the_end_of_that_day():
    moment = values.parse_expiry("2027-01-31")
    assert (moment - timedelta(seconds=1)).strftime("%Y-%m-%d") == "2027-01-31"
    assert moment.hour == 0 and moment.tzinfo is not None


@pytest.mark.parametrize("text", ["31.01.2027", "2027-02-30", "tomorrow", "9999-12-31"])
def test_an_expiry_that_is_no_date_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="2027-01-31"):
        values.parse_expiry(text)


#: Fields whose names are near each other's since before there were releases.
NEAR = {"admin_password_hash", "admin_password_initial", "proxy_image", "proxy_tag", "mtg_timing", "mtg_timing_urls",
        "domain_fronting_ip", "domain_fronting_port"}


@pytest.mark.parametrize("part", [Config, User, model.Admin, model.OldLink], ids=lambda part: part.__name__)
def test_no_field_is_called_so_that_an_older_release_takes_it_for_a_misspelling_of_another(part):
    """On the way back it would refuse the whole file: it knows the other field, and not this one."""
    names = [field.alias or name for name, field in part.model_fields.items()]
    near = {name for name in names
            if difflib.get_close_matches(name, [other for other in names if other != name], n=1, cutoff=0.75)}
    assert near <= NEAR, "choose another name for it"


@pytest.mark.parametrize(("written", "role"), [
    ({"sudo": True}, "owner"), ({"sudo": False}, "operator"), ({}, "operator"), ({"sudo": None}, "operator"),
    ({"role": "owner"}, "owner"), ({"role": "operator"}, "operator"), ({"role": "viewer"}, "viewer"),
    ({"role": "owner", "sudo": True}, "owner"),
    # Edited by hand, in one of the two: nobody is more than the lesser one says.
    ({"role": "owner", "sudo": False}, "operator"), ({"role": "operator", "sudo": True}, "operator"),
    ({"role": "viewer", "sudo": True}, "viewer"),
])
def test_an_admin_has_the_role_that_the_file_says_or_that_sudo_meant(written, role):
    config = load({"admins": [{"username": "bob", "password_hash": "x", **written}]})
    assert config.admins[0].role == role and config.admins[0].sudo == (role == "owner")
    (kept,) = dump(config)["admins"]
    assert (kept["role"], kept.get("sudo")) == (role, True if role == "owner" else None)
    assert load(dump(config)) == config


def test_a_role_that_there_is_not_is_refused_in_words():
    with pytest.raises(InvalidConfig, match=r"role.*'king'.*owner.*operator.*viewer"):
        load({"admins": [{"username": "bob", "password_hash": "x", "role": "king"}]})
