"""No test reaches the internet from pytest's own process, and whoever tries fails."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import suppress

import pytest

from tests.support import indoors


@pytest.mark.parametrize(("address", "outside"), [
    (("127.0.0.1", 1), False), (("::1", 1, 0, 0), False), (("10.1.2.3", 1), False), (("172.28.0.1", 80), False),
    (("localhost", 1), False), (("203.0.113.7", 1), False), (("fe80::1%lo", 1, 0, 1), False), ("/run/x.sock", False),
    (("1.1.1.1", 443), True), (("::ffff:1.1.1.1", 443, 0, 0), True), (("2606:4700::1", 443, 0, 0), True),
    (("telegram.org", 443), True)])
def test_addresses_of_the_internet_are_outside(address, outside):
    assert indoors.is_outside(address) is outside


def test_no_way_of_asking_leads_outside():
    ways = [lambda: socket.create_connection(("1.1.1.1", 443), 5), lambda: urllib.request.urlopen("http://1.1.1.1/"),
            lambda: socket.socket().connect_ex(("1.1.1.1", 443)),
            lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("1.1.1.1", 53))]
    for way in ways:
        with pytest.raises(indoors.WentOutside):
            way()
    assert len(indoors.tried) == len(ways), "what a thread swallows is told all the same"
    indoors.tried.clear()


def test_a_test_that_catches_it_fails_in_the_end():
    with suppress(AssertionError):
        socket.create_connection(("1.1.1.1", 443), 5)
    with pytest.raises(pytest.fail.Exception, match="1.1.1.1"):
        indoors.fail_whoever_went()
