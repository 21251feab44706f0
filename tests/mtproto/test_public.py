"""Which addresses strangers may be passed on to."""

from __future__ import annotations

import ipaddress
import random

import pytest

from app.lib.public import is_public

INSIDE = ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3",
          "169.254.169.254", "100.64.0.1", "100.100.100.200", "100.127.255.255", "192.0.0.192", "192.88.99.1",
          "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
          "168.63.129.16")
OUTSIDE = ("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
           "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "149.154.167.51")


def forms(address: str) -> list[str]:
    """The IPv6 addresses that stand for this IPv4 address."""
    number = int(ipaddress.IPv4Address(address))
    return [f"::ffff:{address}", f"64:ff9b::{address}", str(ipaddress.IPv6Address((0x2002 << 112) | number << 80)),
            str(ipaddress.IPv6Address((0x2002 << 112) | number << 80 | random.getrandbits(80)))]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_of_somebodys_own_network_is_not_public_in_any_of_its_forms(address: str):
    assert not any(is_public(form) for form in (address, *forms(address)))


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_public_in_all_of_its_forms(address: str):
    assert all(is_public(form) for form in (address, *forms(address)))


@pytest.mark.parametrize("address", [
    "::", "::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00::1", "fdff::1", "ff02::1", "ff0e::1",
    "100::1", "2001::1", "2001:0:1::1", "64:ff9b:1::1", "::10.0.0.1", "::1.1.1.1", "5f00::1"])
def test_ipv6_beside_the_internet_is_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2c0f::1"])
def test_ipv6_of_the_internet_is_public(address: str):
    assert is_public(address)


def test_a_network_of_our_own_is_not_public_whatever_its_addresses_are():
    own = (ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("2a00:1450::/32"))
    for address in ("203.0.113.9", *forms("203.0.113.9"), "2a00:1450::1"):
        assert is_public(address) and not is_public(address, own)


def test_what_is_no_address_is_said():
    for text in ("", "localhost", "10.0.0", "1.2.3.4.5"):
        with pytest.raises(ValueError):
            is_public(text)


def test_whatever_python_calls_private_is_not_public_but_examples_in_documents():
    """The list is our own: over many addresses it is never looser than the standard library's."""
    documents = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",
                                                   "2001:db8::/32", "3fff::/20")]
    dice = random.Random(41)
    for _ in range(20_000):
        address = ipaddress.ip_address(dice.getrandbits(32)) if dice.random() < 0.5 else \
            ipaddress.IPv6Address(dice.getrandbits(128))
        if (address.is_private or address.is_multicast) and not any(address in each for each in documents):
            assert not is_public(str(address)) or (address.version == 6 and address.ipv4_mapped), address
