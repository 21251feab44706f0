"""From how many addresses a link is used: counted, limited while the engine runs, free again when a client leaves."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from app.builtin.addresses import Addresses
from app.builtin.ratelimit import LimitsError, parse_limits
from app.engines.builtin import ADDRESSES, Builtin
from tests.mtproto.parts import Engine, open_session
from tests.support.dc import DataCenter

Start = Callable[..., Engine]


def test_an_address_counts_once_however_many_sessions_it_has_and_is_free_with_the_last_one() -> None:
    link = Addresses(2)
    assert [link.enter("192.0.2.1") for _ in range(3)] == [True] * 3
    assert link.enter("192.0.2.2") and not link.enter("192.0.2.3")
    assert (len(link), link.refused) == (2, 1)
    assert link.enter("192.0.2.2"), "a further session of one that is counted"
    link.leave("192.0.2.2")
    assert not link.enter("192.0.2.3"), "its other session lives"
    link.leave("192.0.2.2")
    assert link.enter("192.0.2.3") and len(link) == 2


def test_a_household_of_ipv6_is_one_address_and_a_mapped_one_is_that_of_ipv4() -> None:
    link = Addresses(1)
    assert link.enter("2001:db8::1") and link.enter("2001:db8::ffff:1") and not link.enter("2001:db8:0:1::1")
    link = Addresses(1)
    assert link.enter("::ffff:192.0.2.1") and link.enter("192.0.2.1") and len(link) == 1


def test_a_limit_that_is_lowered_ends_nobody_and_none_lets_everybody_in() -> None:
    link = Addresses()
    assert all(link.enter(f"192.0.2.{number}") for number in range(1, 9))
    link.limit = 2
    assert len(link) == 8 and link.enter("192.0.2.1") and not link.enter("192.0.2.99")
    link.limit = 0
    assert link.enter("192.0.2.99")


def test_what_is_no_number_of_addresses_is_refused_and_none_leaves_it_to_the_configuration() -> None:
    assert parse_limits("").addresses is None and parse_limits("max-unique-ips = 0").addresses == 0
    for text in ("max-unique-ips = -1", "max-unique-ips = true", "max-unique-ips = 'two'"):
        with pytest.raises(LimitsError, match="max-unique-ips"):
            parse_limits(text)


def lasts(sock: socket.socket) -> bool:
    """Whether the engine keeps this session; it says nothing by itself."""
    sock.settimeout(1)
    try:
        return bool(sock.recv(1))
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def limit(proxy: Engine, number: int) -> None:
    new = Path(proxy.folder / "limits.new")
    new.write_text(f"max-unique-ips = {number}\n")
    os.replace(new, proxy.folder / "limits.toml")
    proxy.wait_for(lambda: proxy.metric("builtin_unique_ips_limit") == number)


def test_a_third_address_is_refused_and_let_in_after_another_one_has_left(engine: Start, dc: DataCenter) -> None:
    proxy = engine(upstream=[f"socks5://{dc.socks5}"], **{"max-unique-ips": 2})
    first, second = (open_session(proxy, source=f"127.0.0.{number}") for number in (2, 3))
    proxy.wait_for(lambda: proxy.metric("builtin_unique_ips") == 2)
    assert lasts(open_session(proxy, source="127.0.0.2")), "a further session of an address that is counted"
    assert not lasts(open_session(proxy, source="127.0.0.4"))
    assert (proxy.metric("builtin_unique_ips_refused"), proxy.metric("mtg_domain_fronting")) == (1, 0)
    assert Builtin().bad(proxy.metrics_text()) == {ADDRESSES: 1}
    second.close()
    proxy.wait_for(lambda: proxy.metric("builtin_unique_ips") == 1)
    third = open_session(proxy, source="127.0.0.4")
    assert lasts(third) and lasts(first)

    limit(proxy, 3)
    assert lasts(open_session(proxy, source="127.0.0.5"))
    limit(proxy, 1)
    assert lasts(first) and lasts(third), "whoever is in stays"
    assert not lasts(open_session(proxy, source="127.0.0.6"))
    limit(proxy, 0)
    assert lasts(open_session(proxy, source="127.0.0.6"))
    assert "one address more than the 2" in proxy.log()


def test_an_address_whose_data_centre_can_not_be_reached_takes_no_place(engine: Start) -> None:
    proxy = engine(upstream=["socks5://127.0.0.1:1"], **{"max-unique-ips": 1})
    for number in (2, 3, 4):
        assert not lasts(open_session(proxy, source=f"127.0.0.{number}"))
        proxy.wait_for(lambda: proxy.metric("builtin_unique_ips") == 0)
    assert proxy.metric("builtin_unique_ips_refused") == 0
