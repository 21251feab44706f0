"""A fleet behind an nginx and a certbot that live in memory, on a server with a domain of its own."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from app.accounts.actor import CLI
from app.actions import first_run
from app.checks.addresses import Addresses
from app.engines.builtin import Builtin
from app.runtimes.base import Runtime
from tests.support.fleet import Fleet
from tests.support.memory_certbot import MemoryCertbot
from tests.support.memory_edge import MemoryEdge
from tests.web.visitor import NAME, PASSWORD

#: This server: what example.org and every name under it lead to.
SERVER = "203.0.113.7"


def resolve(name: str, port: object = None, *_: object) -> list[tuple]:
    """The DNS: example.org leads here, all else elsewhere, except what ends in .invalid."""
    if name.endswith(".invalid"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    address = SERVER if name == "example.org" or name.endswith(".example.org") else "192.0.2.80"
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]


def fleet_behind_nginx(data_dir: Path, runtime: Runtime) -> Fleet:
    """Without users, on ports of their own; with the admin `ada`, who may change settings."""
    fleet = Fleet(data_dir, runtime, Builtin(), MemoryEdge(), MemoryCertbot(time.time), Addresses(resolve))
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example.org", "server_ip": SERVER})
    first_run.end(fleet, CLI)
    return fleet
