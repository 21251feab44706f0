"""Nothing that a test does in pytest's own process leaves for the internet: whoever tries is told, and so is the test.

Programs that tests start are out of reach of this; they are given addresses of this machine only."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest


class WentOutside(AssertionError):
    """A test wanted to reach the internet."""


#: Whom this test wanted to reach, in whatever thread.
tried: list[str] = []


def is_outside(address: Any) -> bool:
    """Whether an address of a socket is one of the internet: not of this machine, of a private network, or of those
    that only documentation has. A name is taken for one that is."""
    if not isinstance(address, tuple) or not address:
        return False  # of this machine: a path, or what the kernel itself answers
    host = str(address[0]).partition("%")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host not in ("", "localhost", "<broadcast>")
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_global and not found.is_multicast


def fail_whoever_went() -> None:
    """Fail the test that has just ended, if it tried."""
    went = [*tried]
    tried.clear()
    if went:
        pytest.fail(f"this wanted to reach the internet: {', '.join(went)}")


def stay() -> None:
    """From now on, and for the whole process."""
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, _kept(name))


def _kept(name: str) -> Callable[..., Any]:
    real = getattr(socket.socket, name)

    def kept(self: socket.socket, *arguments: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and arguments and is_outside(arguments[-1]):
            tried.append(f"{name} {arguments[-1]}")
            raise WentOutside(tried[-1])
        return real(self, *arguments)

    return kept
