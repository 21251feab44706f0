"""Where names lead: the DNS is the only part that is not real here."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from app.checks.addresses import Addresses, LookupFailed, interfaces
from app.config.model import Config
from app.messages import sentence

HERE, HERE6, ELSEWHERE, ELSEWHERE6 = "203.0.113.7", "2001:db8::7", "198.51.100.1", "2001:db8:1::1"


def dns(**records: tuple[str, ...]) -> Addresses:
    """A DNS that knows these names (without their dots)."""

    def resolve(name: str, port: object, family: int, kind: int) -> list[tuple]:
        found = records.get(name.replace(".", ""))
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(family, kind, 6, "", (address, 0)) for address in found]

    return Addresses(resolve, seconds=60)


def test_the_addresses_of_a_name_are_of_both_kinds() -> None:
    assert dns(atest=(HERE, HERE6)).of("a.test") == {HERE, HERE6}
    assert Addresses(seconds=60).of("localhost") & {"127.0.0.1", "::1"}, "the real one"


@pytest.mark.parametrize(("address", "same"), [(HERE, HERE), ("2001:DB8:0::7", HERE6)])
def test_an_address_leads_to_itself(address: str, same: str) -> None:
    assert dns().of(address) == {same}


@pytest.mark.parametrize(("error", "words"), [
    (socket.gaierror(socket.EAI_NONAME, "x"), "has no address"),
    (socket.gaierror(socket.EAI_AGAIN, "x"), "gives no answer"),
    (socket.gaierror(socket.EAI_FAIL, "broken server"), "broken server"),
    (UnicodeError("label too long"), "no host name"),
])
def test_a_failed_look_up_says_why(error: Exception, words: str) -> None:
    def resolve(*_: object) -> list[tuple]:
        raise error

    with pytest.raises(LookupFailed, match=words) as failure:
        Addresses(resolve, seconds=60).of("a.test")
    assert "a.test" in str(failure.value)


def test_a_dns_that_hangs_holds_nobody_up() -> None:
    release = threading.Event()

    def resolve(*_: object) -> list[tuple]:
        release.wait(30)
        return []

    began = time.monotonic()
    with pytest.raises(LookupFailed, match=r"no answer for a\.test within 0\.1 s"):
        Addresses(resolve, seconds=0.1).of("a.test")
    assert not release.is_set() and time.monotonic() - began < 20
    release.set()


def test_this_server_is_what_was_declared_and_what_its_interfaces_have() -> None:
    config = Config(server_ip=HERE, server_domain="server.test")
    own = dns(servertest=(HERE6,)).own(config)
    assert {HERE, HERE6} | interfaces() == own
    assert dns().own(config) == {HERE} | interfaces(), "a server_domain without an address has no say"


def test_the_interfaces_are_read_from_the_kernels_tables(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
        "     +-- 127.0.0.0/8 2 0 2\n           |-- 127.0.0.1\n              /32 host LOCAL\n"
        "     |-- 203.0.113.0\n        /24 link UNICAST\n     |-- 203.0.113.7\n        /32 host LOCAL\n"
        "     |-- 203.0.113.255\n        /32 link BROADCAST\n")
    (tmp_path / "if_inet6").write_text(
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "20010db8000000000000000000000007 02 40 00 80     eth0\n"
        "fe800000000000000000000000000007 02 40 20 80     eth0\n")
    assert interfaces(tmp_path) == {HERE, HERE6}
    assert interfaces(tmp_path / "missing") == frozenset()
    assert not {"127.0.0.1", "::1"} & interfaces(), "the real ones"


OWN = frozenset([HERE, HERE6])


def test_a_name_leads_here_if_all_of_its_addresses_are_this_servers() -> None:
    names = dns(both=(HERE, HERE6), four=(HERE,))
    assert names.leads_here("both", OWN) is None and names.leads_here("four", OWN) is None


@pytest.mark.parametrize(("records", "own", "words"), [
    ((ELSEWHERE,), OWN, f"the A record of x.test is {ELSEWHERE}, which is not this server ({HERE}, {HERE6})"),
    ((HERE, ELSEWHERE6), OWN, f"the AAAA record of x.test is {ELSEWHERE6}"),
    ((HERE, HERE6), frozenset([HERE]), "set server_domain"),
    ((HERE, ELSEWHERE), OWN, f"the A record of x.test is {ELSEWHERE}"),
    ((HERE,), frozenset(), "set server_ip"),
])
def test_a_single_address_elsewhere_is_named_with_what_to_do(records: tuple[str, ...], own: frozenset[str],
                                                             words: str) -> None:
    assert words in sentence(dns(xtest=records).leads_here("x.test", own))


def test_a_name_without_an_address_leads_nowhere() -> None:
    assert dns().leads_here("x.test", OWN).code == "dns.none"
