"""What people and programs write into config.json: it loads and can be saved, or is refused in words."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.config.file import ConfigError, ConfigFile
from app.config.json_text import NotJson, parse
from app.config.model import SETTINGS, Config, InvalidConfig, User, dump, load
from app.messages import sentence
from app.mtproto.secret import Secret

KEY = "00112233445566778899aabbccddeeff"

#: Values that people have typed, and that attackers and other programs write.
ODD = ("", " ", "none", "null", "true", "50", "50 GB", "2443", "0", "-1", "1e400", "новый", "example.com.",
       "https://x.example/", "*.example.com", "прокси.рф", "203.0.113.300", "0.0.0.0", "::", "[::1]", "fe80::1%eth0",
       "224.0.0.1", "localhost", "a_b.example.com", "x" * 300, "\x00", "\u202e", "new", "admin", "-x@example.com",
       "a@b@c", "https://x:99999", "https://.:1", "https://a..b", "tls://", "monthly 31", "weekly sun", "a:b@h:1",
       "9999-12-31T23:59:59Z", "0001-01-01T00:00:00", "1970-01-01T00:00:00+14:00", "soon")
domains = st.sampled_from(["www.google.com:443", "localhost", "WWW.Example.COM", "a_b.example.com", "-x-", "1.2.3.4",
                           "www.example.com.", "..", "a" * 182]) | st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=182)
secrets = domains.map(lambda name: f"ee{KEY}{name.encode().hex()}") | st.sampled_from([KEY, f"dd{KEY}"])
values = (st.none() | st.booleans() | st.integers(-10**20, 10**20) | st.floats(allow_nan=False, allow_infinity=False)
          | st.text(max_size=20) | st.sampled_from(ODD) | st.datetimes().map(lambda at: at.isoformat()))
anything = st.recursive(values, lambda inner: st.lists(inner, max_size=3)
                        | st.dictionaries(st.text(max_size=10), inner, max_size=3), max_leaves=5)


def names(model) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


old_links = st.fixed_dictionaries({"secret": secrets, "replaced_at": values, "until": values})
users = st.builds(lambda known, odd: {**odd, **known},
                  st.fixed_dictionaries({"name": st.text(max_size=8), "secret": secrets}, optional={
                      "id": st.sampled_from(["new", "list", "a1", "b2", ""]),
                      "port": st.integers(1, 65535) | st.integers(1, 65535).map(str) | st.none(),
                      "expires_at": st.datetimes().map(lambda at: at.isoformat()) | st.none(),
                      "old_links": st.lists(old_links, max_size=2)}),
                  st.dictionaries(st.sampled_from([*names(User), "nickname"]), anything, max_size=2))
raw = st.builds(lambda known, odd: {**odd, **known},
                st.fixed_dictionaries({}, optional={"users": st.lists(users, max_size=4)}),
                st.dictionaries(st.sampled_from([*names(Config), "colour", "initial_password", "__class__"]), anything,
                                max_size=4))


@given(raw, st.booleans())
@example({"users": [{"name": "Bob", "secret": f"ee{KEY}" + b"www.google.com:443".hex()}]}, False)
@example({"proxy_prefer_ip": []}, False)
@example({"proxy_dns": "https://[::1]:53/x"}, False)
@settings(max_examples=500, deadline=None)
def test_what_loads_can_be_saved_and_loads_as_the_same(data, forgiving):
    try:
        config = load(data, forgiving)
    except InvalidConfig as refused:
        assert str(refused)
        return
    text = json.dumps(dump(config), indent=2, ensure_ascii=False).encode()
    again = load(parse(text))
    assert again == config and dump(again) == dump(config)


@given(st.dictionaries(st.sampled_from(names(User)), anything), st.dictionaries(st.sampled_from(
    ["admin_username", "admin_password_hash", "secret_key", "server_domain", "server_ip", "proxy_port", "proxy_image",
     "fake_tls_domain", "proxy_prefer_ip", "traffic_limit_gb", "throttle_speed_mbps", "port_443_mode", "colour"]),
    anything))
@settings(max_examples=250, deadline=None)
def test_nothing_that_older_installations_had_stops_the_first_start_or_takes_the_others_users(odd, rest):
    alice = {"name": "Alice", "secret": KEY}
    config = load({**rest, "users": [odd, alice]}, forgiving=True)
    assert config.users[-1].name == "Alice" and load(dump(config)) == config


@pytest.mark.parametrize("domain", ["www.google.com:443", "localhost", "WWW.Example.com", "a_b.example.com", "..",
                                    "1.2.3.4"])
def test_an_odd_domain_in_a_secret_stays_in_the_link_and_is_told(tmp_path, domain):
    secret = Secret.parse(f"ee{KEY}{domain.encode().hex()}")
    (tmp_path / "config.json").write_text(json.dumps({"users": [
        {"name": "Bob", "secret": secret.hex, "port": 2443, "id": "b0b", "fake_tls_domain": 5},
        {"name": "Alice", "secret": KEY}]}))
    file = ConfigFile(tmp_path)
    file.prepare()
    with file.edit() as config:
        config.users[1].note = "saved"
    bob, alice = file.read().users
    assert (bob.secret, bob.fake_tls_domain, alice.note) == (secret.hex, domain, "saved")
    if domain != "WWW.Example.com":
        assert any("'Bob'" in note and domain in note for note in map(sentence, file.check()))


@pytest.mark.parametrize("text, words", [
    ('{"x": ' + "9" * 5000 + "}", "5,000 digits"),
    ('{"x": ' + "[" * 50_000 + "]" * 50_000 + "}", "nested"),
    ('{"x": ' + "[" * 30 + "]" * 30 + "}", "nested"),
    ('{"x": NaN}', "NaN"), ('{"x": -Infinity}', "Infinity"), ('{"x": 1e999}', "1e999"),
    ('{"proxy_port": 1, "proxy_port": 2}', "'proxy_port' stands twice"),
    ('{"users": [{"name": "a", "name": "b"}]}', "'name' stands twice"),
    ('{"note": "\\ud83d"}', "half a character"), ('{"\\udc00": 1}', "half a character"),
])
def test_hostile_json_is_refused_in_words_and_kept(tmp_path, text, words):
    file = ConfigFile(tmp_path)
    file.prepare()
    file.path.write_text(text)
    for attempt in (file.read, file.check, lambda: file.edit().__enter__()):
        with pytest.raises(ConfigError) as refused:
            attempt()
        assert words in str(refused.value) and str(file.last_good_backup()) in str(refused.value)
    assert file.path.read_text() == text


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + b'{"server_ip": "203.0.113.7"}')
    file = ConfigFile(tmp_path)
    file.prepare()
    assert file.read().server_ip == "203.0.113.7"


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: json.dumps({text: text}).encode()))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_json_that_can_be_written_again_or_refused_in_words(raw):
    try:
        data = parse(raw)
    except NotJson as refused:
        assert str(refused)
        return
    assert parse(json.dumps(data, ensure_ascii=False).encode()) == data


def older(**fields) -> Config:
    return load({"admin_username": "root", "users": [{"name": "Bob", "secret": KEY}], **fields}, forgiving=True)


@pytest.mark.parametrize("fields, field, expected", [
    ({"fake_tls_domain": ""}, "fake_tls_domain", "www.cloudflare.com"),
    ({"fake_tls_domain": "https://www.google.com/"}, "fake_tls_domain", "www.google.com"),
    ({"server_domain": "https://x.example/"}, "server_domain", "x.example"),
    ({"server_domain": "https://x.example:8443/a/b"}, "server_domain", "x.example"),
    ({"server_domain": "X.example."}, "server_domain", "x.example"),
    ({"server_domain": None}, "server_domain", ""),
    ({"server_ip": "proxy.example.com"}, "server_domain", "proxy.example.com"),
    ({"server_ip": " 203.0.113.7 "}, "server_ip", "203.0.113.7"),
    ({"server_ip": "203.0.113.7:2443"}, "server_ip", "203.0.113.7"),
    ({"proxy_port": "3000"}, "proxy_port", 3000), ({"proxy_port": None}, "proxy_port", 2443),
    ({"traffic_limit_gb": "50"}, "traffic_limit_gb", 50), ({"traffic_limit_gb": "2,5 GB"}, "traffic_limit_gb", 2.5),
    ({"traffic_limit_gb": ""}, "traffic_limit_gb", 0), ({"throttle_speed_mbps": "5 Mbit/s"}, "throttle_speed_mbps", 5),
    ({"admin_password_hash": 5}, "admin_password_hash", "5"), ({"proxy_tag": 12}, "proxy_tag", "12"),
])
def test_what_an_older_file_means_is_understood(fields, field, expected):
    config = older(**fields)
    assert getattr(config, field) == expected and not config.problems()


@pytest.mark.parametrize("fields, words", [
    ({"server_ip": "my server"}, "server_ip: 'my"), ({"server_ip": "0.0.0.0"}, "server_ip: '0.0.0.0'"),
    ({"proxy_port": 70000}, "proxy_port: 70000"), ({"traffic_limit_gb": "much"}, "traffic_limit_gb: 'much'"),
    ({"throttle_speed_mbps": 0}, "throttle_speed_mbps: 0"), ({"proxy_prefer_ip": ["v4"]}, "proxy_prefer_ip"),
    ({"server_domian": "x.example"}, "'server_domian'; did you mean 'server_domain'"),
    ({"admins": "bob"}, "admins: 'bob'"),
    ({"users": [{"name": "Bob", "secret": "zz"}, {"name": "Eve", "secret": KEY}]}, "users[0] ('Bob').secret"),
    ({"users": [{"name": "Bob", "secret": KEY, "port": 2500}, {"name": "Eve", "secret": KEY, "port": "2500"}]},
     "'Bob' and 'Eve' both have the port 2500"),
    ({"users": [{"name": "", "secret": KEY}]}, "users[0].name: ''"),
    ({"users": [{"name": "Eve", "secret": KEY, "created_at": "last week"}]}, ".created_at: 'last week'"),
])
def test_what_an_older_file_does_not_tell_is_noted_and_kept(tmp_path, fields, words):
    (tmp_path / "config.json").write_text(json.dumps({"users": [{"name": "Bob", "secret": KEY}], **fields}))
    file = ConfigFile(tmp_path)
    file.prepare()
    assert len(file.read().users) >= 1
    assert any(words in sentence(note) for note in file.check()), file.check()
    with file.edit() as config:
        config.monitor_seconds = 20
    assert any(words in sentence(note) for note in ConfigFile(tmp_path).check()), "it is forgotten"


def test_setting_a_field_settles_what_was_left_out():
    config = older(server_ip="my server")
    config.settle("server_ip")
    assert not config.problems() and "_not_understood" not in dump(config)


def test_a_setting_of_today_that_is_wrong_is_never_guessed():
    """A way to Telegram that is not understood must not become the direct one."""
    with pytest.raises(InvalidConfig, match="upstream_socks5"):
        older(upstream_socks5="host")


def test_after_the_first_save_a_typo_is_refused_again(tmp_path):
    file = ConfigFile(tmp_path)
    file.prepare()
    file.path.write_text(json.dumps({**json.loads(file.path.read_text()), "traffic_limit_gb": "much"}))
    with pytest.raises(ConfigError, match="traffic_limit_gb: 'much'"):
        file.read()


def test_every_setting_has_a_name_that_the_generator_knows():
    assert set(SETTINGS) <= set(names(Config))
