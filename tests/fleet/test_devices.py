"""A limit on the addresses of a link, by whoever can keep it: the engine, the runtime around it, or nginx before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engines.builtin import BuiltinImage
from app.engines.mtg.engine import MtgImage
from app.runtimes.base import Place
from tests.support.fleet import Fleet
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import Machine, MemoryRuntime


class Containers(MemoryRuntime):
    """Whose workloads each have an address of their own."""

    def place(self, port: int, bind: str) -> Place:
        return Place("0.0.0.0:3128", "0.0.0.0:3129", f"{bind}:{port}")


class World:
    """mtg and the built-in engine in containers of memory, behind an nginx of memory where that is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.edge, self.machine = folder, MemoryEdge(), Machine()
        self.fleet = self.open()
        self.fleet.set_settings({"server_ip": "203.0.113.7"})

    def open(self) -> Fleet:
        """The panel, or the same one started again."""
        engines = {"mtg": MtgImage(), "builtin": BuiltinImage("panel")}
        fleet = Fleet(self.folder, Containers(self.machine), engines, edge=self.edge)
        fleet.reconciler.clock = self.machine.now
        return fleet


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_on_port_443_nginx_is_told_of_the_limits_that_the_engine_does_not_keep(world: World):
    alice, bob = world.fleet.add_user("Alice", max_unique_ips="2"), world.fleet.add_user("Bob")
    carol = world.fleet.add_user("Carol", max_unique_ips="3", engine="builtin")
    assert not world.edge.site.device_limits, "users are not reached by it yet"
    world.fleet.set_settings({"port_443_mode": "true"})
    assert world.edge.site.device_limits == {alice.domain: 2}
    world.fleet.set_settings({"max_unique_ips": "5"})
    assert world.edge.site.device_limits == {alice.domain: 2, bob.domain: 5}
    assert carol.domain not in world.edge.site.device_limits, "the engine sees her address, and counts itself"
    world.edge.clients[alice.domain] = ("192.0.2.1", "2001:db8:1:2::/64")
    assert world.edge.devices()[alice.domain].now == 2
