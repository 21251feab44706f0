"""Hosts, addresses and what is made of them: what can work is taken in one spelling, the rest is refused at once."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.config import hosts
from app.config.model import InvalidConfig, load
from app.mtproto.secret import Secret, SecretError, valid_domain

LABEL = "a" * 64


def refused(field: str, value: object) -> str:
    with pytest.raises(InvalidConfig) as refusal:
        load({field: value})
    return str(refusal.value)


@pytest.mark.parametrize("typed, kept", [
    ("proxy.example.com", "proxy.example.com"), ("Proxy.Example.com.", "proxy.example.com"), ("server", "server"),
    ("https://x.example/", "x.example"), ("203.0.113.7", "203.0.113.7"), ("[2001:db8::7]", "2001:db8::7"),
    ("::ffff:203.0.113.7", "203.0.113.7"), ("прокси.рф", "xn--h1adldfi.xn--p1ai"), ("faß.de", "xn--fa-hia.de"),
    ("نامه\u200cای.com", "xn--mgba3gch31f060k.com"), ("127.0.0.1", "127.0.0.1"), ("", "")])
def test_the_servers_name_is_taken_in_one_spelling(typed, kept):
    assert load({"server_domain": typed}).server_domain == kept


@pytest.mark.parametrize("value", ["203.0.113.300", "1.2.3", "0x7f.1", "a..b", ".a", "-a.example", "a_b.example", "a b",
                                   f"{LABEL}.example", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
                                   "0.1.2.3", "fe80::1%eth0", "💩.la", "https://x.example:1/a", "a@b", "\u202ea.рф"])
def test_a_servers_name_that_can_not_work_is_refused(value):
    assert "server_domain" in refused("server_domain", value)


@pytest.mark.parametrize("field", ["server_ip", "domain_fronting_ip", "proxy_bind"])
@pytest.mark.parametrize("value", ["224.0.0.1", "ff02::1", "fe80::1%eth0", "255.255.255.255", "example.com"])
def test_an_address_that_nobody_has_is_refused(field, value):
    assert field in refused(field, value)


def test_all_addresses_can_be_listened_on_but_not_connected_to():
    for everything in ("0.0.0.0", "::"):
        assert load({"proxy_bind": everything}).proxy_bind == everything
        assert "server_ip" in refused("server_ip", everything)


@pytest.mark.parametrize("field", ["cover_url", "acme_directory", "mtg_timing_urls"])
@pytest.mark.parametrize("value", [
    "https://example.com:99999", "https://example.com:0", "https://a..b", "https://.", "https://-", "https://-a.example",
    "https://1.2.3.400", f"https://{LABEL}.example", "https://0.0.0.0", "http://example.com", "https://u:p@example.com",
    "https://exa mple.com", "https://[::1]", "https://example.com/$x", "https://example.com:", "https://"])
def test_an_address_that_breaks_later_is_refused(field, value):
    assert field in refused(field, value)


@pytest.mark.parametrize("value", ["-a@example.com", "a@-example.com", "a@example", "a..b@example.com",
                                   ".a@example.com", "a@b@c.example", "a@203.0.113.7", f"{LABEL}a@example.com",
                                   "a@example..com", "@"])
def test_an_email_address_that_is_none_is_refused(value):
    assert "acme_email" in refused("acme_email", value)


@pytest.mark.parametrize("field, value", [
    ("upstream_socks5", "a..b:1080"), ("upstream_socks5", "host:99999"), ("upstream_socks5", "2001:db8::1:1080"),
    ("upstream_socks5", "0.0.0.0:1080"), ("upstream_socks5", f"{'u' * 256}:p@host:1"),
    ("upstream_socks5", f"u:{'я' * 128}@host:1"), ("upstream_socks5", "203.0.113.300:1"),
    ("proxy_dns", "0.0.0.0"), ("proxy_dns", "https://"), ("proxy_dns", "https://a..b/q"), ("proxy_dns", "tls://x:99999"),
    ("proxy_dns", "https://exa\u202emple.com"), ("proxy_image", "a//b"), ("proxy_image", "a:"), ("proxy_image", "a::b"),
    ("proxy_image", "a@b"), ("proxy_image", "-a"), ("proxy_image", f"a:{'t' * 129}"), ("panel_domain", "203.0.113.7"),
    ("panel_domain", "panel"), ("sni_base_domain", ".".join(["a" * 60] * 3)),
    ("domain_pool", "www.example.com 1.2.3.4"), ("fake_tls_domain", "www.google.com:443")])
def test_a_setting_that_breaks_later_is_refused(field, value):
    assert field in refused(field, value)


@pytest.mark.parametrize("field, typed, kept", [
    ("cover_url", "https://Example.com:8443/", "https://example.com:8443"),
    ("cover_url", "https://203.0.113.7", "https://203.0.113.7"),
    ("cover_url", "https://пример.рф", "https://xn--e1afmkfd.xn--p1ai"),
    ("acme_directory", "https://ca.example/acme/dir?x=1", "https://ca.example/acme/dir?x=1"),
    ("acme_email", "a.b+c@Example.com", "a.b+c@example.com"), ("sni_base_domain", "*.example.com", "example.com"),
    ("upstream_socks5", "[2001:db8::1]:1080", "[2001:db8::1]:1080"),
    ("proxy_dns", "https://[2001:db8::1]/dns-query", "https://[2001:db8::1]/dns-query"),
    ("panel_domain", "Panel.example.com.", "panel.example.com")])
def test_a_setting_that_can_work_is_taken(field, typed, kept):
    assert getattr(load({field: typed}), field) == kept


texts = (st.text(max_size=30)
         | st.lists(st.text(st.characters(min_codepoint=0x21), max_size=8), max_size=4).map(".".join))


@given(texts)
@example("\u200d.\u200c")
@example("xn--.xn--a")
@example("ß.ẞ.İ")
@settings(max_examples=600, deadline=None)
def test_a_domain_has_one_ascii_spelling_that_fits_into_a_secret_or_is_refused_in_words(text):
    try:
        name = valid_domain(text)
    except SecretError as refusal:
        assert "allowed are" in str(refusal)
        return
    assert name.isascii() and valid_domain(name) == name == name.lower()
    assert Secret.parse(Secret.generate(name).hex).domain == name


@given(texts | st.ip_addresses().map(str))
@settings(max_examples=400, deadline=None)
def test_a_host_has_one_spelling_or_is_refused(text):
    for read in (hosts.host, hosts.address, hosts.bind_address, hosts.https, hosts.site, hosts.resolver, hosts.email,
                 hosts.socks5, hosts.image, hosts.domain, hosts.base_domain):
        for typed in (text, f"https://{text}", f"{text}:1080", f"a@{text}"):
            try:
                kept = read(typed)
            except ValueError:
                continue
            assert read(kept) == kept
