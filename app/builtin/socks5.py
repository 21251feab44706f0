"""SOCKS5 client (RFC 1928, user and password by RFC 1929), CONNECT to IP addresses only."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from app.builtin import sockets
from app.builtin.settings import Upstream

_REPLIES = {
    1: "general failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


class UpstreamDown(Exception):
    """The SOCKS5 server itself can't be used, whatever the destination; the message says why."""


class UpstreamRefusal(Exception):
    """The SOCKS5 server did not connect to this destination; the message has its reply."""


async def connect_through(upstream: Upstream, host: str, port: int, timeout: float) -> socket.socket:
    """A socket connected to host (an IP address) through the upstream, all within `timeout` seconds.

    Raises UpstreamDown or UpstreamRefusal.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    sock = None
    try:
        sock = await _reach(upstream, timeout)
        await _greet(sock, upstream, deadline)
        await _request(sock, upstream, host, port, deadline)
        return sock
    except OSError as error:
        _close(sock)
        raise UpstreamDown(f"{upstream} broke off: {sockets.why(error)}") from error
    except BaseException:
        _close(sock)
        raise


async def _reach(upstream: Upstream, timeout: float) -> socket.socket:
    endpoint = upstream.endpoint
    try:
        hosts = await sockets.resolve(endpoint.host, endpoint.port, timeout)
        for host in hosts[:-1]:
            try:
                return await sockets.connect(host, endpoint.port, timeout)
            except OSError:
                continue
        return await sockets.connect(hosts[-1], endpoint.port, timeout)
    except OSError as error:
        raise UpstreamDown(f"{upstream} can't be reached: {sockets.why(error)}") from error


async def _greet(sock: socket.socket, upstream: Upstream, deadline: float) -> None:
    authenticate = bool(upstream.user or upstream.password)
    await sockets.send_all(sock, b"\x05\x02\x00\x02" if authenticate else b"\x05\x01\x00", deadline)
    version, method = await _read(sock, 2, deadline)
    if version != 5:
        raise UpstreamDown(f"{upstream} does not speak SOCKS5 (its answer starts with {version:#04x})")
    if method == 0xFF or (method == 2 and not authenticate):
        wanted = "does not accept a user and password" if authenticate else "wants a user and password"
        raise UpstreamDown(f"{upstream} {wanted}")
    if method == 2:
        user, password = upstream.user.encode(), upstream.password.encode()
        fields = b"".join(len(field).to_bytes(1, "big") + field for field in (user, password))
        await sockets.send_all(sock, b"\x01" + fields, deadline)
        _, status = await _read(sock, 2, deadline)
        if status != 0:
            raise UpstreamDown(f"{upstream} refused the user or password (status {status})")
    elif method != 0:
        raise UpstreamDown(f"{upstream} chose the unknown method {method}")


async def _request(sock: socket.socket, upstream: Upstream, host: str, port: int, deadline: float) -> None:
    address = ipaddress.ip_address(host)
    kind = b"\x01" if address.version == 4 else b"\x04"
    await sockets.send_all(sock, b"\x05\x01\x00" + kind + address.packed + port.to_bytes(2, "big"), deadline)
    _, reply, _, bound_kind = await _read(sock, 4, deadline)
    if reply != 0:
        reason = _REPLIES.get(reply, "unknown reply")
        raise UpstreamRefusal(f"{upstream} refused {host} port {port}: {reason} (reply {reply})")
    if bound_kind == 3:
        (length,) = await _read(sock, 1, deadline)
    else:
        length = {1: 4, 4: 16}.get(bound_kind, 0)
        if not length:
            raise UpstreamDown(f"{upstream} answered with the unknown address type {bound_kind}")
    await _read(sock, length + 2, deadline)


async def _read(sock: socket.socket, count: int, deadline: float) -> bytes:
    """Exactly `count` bytes, and not one more: the next belong to the destination."""
    data = b""
    while len(data) < count:
        piece = await sockets.receive(sock, count - len(data), deadline)
        if piece is None:
            raise TimeoutError
        if not piece:
            raise ConnectionError("it closed the connection")
        data += piece
    return data


def _close(sock: socket.socket | None) -> None:
    if sock is not None:
        sock.close()
