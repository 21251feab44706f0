from __future__ import annotations

import io
import xml.etree.ElementTree as xml
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.mtproto.links import Link, LinkError, parse_link, tg_link, tme_link
from app.mtproto.qr import qr_png, qr_svg, qr_terminal
from app.mtproto.secret import Secret

SECRET = Secret.generate("www.example.com")
SERVERS = st.one_of(
    st.ip_addresses().map(str),
    st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{1,20}){1,3}", fullmatch=True),
)


@given(SERVERS, st.integers(1, 65535), st.sampled_from([tg_link, tme_link]))
def test_a_link_reads_back_as_what_it_was_made_of(server: str, port: int, make: object) -> None:
    assert parse_link(make(server, port, SECRET)) == Link(server, port, SECRET)


def test_links_are_escaped_and_ipv6_servers_lose_their_brackets() -> None:
    for server in ("2001:db8::1", "[2001:db8::1]"):
        link = tg_link(server, 443, SECRET)
        assert link == f"tg://proxy?server=2001%3Adb8%3A%3A1&port=443&secret={SECRET.hex}"
    link = tme_link("a&secret=x#y", 1, SECRET)
    assert link.startswith("https://t.me/proxy?")
    assert parse_qs(urlsplit(link).query)["server"] == ["a&secret=x#y"]


@pytest.mark.parametrize(
    "template",
    ["tg://proxy?{}", "tg:proxy?{}", "TG://proxy/?{}", "https://t.me/proxy?{}", "http://telegram.me/proxy?{}",
     " https://www.t.me/proxy?{}\n"],
)  # fmt: skip
def test_every_usual_form_of_a_proxy_link_is_read(template: str) -> None:
    link = template.format(f"port=443&server=p.example.com&secret={SECRET.base64url}")
    assert parse_link(link) == Link("p.example.com", 443, SECRET)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("", "not a proxy link"),
        ("https://example.com/proxy?server=a&port=1&secret=x", "not a proxy link"),
        ("https://t.me/socks?server=a&port=1", "not a proxy link"),
        ("tg://proxy?port=1&secret=" + "ab" * 16, "no server"),
        ("tg://proxy?server=a&secret=" + "ab" * 16, "no port"),
        ("tg://proxy?server=a&port=1", "no secret"),
        ("tg://proxy?server=a&port=0&secret=" + "ab" * 16, "not a port"),
        ("tg://proxy?server=a&port=+1&secret=" + "ab" * 16, None),
        ("tg://proxy?server=a&port=١&secret=" + "ab" * 16, "not a port"),
        ("tg://proxy?server=a&port=1&secret=zz", "secret is bad"),
        ("tg://proxy?server=a%20b&port=1&secret=" + "ab" * 16, "not a server"),
        ("https://[t.me/proxy", "not a link"),
    ],
)
def test_what_is_no_proxy_link_is_refused_with_the_reason(link: str, words: str | None) -> None:
    if words is None:
        assert parse_link(link).port == 1
        return
    with pytest.raises(LinkError, match=words):
        parse_link(link)


@given(st.text(max_size=120))
def test_any_text_is_a_link_or_is_refused(text: str) -> None:
    whole = f"https://t.me/proxy?server={text}&port=1&secret={'ab' * 16}"
    for candidate in (text, "tg://proxy?" + text, whole):
        try:
            assert parse_link(candidate).server
        except LinkError as error:
            assert str(error)


@pytest.mark.parametrize(("server", "port"), [("", 1), ("a b", 1), ("a", 0), ("a", 65536), ("a\n", "x")])
def test_no_link_is_made_for_a_server_or_port_that_is_none(server: str, port: int) -> None:
    with pytest.raises(LinkError):
        tg_link(server, port, SECRET)


def test_qr_images_are_large_enough_and_show_the_same_modules() -> None:
    link = tg_link("proxy.example.com", 443, SECRET)
    image = Image.open(io.BytesIO(qr_png(link))).convert("1")
    assert image.width == image.height >= 300
    root = xml.fromstring(qr_svg(link))
    side = int(root.get("viewBox").split()[2])
    scale = image.width // side
    dark = sum(
        not image.getpixel((x * scale + scale // 2, y * scale + scale // 2))
        for x in range(side)
        for y in range(side)
    )
    path = next(element for element in root.iter() if element.tag.endswith("path"))
    assert path.get("d").count("M") == dark > 200
    assert b"style" not in qr_svg(link) and b"script" not in qr_svg(link)
    drawn = qr_terminal(link)
    assert drawn.count("█") * 2 + drawn.count("▀") + drawn.count("▄") == dark
