"""The cover host: whoever is not a client gets it, byte for byte, as if reached directly.

It is reached without the upstreams, like mtg does: they lead to Telegram only. And at public addresses only,
unless the configuration names one: a name can lead into the operator's own network, today or tomorrow, and
whoever knows the port is passed on without a question.
"""

from __future__ import annotations

import asyncio
import socket

from app.builtin import sockets
from app.builtin.proxyprotocol import Address, make_header
from app.builtin.settings import Settings
from app.lib.public import is_public

#: How long an answer of the DNS is used (seconds).
_DNS_SECONDS = 60.0


class CoverDown(Exception):
    """The cover host can't be reached; the message says why."""


class Cover:
    """Connects to the cover host of these settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hosts: list[str] = []
        self._hosts_until = 0.0
        self._own: set[Address] = set()

    async def connect(self, client: Address, listener: Address) -> socket.socket:
        """A connection to the cover host, which is told the addresses if it wants them. Raises CoverDown.

        client: who asks. listener: the address of ours that it was reached at.
        """
        endpoint, settings = self._settings.cover, self._settings
        if endpoint is None:
            raise CoverDown("this secret has no cover host")
        if client in self._own:
            raise CoverDown(f"the cover host {endpoint} is this proxy itself; set domain-fronting.ip")
        failures = []
        for host in await self._resolve(endpoint.host, endpoint.port):
            if not (settings.cover_pinned or is_public(host)):
                failures.append(f"{host}: not a public address, so nobody is passed on to it; set domain-fronting.ip "
                                "if that is meant")
                continue
            try:
                sock = await sockets.connect(host, endpoint.port, settings.connect_timeout)
            except OSError as error:
                failures.append(f"{host}: {sockets.why(error)}")
                continue
            try:
                sockets.tune(sock, settings.keep_alive)
                if settings.cover_proxy_protocol:
                    sock.send(make_header(client, listener))
            except OSError as error:
                sock.close()
                failures.append(f"{host}: {sockets.why(error)}")
                continue
            self._own.add(sockets.plain_address(sock.getsockname()))
            return sock
        raise CoverDown(f"the cover host {endpoint} can't be reached: {'; '.join(failures)}")

    def close(self, sock: socket.socket, reset: bool) -> None:
        """Close a connection that connect() made."""
        self._own.discard(sockets.plain_address(sock.getsockname()))
        sockets.close(sock, reset)

    async def _resolve(self, host: str, port: int) -> list[str]:
        now = asyncio.get_running_loop().time()
        if now >= self._hosts_until:
            try:
                hosts = await sockets.resolve(host, port, self._settings.connect_timeout)
            except OSError as error:
                raise CoverDown(f"the cover host {host} can't be found: {sockets.why(error)}") from error
            if self._settings.prefer_ip.endswith("ipv4"):
                hosts.sort(key=lambda address: ":" in address)
            self._hosts, self._hosts_until = hosts, now + _DNS_SECONDS
        return self._hosts
