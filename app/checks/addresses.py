"""Where host names lead, and whether that is this server."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from app.config.model import Config
from app.messages import Problem
from app.messages.errors import Coded

#: Like socket.getaddrinfo, of which host, port, family and type are used.
Resolve = Callable[..., list[tuple[Any, ...]]]


class LookupFailed(Coded):
    """A name could not be looked up."""


class Addresses:
    """The DNS as this machine sees it. seconds: how long one look-up may take."""

    def __init__(self, resolve: Resolve = socket.getaddrinfo, seconds: float = 5) -> None:
        self._resolve = resolve
        self._seconds = seconds

    def of(self, name: str) -> frozenset[str]:
        """The IPv4 and IPv6 addresses of a host name, or of an address itself. Raises LookupFailed."""
        try:
            return frozenset([str(ipaddress.ip_address(name))])
        except ValueError:
            pass
        outcome: list[list[tuple[Any, ...]] | OSError | UnicodeError] = []

        def look_up() -> None:
            try:
                outcome.append(self._resolve(name, None, socket.AF_UNSPEC, socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                outcome.append(error)

        # A look-up can't be cut short; one that hangs must not hang whoever asked, nor the end of the program.
        thread = threading.Thread(target=look_up, name=f"look-up of {name}", daemon=True)
        thread.start()
        thread.join(self._seconds)
        if not outcome:
            raise LookupFailed("dns.silent", name=name, seconds=self._seconds)
        if isinstance(outcome[0], Exception):
            raise LookupFailed(_problem(name, outcome[0]))
        found = frozenset(str(ipaddress.ip_address(entry[4][0].partition("%")[0])) for entry in outcome[0])
        if not found:
            raise LookupFailed("dns.empty", name=name)
        return found

    def own(self, config: Config) -> frozenset[str]:
        """This server's addresses: server_ip, those of server_domain, and those of this machine's interfaces."""
        return self._declared(config) | interfaces()

    def leads_here(self, name: str, own: frozenset[str]) -> Problem | None:
        """None if every address of the name is one of these, else the reason, with what to do about it."""
        try:
            found = self.of(name)
        except LookupFailed as failure:
            return failure.problem
        strange = sorted(found - own, key=_order)
        if not strange:
            return None
        # What was declared says more to people than the addresses of the container that this may be.
        known = sorted(own - interfaces() or own, key=_order)
        if not known:
            return Problem("dns.unknown_server", {"name": name, "addresses": strange})
        return Problem("dns.elsewhere_ipv6" if ":" in strange[0] else "dns.elsewhere",
                       {"name": name, "address": strange[0], "known": known})

    def _declared(self, config: Config) -> frozenset[str]:
        found = frozenset([config.server_ip] if config.server_ip else [])
        if config.server_domain:
            with contextlib.suppress(LookupFailed):  # then it has no say; server_ip and the interfaces do
                found |= self.of(config.server_domain)
        return found


def interfaces(proc: Path = Path("/proc/net")) -> frozenset[str]:
    """The addresses of this machine's (or container's) network interfaces, without loopback and link-local ones."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [
        *_ipv4(_lines(proc / "fib_trie")), *_ipv6(_lines(proc / "if_inet6"))]
    return frozenset(str(address) for address in found if not address.is_loopback and not address.is_link_local)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []  # a kernel without this protocol


def _ipv4(lines: Iterable[str]) -> list[ipaddress.IPv4Address]:
    """The routing table's local addresses: a line "|-- 192.0.2.1", then one "/32 host LOCAL"."""
    found, last = [], ""
    for line in lines:
        if "|-- " in line:
            last = line.split("|-- ")[1].strip()
        elif "/32 host LOCAL" in line:
            found.append(ipaddress.IPv4Address(last))
    return found


def _ipv6(lines: Iterable[str]) -> list[ipaddress.IPv6Address]:
    """Each line begins with an address as 32 hex digits."""
    return [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines if line.strip()]


def _order(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)


def _problem(name: str, error: OSError | UnicodeError) -> Problem:
    if isinstance(error, UnicodeError):
        return Problem("dns.no_name", {"name": name})
    if isinstance(error, socket.gaierror) and error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
        return Problem("dns.none", {"name": name})
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return Problem("dns.again", {"name": name})
    return Problem("dns.failed", {"name": name, "reason": error.strerror or str(error)})
