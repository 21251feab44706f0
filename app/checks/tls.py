"""Whether a well-known site would do as a user's domain: reachable, with TLS 1.3 and a valid certificate."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from app.checks.addresses import Addresses, LookupFailed
from app.messages import Problem

_AT_ONCE = 16


@dataclass(frozen=True)
class TlsCheck:
    """ok: whether clients could pretend to visit this domain. reason: why not, None if they can.

    milliseconds: until the TLS handshake was over, 0 if it was not.
    """

    domain: str
    ok: bool
    reason: Problem | None = None
    milliseconds: int = 0


def check(domain: str, timeout: float = 5, *, address: str = "", port: int = 443, ca: str | None = None) -> TlsCheck:
    """Shake hands with the site. timeout: seconds for each step. address: instead of what the DNS says.

    ca: file of the certificates to trust, instead of the system's.
    """
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    began = time.monotonic()
    try:
        with _connect(address or domain, port, timeout) as plain:
            with context.wrap_socket(plain, server_hostname=domain):
                return TlsCheck(domain, True, milliseconds=max(1, round((time.monotonic() - began) * 1000)))
    except LookupFailed as failure:
        return TlsCheck(domain, False, failure.problem)
    except OSError as error:
        return TlsCheck(domain, False, _reason(error, port, timeout))


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    """To the first of its addresses that accepts, IPv4 before IPv6."""
    failures: list[OSError] = []
    for address in sorted(Addresses(seconds=timeout).of(host), key=lambda address: ":" in address):
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            failures.append(error)
    raise failures[0]


def check_all(domains: Iterable[str], timeout: float = 5, *, address: str = "", port: int = 443,
              ca: str | None = None) -> list[TlsCheck]:
    """check() for all of them at the same time, in their order."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(partial(check, timeout=timeout, address=address, port=port, ca=ca), domains))


def _reason(error: OSError, port: int, timeout: float) -> Problem:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Problem("tls.certificate", {"reason": error.verify_message})
    if isinstance(error, ssl.SSLError):
        if "PROTOCOL_VERSION" in (error.reason or "") or "UNSUPPORTED_PROTOCOL" in (error.reason or ""):
            return Problem("tls.old")
        return Problem("tls.handshake", {"reason": (error.reason or str(error)).lower().replace("_", " ")})
    if isinstance(error, TimeoutError):
        return Problem("tls.no_answer", {"port": port, "seconds": timeout})
    if isinstance(error, ConnectionRefusedError):
        return Problem("tls.nothing_listens", {"port": port})
    if isinstance(error, ConnectionResetError):
        return Problem("tls.reset")
    return Problem("tls.unreachable", {"reason": error.strerror or str(error)})
