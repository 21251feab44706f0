"""The address in links: what the DNS says of it is told where people look, and nobody waits for it."""

from __future__ import annotations

import socket
import threading

import pytest

from app.checks.addresses import Addresses
from app.checks.server import GOOD_FOR, Server
from app.config.model import load
from app.control.monitor import Monitor
from app.control.views import changed_links
from app.engines.builtin import Builtin
from app.messages import Problem
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime

HERE = "203.0.113.7"


class Dns:
    """A DNS that remembers what it was asked."""

    def __init__(self, **known: str) -> None:
        self.known = {name.replace("_", "."): address for name, address in known.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: object, family: int, type: int) -> list[tuple]:
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(family, type, 6, "", (self.known[host], 0))]


def test_a_name_that_the_dns_does_not_know_is_saved_and_told_at_once(tmp_path, machine):
    fleet = Fleet(tmp_path, MemoryRuntime(machine), Builtin(), addresses=Addresses(Dns()))
    fleet.set_settings({"server_domain": "nowhere.example"})
    assert fleet.config().server_domain == "nowhere.example"
    assert "nowhere.example has no address in the DNS" in fleet.status().server_note


@pytest.mark.parametrize("address, ip, code", [
    (HERE, "", None), (HERE, HERE, None), ("198.51.100.1", HERE, "server.elsewhere"),
    ("127.0.1.1", "", "server.itself"),
    ("192.168.1.5", "", None)])
def test_a_name_that_leads_elsewhere_is_told(address, ip, code):
    server = Server(Addresses(Dns(proxy_example=address)))
    config = load({"server_domain": "proxy.example", "server_ip": ip})
    server.look(config)
    note = server.note(config)
    assert (note.code if note else None) == code and (not note or note.params["addresses"] == [address])


def test_the_dns_is_asked_from_time_to_time_and_for_a_new_name_at_once():
    dns, now = Dns(a_example=HERE, b_example=HERE), [1000.0]
    server = Server(Addresses(dns), clock=lambda: now[0])
    for _ in range(3):
        server.look(load({"server_domain": "a.example"}))
    server.look(load({"server_domain": "b.example"}))
    now[0] += GOOD_FOR
    server.look(load({"server_domain": "b.example"}))
    server.look(load({"server_ip": HERE}))
    assert dns.asked == ["a.example", "b.example", "b.example"]


def test_no_page_and_no_tick_waits_for_a_dns_that_hangs(tmp_path, machine):
    hangs, asked = threading.Event(), threading.Event()

    def resolve(*_: object) -> list[tuple]:
        asked.set()
        hangs.wait(120)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    fleet = Fleet(tmp_path, MemoryRuntime(machine), Builtin(), addresses=Addresses(resolve, seconds=60))
    with fleet.file.edit() as config:
        config.server_domain = "slow.example"
    monitor = Monitor(fleet, tick=3600)
    try:
        monitor.tick()
        monitor.tick()
        assert asked.wait(60) and not hangs.is_set()
        assert fleet.status().server_note == ""
        with fleet.file.edit() as config:  # and the declaration is not locked meanwhile
            config.monitor_seconds = 20
    finally:
        hangs.set()


def test_a_change_that_makes_other_links_is_told(fleet):
    fleet.set_settings({"server_ip": HERE})
    fleet.add_user("Alice")
    before = fleet.users()
    fleet.set_settings({"traffic_limit_gb": "5"})
    fleet.add_user("Bob")
    assert changed_links(before, fleet.users()) == []
    fleet.set_settings({"server_domain": "proxy.example"})
    assert changed_links(before, fleet.users()) == [Problem("links.changed")]
