"""What a reverse proxy says of a request, before Flask sees it: the client's address, https, and the sub-path.

Only proxies that MTPROTO_TRUSTED_PROXIES names are believed, and only the last entry, which they wrote themselves.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from app.control.errors import Refused
from app.web.language import gettext

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

VARIABLE = "MTPROTO_TRUSTED_PROXIES"
HEADERS = ("X_FORWARDED_FOR", "X_FORWARDED_PROTO", "X_FORWARDED_HOST", "X_FORWARDED_PORT", "X_FORWARDED_PREFIX",
           "FORWARDED", "X_REAL_IP", "X_PANEL_DOOR")
#: Seconds for which a proxy that is not believed is told of after its last request.
REMEMBERED = 24 * 3600
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
#: host[:port] or [IPv6][:port]; what a browser sends is never anything else.
HOST = re.compile(r"([A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

log = logging.getLogger(__name__)


def trusted_proxies() -> list[Network]:
    """Whose headers are believed, from MTPROTO_TRUSTED_PROXIES: nobody's (0 or nothing), everybody's (1), or those
    of a list of addresses and networks. Raises Refused for anything else."""
    written = os.environ.get(VARIABLE, "").strip()
    if written in ("", "0"):
        return []
    words = ["0.0.0.0/0", "::/0"] if written == "1" else re.split(r"[\s,]+", written)
    try:
        return [ipaddress.ip_network(word.strip("[]"), strict=False) for word in words if word]
    except ValueError:
        raise Refused("environment.trusted_proxies", value=written) from None


class Forwarded:
    """WSGI middleware: REMOTE_ADDR, wsgi.url_scheme and SCRIPT_NAME become those of the client where the peer is a
    trusted proxy; the headers of all others are dropped. `problem()` tells of a proxy that is not believed."""

    def __init__(self, app: WSGIApplication, trusted: Iterable[Network]) -> None:
        self.app = app
        self.trusted = list(trusted)
        self._unheard: tuple[str, float] = ("", 0.0)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        peer = address(environ.get("REMOTE_ADDR", ""))
        if peer:
            environ["REMOTE_ADDR"] = str(peer)
        if peer and any(peer in network for network in self.trusted):
            self._believe(environ)
        elif peer and "HTTP_X_FORWARDED_FOR" in environ and not peer.is_global:
            # A stranger could write that header too, so what comes from the internet is no news.
            self._notice(str(peer))
            self._drop(environ)
        else:
            self._drop(environ)
        if not HOST.fullmatch(environ.get("HTTP_HOST", "")):
            start_response("400 Bad Request", [("Content-Type", "text/plain"), ("Content-Length", "12")])
            return [b"Bad Request\n"]
        return self.app(environ, start_response)

    def problem(self) -> str:
        """Who passes requests on without being believed, and what to set; "" if nobody did for a day."""
        peer, seen = self._unheard
        if not peer or time.monotonic() - seen > REMEMBERED:
            return ""
        return gettext("A reverse proxy at %(peer)s passes requests on to this panel, but the panel does not trust it: "
                       "all visitors seem to come from one address, and failed logins are counted together. If that "
                       "proxy is yours, start the panel with %(setting)s (docs/https.md says how).",
                       peer=peer, setting=f"{VARIABLE}={peer}")

    def _notice(self, peer: str) -> None:
        if self._unheard[0] != peer:
            log.warning("%s sends X-Forwarded-For, and is not believed. If it is your reverse proxy, start the panel "
                        "with %s=%s", peer, VARIABLE, peer)
        self._unheard = peer, time.monotonic()

    @staticmethod
    def _believe(environ: WSGIEnvironment) -> None:
        client = address(_last(environ, "X_FORWARDED_FOR"))
        if client:
            environ["REMOTE_ADDR"] = str(client)
        scheme = _last(environ, "X_FORWARDED_PROTO").lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        prefix = _last(environ, "X_FORWARDED_PREFIX").rstrip("/")
        if PREFIX.fullmatch(prefix) and not {".", ".."} & set(prefix.split("/")):
            environ["SCRIPT_NAME"] = prefix

    @staticmethod
    def _drop(environ: WSGIEnvironment) -> None:
        for name in HEADERS:
            environ.pop(f"HTTP_{name}", None)


def address(text: str) -> Address | None:
    """An IP address as it stands in a header or a socket, a port and brackets left out; None if it is none.

    IPv4 that came over an IPv6 socket (::ffff:192.0.2.1) is IPv4 again.
    """
    found = re.fullmatch(r"\[([^]]*)\](?::\d+)?|([^:]*):\d+", text.strip())
    try:
        parsed = ipaddress.ip_address((found[1] or found[2]) if found else text.strip())
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _last(environ: WSGIEnvironment, name: str) -> str:
    return str(environ.get(f"HTTP_{name}", "")).rpartition(",")[2].strip()
