"""The address that goes into links: what is declared, or a guess, and whether the DNS knows it."""

from __future__ import annotations

import ipaddress

from app.checks.addresses import Addresses, LookupFailed
from app.config.model import Config
from app.config.values import is_ip
from app.lib.clock import STEADY, Clock
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
        self._found: tuple[tuple[str, str], float, str] | None = None

    def look(self, config: Config) -> None:
        """Ask the DNS, if the answer is old or of another name; takes some seconds where the DNS is silent."""
        asked = (config.server_domain, config.server_ip)
        known = self._found
        if self._addresses is None or (known and known[0] == asked and 0 <= self._clock() - known[1] < GOOD_FOR):
            return
        trouble = _trouble(self._addresses, *asked) if asked[0] and not is_ip(asked[0]) else ""
        self._found = (asked, self._clock(), trouble)

    def note(self, config: Config) -> str:
        """Why links may lead nobody here, as last seen, for people; "" if nothing is known to be wrong."""
        if guessed := server_address(config)[1]:
            return guessed
        return self._found[2] if self._found and self._found[0] == (config.server_domain, config.server_ip) else ""


def _trouble(addresses: Addresses, name: str, ip: str) -> str:
    try:
        found = addresses.of(name)
    except LookupFailed as failure:
        return f"Links lead to {name}, and nobody can connect by them: {failure}."
    shown = ", ".join(sorted(found))
    if all(ipaddress.ip_address(address).is_loopback for address in found):
        return f"Links lead to {name}, which is {shown} in the DNS that this server asks: the asking machine itself."
    if ip and ip not in found:
        return (f"Links lead to {name}, which is {shown} in the DNS, and not {ip}, the declared server_ip. Change the "
                "DNS record, or the setting that is wrong.")
    return ""


def server_address(config: Config) -> tuple[str, str]:
    """(the address that goes into links, "" or a sentence that says why it may be wrong)."""
    declared = config.server_domain or config.server_ip
    if declared:
        return declared, ""
    if config.proxy_bind and not ipaddress.ip_address(config.proxy_bind).is_unspecified:
        guess = config.proxy_bind
    else:
        guess = own_address()
    return guess, (f"Links use {guess}, this machine's own address, because neither server_domain nor "
                   "server_ip is set. Set the one that people reach from outside.")
