"""The address that goes into links: what is declared, or a guess, and whether the DNS knows it."""

from __future__ import annotations

import ipaddress

from app.checks.addresses import Addresses, LookupFailed
from app.config.model import Config
from app.config.values import is_ip
from app.lib.clock import STEADY, Clock
from app.messages import Problem
from app.runtimes.ports import own_address

#: Seconds for which an answer of the DNS is good.
GOOD_FOR = 300.0


class Server:
    """What the DNS says of server_domain. No page waits for it: look() is called beside them, from time to time.

    addresses: None where there is no DNS to ask. clock: seconds.
    """

    def __init__(self, addresses: Addresses | None, clock: Clock = STEADY) -> None:
        self._addresses = addresses
        self._clock = clock
        self._found: tuple[tuple[str, str], float, Problem | None] | None = None

    def look(self, config: Config) -> None:
        """Ask the DNS, if the answer is old or of another name; takes some seconds where the DNS is silent."""
        asked = (config.server_domain, config.server_ip)
        known = self._found
        if self._addresses is None or (known and known[0] == asked and 0 <= self._clock() - known[1] < GOOD_FOR):
            return
        trouble = _trouble(self._addresses, *asked) if asked[0] and not is_ip(asked[0]) else None
        self._found = (asked, self._clock(), trouble)

    def note(self, config: Config) -> Problem | None:
        """Why links may lead nobody here, as last seen; None if nothing is known to be wrong."""
        if guessed := server_address(config)[1]:
            return guessed
        return self._found[2] if self._found and self._found[0] == (config.server_domain, config.server_ip) else None


def _trouble(addresses: Addresses, name: str, ip: str) -> Problem | None:
    try:
        found = addresses.of(name)
    except LookupFailed as failure:
        return Problem("server.no_address", {"name": name, "reason": failure})
    shown = sorted(found)
    if all(ipaddress.ip_address(address).is_loopback for address in found):
        return Problem("server.itself", {"name": name, "addresses": shown})
    if ip and ip not in found:
        return Problem("server.elsewhere", {"name": name, "addresses": shown, "ip": ip})
    return None


def server_address(config: Config) -> tuple[str, Problem | None]:
    """(the address that goes into links, why it may be wrong)."""
    declared = config.server_domain or config.server_ip
    if declared:
        return declared, None
    if config.proxy_bind and not ipaddress.ip_address(config.proxy_bind).is_unspecified:
        guess = config.proxy_bind
    else:
        guess = own_address()
    return guess, Problem("server.guessed", {"address": guess})
