"""From an EdgeConfig to nginx's files: pure, and every branch of what is refused or left out."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.edge.base import Certificate, Door, EdgeConfig, EdgeFailure
from app.edge.nginx import abilities, cover, devices
from app.edge.nginx.abilities import Abilities, made_for, parse
from app.edge.nginx.nginx_errors import refusal
from app.edge.nginx.render import TEMPLATES, RenderContext, render
from app.lib import portmap
from app.messages import sentence
from app.runtimes.base import Devices
from tests.support.problems import codes

START = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(name: str, *domains: str, days: int = 90, key: str = "KEY") -> Certificate:
    return Certificate(name, domains, f"CHAIN of {name}", f"{key} of {name}", START, START + timedelta(days=days))


SITE = EdgeConfig(
    routes={"www.pool.test": "mtg-proxy-2443:3128", "bob.example.com": "mtg-proxy-2444:3128"},
    own_names=("example.com", "bob.example.com"), panel_domain="panel.example.org",
    certificates=(certificate("panel", "panel.example.org"), certificate("cover-1", "example.com", "bob.example.com")))
AROUND = RenderContext(cover=cover.files(b"seed"))


def text(site: EdgeConfig = SITE, path: str = "conf.d/edge.conf", around: RenderContext = AROUND) -> str:
    return render(site, around)[path].decode()


def backends(site: EdgeConfig = SITE) -> dict[str, str]:
    """The map of port 443: name -> address."""
    found = re.search(r"map .*?\{(.*?)\n\}", text(site, "stream.d/port443.conf"), re.DOTALL)[1]
    return dict(re.findall(r"^\s+(\S+) (\S+);$", found, re.MULTILINE))


def servers(port: str, site: EdgeConfig = SITE) -> list[str]:
    """The server blocks with a `listen` that begins like this."""
    blocks = re.findall(r"^server \{.*?^\}", text(site), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if re.search(rf"listen {re.escape(port)}\b", block)]


def names(block: str) -> list[str]:
    return re.search(r"server_name\s+(.*?);", block, re.DOTALL)[1].split()


def test_the_same_site_makes_the_same_files_in_whatever_order_it_is_given():
    turned = replace(SITE, routes=dict(reversed(SITE.routes.items())), certificates=SITE.certificates[::-1])
    assert render(SITE, AROUND) == render(turned, AROUND)


@pytest.mark.parametrize("other", [
    replace(SITE, routes={**SITE.routes, "new.pool.test": "mtg-proxy-2445:3128"}),
    replace(SITE, routes={**SITE.routes, "www.pool.test": "mtg-proxy-2445:3128"}),
    replace(SITE, own_names=("example.com",)), replace(SITE, panel_domain=""), replace(SITE, unknown_sni="close"),
    replace(SITE, cover_site="folder"), replace(SITE, cover_site="proxy", cover_url="https://site.test"),
    replace(SITE, nginx_worker_hours=7),
    replace(SITE, certificates=(certificate("panel", "panel.example.org", key="OTHER"), SITE.certificates[1])),
])
def test_whatever_changes_what_is_served_changes_the_version(other: EdgeConfig):
    assert render(other, AROUND)["version"] != render(SITE, AROUND)["version"]


@pytest.mark.parametrize("other", [
    replace(AROUND, panel="panel:1"), replace(AROUND, ipv6=False), replace(AROUND, public_port=8443),
    replace(AROUND, cover=cover.files(b"other")), replace(AROUND, custom={"x.conf": b"#"}),
    replace(AROUND, timing=(b"CHAIN", b"KEY", "/timing")),
])
def test_so_does_what_is_around_it(other: RenderContext):
    assert render(SITE, other)["version"] != render(SITE, AROUND)["version"]


@pytest.mark.parametrize("printed, can", [
    ("nginx version: nginx/1.22.1\n", Abilities()),
    ("nginx version: nginx/1.22.1\nLOADED\n", Abilities(scripts="")),
    ("nginx version: nginx/1.25.1\nLOAD\n", Abilities(True, "load_module modules/ngx_stream_js_module.so;")),
    ("nginx version: nginx/1.30.2 (Ubuntu)\n", Abilities(True)),
    ("OCI runtime exec failed", Abilities()), ("", Abilities()),
])
def test_what_an_nginx_can_do_is_what_it_says(printed: str, can: Abilities, tmp_path: Path):
    assert parse(printed) == can
    for path, content in made_for(can).items():
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(content)
    assert abilities.read(tmp_path) == can


@pytest.mark.parametrize("newer", [False, True])
def test_http2_is_switched_on_as_this_nginx_knows_it(newer: bool):
    site = replace(SITE, door=Door("step", SITE.certificates[0]))
    shown = text(site, around=replace(AROUND, can=Abilities(http2_on=newer)))
    secured = [block for block in re.findall(r"^server \{.*?^\}", shown, re.MULTILINE | re.DOTALL)
               if "ssl_certificate " in block]
    assert len(secured) == 3
    options = " ssl proxy_protocol" if newer else " ssl http2 proxy_protocol"
    assert all(options in block and ("    http2 on;\n" in block) is newer for block in secured)


def test_a_limit_on_addresses_is_for_its_name_only_and_the_others_lead_on_as_ever():
    site = replace(SITE, device_limits={"www.pool.test": 2, "bob.example.com": 1, "gone.pool.test": 1})
    able = replace(AROUND, can=Abilities(scripts=""))
    shown = text(site, "stream.d/port443.conf", able)
    assert "    www.pool.test $edge_entered;\n" in shown and "    example.com 127.0.0.1:8444;\n" in shown
    assert '    www.pool.test "www.pool.test 2 mtg-proxy-2443:3128 127.0.0.1:8444";\n' in shown
    assert '    bob.example.com "bob.example.com 1 mtg-proxy-2444:3128 127.0.0.1:8444";\n' in shown
    closed = text(replace(site, unknown_sni="close"), "stream.d/port443.conf", able)
    assert '2 mtg-proxy-2443:3128 127.0.0.1:8447"' in closed and '1 mtg-proxy-2444:3128 127.0.0.1:8444"' in closed
    assert "gone.pool.test" not in shown
    assert render(site, able)["version"] != render(replace(site, device_limits={"www.pool.test": 3}), able)["version"]
    assert render(site, AROUND) == render(SITE, AROUND), "an nginx that can't is not asked to"


@pytest.mark.parametrize("told", [b"", b"other\n{}", b"ID\n{", b"ID\n[]", b'ID\n{"a.test": {}}', b'ID\n{"a.test": 1}',
                                  b'ID\n{"a.test": {"at": ["xyz"], "refused": 0}}',
                                  b'ID\n{"a.test": {"at": ["00"], "refused": 0}}'])
def test_an_answer_that_is_cut_off_or_of_other_limits_tells_of_none(told: bytes, tmp_path: Path):
    (tmp_path / "parts").mkdir()
    (tmp_path / devices.LIMITS).write_bytes(text := b'{"a.test": 2}')
    assert devices.read(told.replace(b"ID", devices.limits_id(text).encode()), tmp_path) == {}
    fine = devices.limits_id(text).encode() + b'\n{"a.test": {"at": ["20010db800000001", "cb007101"], "refused": 4}}'
    assert devices.read(fine, tmp_path) == {"a.test": Devices(2, 2, 4, ("2001:db8:0:1::/64", "203.0.113.1"))}


def test_the_version_that_is_served_is_that_of_the_files():
    version = render(SITE, AROUND)["version"].decode()
    assert re.fullmatch(r"[0-9a-f]{16}", version) and f'return 200 "{version}";' in text()


def test_every_name_leads_where_it_belongs():
    assert backends() == {
        "default": "127.0.0.1:8444", "www.pool.test": "mtg-proxy-2443:3128", "bob.example.com": "mtg-proxy-2444:3128",
        "example.com": "127.0.0.1:8444", "panel.example.org": "127.0.0.1:8448"}


@pytest.mark.parametrize("unknown, certificates, address", [
    ("cover", SITE.certificates, "127.0.0.1:8444"), ("cover", (), "127.0.0.1:8446"),
    ("cover", SITE.certificates[:1], "127.0.0.1:8446"), ("panel", SITE.certificates, "127.0.0.1:8448"),
    ("panel", SITE.certificates[1:], "127.0.0.1:8446"), ("reject", SITE.certificates, "127.0.0.1:8446"),
    ("close", SITE.certificates, "127.0.0.1:8447"),
])
def test_an_unknown_name_gets_what_the_setting_says_if_there_is_a_certificate_for_it(unknown, certificates, address):
    assert backends(replace(SITE, unknown_sni=unknown, certificates=certificates))["default"] == address


def test_the_panels_name_without_a_certificate_is_rejected_not_shown_something_else():
    site = replace(SITE, certificates=SITE.certificates[1:])
    assert backends(site)["panel.example.org"] == "127.0.0.1:8446"
    assert not servers("127.0.0.1:8448", site)


def test_each_certificate_serves_its_names_and_the_first_of_them_the_rest():
    many = tuple(f"n{i}.example.com" for i in range(250))
    certificates = tuple(certificate(f"cover-{i + 1}", *many[i * 100:i * 100 + 100]) for i in range(3))
    site = replace(SITE, own_names=many, certificates=certificates)
    blocks = servers("8444", site)
    assert [names(block) for block in blocks] == [list(many[:100]), list(many[100:200]), list(many[200:])]
    assert ["default_server" in block for block in blocks] == [True, False, False]
    assert [re.search(r"ssl_certificate (\S+);", b)[1] for b in blocks] == \
        [f"edge/current/certs/cover-{i}.pem" for i in (1, 2, 3)]


def test_of_two_certificates_for_a_name_the_one_that_is_good_for_longer_is_used():
    old, new = certificate("cover-1", "example.com", days=10), certificate("cover-2", "example.com", days=80)
    (block,) = servers("8444", replace(SITE, certificates=(old, new)))
    assert "certs/cover-2.pem" in block and names(block) == ["example.com"]


def test_a_certificate_with_a_wildcard_is_for_names_one_label_below_it():
    site = replace(SITE, own_names=("example.com", "a.example.com", "b.a.example.com"),
                   certificates=(certificate("cover-1", "*.Example.com"),))
    (block,) = servers("8444", site)
    assert names(block) == ["a.example.com"]


def test_plain_http_sends_names_with_a_certificate_to_https_and_shows_the_others_the_cover():
    unknown, secure, plain = servers("80", replace(SITE, own_names=(*SITE.own_names, "new.example.com")))
    assert names(secure) == ["panel.example.org", "example.com", "bob.example.com"]
    assert "return 301 https://$host$request_uri;" in secure
    assert names(plain) == ["new.example.com"] and "parts/cover.conf" in plain
    assert "parts/cover.conf" in unknown and "default_server" in unknown
    assert all("parts/challenge.conf" in block for block in (unknown, secure, plain))


@pytest.mark.parametrize("unknown", ["reject", "close", "panel"])
def test_plain_http_shows_an_unknown_name_nothing_unless_the_cover_is_for_everybody(unknown: str):
    block = servers("80", replace(SITE, unknown_sni=unknown))[0]
    assert "return 444;" in block and "cover.conf" not in block


def test_the_panel_is_never_served_on_plain_http():
    assert not any("panel.conf" in block for block in servers("80", replace(SITE, unknown_sni="panel")))


def test_redirects_lead_to_the_port_that_people_reach():
    around = replace(AROUND, public_port=8443)
    assert "return 301 https://$host:8443$request_uri;" in text(around=around)


def test_without_ipv6_nothing_listens_on_it():
    files = render(SITE, replace(AROUND, ipv6=False))
    assert all(b"[::]" not in body for body in files.values())
    assert "listen [::]:443 so_keepalive=60s:15s:4;" in text(path="stream.d/port443.conf")


def test_keys_are_in_files_of_their_own_and_nowhere_else():
    files = render(SITE, replace(AROUND, timing=(b"CHAIN", b"KEY of timing", "/timing")))
    keys = [path for path, body in files.items() if b"KEY of" in body]
    assert sorted(keys) == ["certs/cover-1.key", "certs/panel.key", "certs/timing.key"]


@pytest.mark.parametrize("site, words", [
    (replace(SITE, routes={"a b.com": "x:1"}), "a b.com"),
    (replace(SITE, routes={"a.com;}": "x:1"}), "a.com;}"),
    (replace(SITE, routes={"$host.com": "x:1"}), "$host.com"),
    (replace(SITE, routes={"Upper.com": "x:1"}), "upper.com"),
    (replace(SITE, routes={"a.com": "x:1; include /etc/passwd"}), "HOST:PORT"),
    (replace(SITE, routes={"a.com": ""}), "HOST:PORT"),
    (replace(SITE, routes={"panel.example.org": "x:1"}), "panel's own name"),
    (replace(SITE, own_names=("panel.example.org",)), "panel's own name"),
    (replace(SITE, own_names=("10.0.0.1",)), "IP address"),
    (replace(SITE, panel_domain="panel\n"), "dot"),
    (replace(SITE, certificates=(certificate("../x", "example.com"),)), "'../x'"),
    (replace(SITE, certificates=(certificate("timing", "example.com"),)), "'timing'"),
    (replace(SITE, certificates=(certificate("c", "example.com"), certificate("c", "bob.example.com", key="X"))),
     "two certificates are called 'c'"),
    (replace(SITE, cover_site="proxy", cover_url=""), "cover_url"),
    (replace(SITE, cover_site="proxy", cover_url="https://a.test/;x"), "cover_url"),
    (replace(SITE, cover_site="proxy", cover_url="https://Bob.example.com"), "leads back"),
    (replace(SITE, cover_site="proxy", cover_url="https://www.pool.test:444"), "leads back"),
    (replace(SITE, cover_site="proxy", cover_url="https://panel.example.org"), "leads back"),
])
def test_what_no_configuration_can_be_made_of_is_refused_with_the_value(site: EdgeConfig, words: str):
    with pytest.raises(EdgeFailure) as refused:
        render(site, AROUND)
    assert words in str(refused.value)


# What nginx says


AT_LINE = ["nginx.at", "nginx.own_file", "nginx.line_shown", "text"]


@pytest.mark.parametrize("printed, told, words", [
    (('nginx: [emerg] unknown directive "foo" in /run/check/edge/current/custom.d/mine.conf:2\nnginx: configuration '
      "file /run/check/nginx.conf test failed"), AT_LINE,
     'your own file custom.d/mine.conf, line 2 (foo bar;): unknown directive "foo"'),
    ('nginx: [emerg] cannot load certificate "/run/check/edge/current/certs/panel.pem": PEM_read_bio_X509_AUX() failed',
     ["nginx.means", "nginx.bad_certificate"], "certs/panel.pem"),
    (('nginx: [emerg] SSL_CTX_use_PrivateKey("/run/check/edge/current/certs/panel.key") failed (SSL: '
      "error:05800074:x509 certificate routines::key values mismatch)"), ["nginx.means", "nginx.other_key"],
     "certs/panel.key"),
    (('nginx: [emerg] cannot load certificate key "/run/check/edge/current/certs/panel.key": BIO_new_file() failed '
      "(SSL: error:8000000D:system library::Permission denied"), ["nginx.means", "nginx.bad_key"], "certs/panel.key"),
    ("2026/11/21 11:00:00 [emerg] 1#1: bind() to 0.0.0.0:9999 failed (98: Address already in use)",
     ["nginx.means", "nginx.port_taken", "nginx.some_file"], "bind() to 0.0.0.0:9999"),
    ("", ["nginx.says_no_more"], ""), ("sh: nginx: not found\n", ["text"], "nginx: not found"),
])
def test_a_refusal_says_where_and_why(printed: str, told: list[str], words: str):
    refused = refusal(printed, {"custom.d/mine.conf": b"server {\n  foo bar;\n}\n"})
    assert codes(refused) == told and words in sentence(refused)


# The built-in cover site


def test_the_cover_site_is_the_same_for_the_same_seed():
    assert cover.files(b"seed") == cover.files(b"seed")


def test_no_two_installations_have_the_same_cover_site():
    sites = [cover.files(os.urandom(32)) for _ in range(50)]
    assert len({site["index.html"] for site in sites}) == 50
    styles = [next(body for name, body in site.items() if name.endswith(".css")) for site in sites]
    assert len(set(styles)) == 50
    assert len({tuple(sorted(site)) for site in sites}) > 20, "the names of the files tell nothing either"


def test_every_link_of_the_cover_site_leads_to_a_page_of_it_and_none_elsewhere():
    for number in range(100):
        site = cover.files(b"%d" % number)
        assert {"index.html", "404.html", "robots.txt", "favicon.svg"} <= set(site)
        for name, body in site.items():
            assert b"://" not in body.replace(b"http://www.w3.org/2000/svg", b""), name
            for link in re.findall(rb'href="([^"]*)"', body):
                assert link == b"/" or link.decode().removeprefix("/") in site, (name, link)


def test_a_file_of_the_operators_may_have_a_name_that_is_no_text():
    named = os.fsdecode(b"caf\xe9.conf")
    assert f"custom.d/{named}" in render(SITE, replace(AROUND, custom={named: b"#"}))


# The panel at the bare address

BY_ADDRESS = replace(SITE, door=Door("a-path-nobody-knows", certificate("address", "203.0.113.7")))


def test_without_the_bare_address_nothing_of_it_is_there():
    assert "8449" not in text(path="stream.d/port443.conf") and "8450" not in text()


def test_the_panel_at_the_bare_address_is_under_its_path_and_everything_else_is_a_strangers():
    block, = servers("127.0.0.1:8450", BY_ADDRESS)
    assert "certs/address.pem" in block and "location ^~ /a-path-nobody-knows/ {" in block
    assert "proxy_set_header X-Forwarded-Prefix /a-path-nobody-knows;" in block
    assert "parts/cover.conf" in block
    assert "parts/cover.conf" not in servers("127.0.0.1:8450", replace(BY_ADDRESS, unknown_sni="close"))[0]
    assert "listen [::]:8449;" in text(BY_ADDRESS, "stream.d/port443.conf")
    fenced = text(BY_ADDRESS, "stream.d/port443.conf", replace(AROUND, proxies="172.28.0.0/16"))
    assert fenced.count("deny 172.28.0.0/16;") == 2, "no proxy reaches the panel by that port"
    assert render(BY_ADDRESS, AROUND)["certs/address.key"] == b"KEY of address"
    # And 443 is as it was.
    assert backends(BY_ADDRESS) == backends(SITE)


def test_there_the_panel_is_told_and_sends_what_it_does_under_its_name_but_what_would_hold_for_every_port():
    own = (TEMPLATES.parent / "panel.conf").read_text()
    block, = servers("127.0.0.1:8450", BY_ADDRESS)

    def said(where: str) -> set[str]:
        return {" ".join(line.split()) for line in where.splitlines()
                if line.strip().startswith(("add_header", "proxy_", "client_max", "access_log", "error_log",
                                            "return 502"))}

    assert said(own) - said(block) == {
        'add_header Strict-Transport-Security "max-age=31536000" always;', 'proxy_set_header X-Forwarded-Prefix "";',
        "proxy_set_header X-Forwarded-Proto $scheme;"}
    assert "Strict-Transport-Security \"" not in block


@pytest.mark.parametrize("path", ["", "a/b", "a b", "a;}", "../a", "a" * 65, "\u0430"])
def test_a_path_that_nginx_could_not_be_told_is_refused(path: str):
    with pytest.raises(EdgeFailure, match="can't have the path"):
        render(replace(SITE, door=Door(path, certificate("address", "203.0.113.7"))), AROUND)


def test_a_router_before_443_is_believed_and_nobody_else_and_only_there():
    alone = text(path="stream.d/port443.conf")
    behind = text(path="stream.d/port443.conf", around=replace(AROUND, router="172.30.255.12"))
    assert "set_real_ip_from" not in alone and "listen 443 so_keepalive=60s:15s:4;" in alone
    assert re.findall(r"set_real_ip_from (\S+);", behind) == ["172.30.255.12"]
    assert re.findall(r"listen (\S+) proxy_protocol;", behind)[:2] == ["443", "[::]:443"]
    site = replace(SITE, door=Door("path", certificate("address", "203.0.113.7")))
    door = text(site, "stream.d/port443.conf", replace(AROUND, router="172.30.255.12")).partition("bare address")[2]
    assert "set_real_ip_from" not in door


PAGES = ("AAAAAAAAAAAAAAAAAAAAAA", "Bb0_-BBBBBBBBBBBBBBBBB")
SHARED = replace(SITE, share_hostname="share.example.net", share_pages=PAGES,
                 certificates=(*SITE.certificates, certificate("share", "share.example.net")))


def test_users_own_pages_have_a_server_under_their_name_that_shows_the_cover_site_else():
    (block,) = [block for block in servers(f"{portmap.COVER}", SHARED) if "share.example.net" in names(block)]
    assert "certs/share.pem" in block and "include edge/current/parts/share.conf" in block
    assert "include edge/current/parts/cover.conf" in block and "default_server" not in block
    assert backends(SHARED)["share.example.net"] == f"127.0.0.1:{portmap.COVER}"
    assert set(re.findall(r"^    /s/(\S+) /s/\1;$", text(SHARED), re.MULTILINE)) == set(PAGES)


def test_without_a_certificate_their_name_is_turned_away_and_nothing_else_changes():
    site = replace(SITE, share_hostname="share.example.net", share_pages=PAGES)
    assert backends(site)["share.example.net"] == f"127.0.0.1:{portmap.REJECT}"
    assert "edge_share" not in text(site) and "parts/share.conf" not in render(site, AROUND)
    assert text(site).count("server {") == text().count("server {")


def test_users_own_pages_are_beside_the_secret_path_at_the_bare_address():
    site = replace(SITE, door=Door("p" * 22, certificate("address", "203.0.113.7")), share_pages=PAGES)
    assert text(site).count("parts/share.conf") == 1
    assert "parts/share.conf" not in text(replace(site, share_pages=()))


def test_pages_that_nginx_could_not_tell_apart_are_one_and_odd_ones_are_refused():
    two = replace(SHARED, share_pages=("a" * 22, "A" * 22))
    assert len(re.findall(r"^    /s/", text(two), re.MULTILINE)) == 1
    for odd in ("short", "a" * 21 + ";", "a" * 21 + "\n", "é" * 22):
        with pytest.raises(EdgeFailure):
            render(replace(SHARED, share_pages=(odd,)), AROUND)


@pytest.mark.parametrize("name", ["panel.example.org", "example.com", "www.pool.test"])
def test_the_name_of_users_own_pages_is_nobody_elses(name: str):
    with pytest.raises(EdgeFailure, match="must be theirs alone"):
        render(replace(SHARED, share_hostname=name), AROUND)
