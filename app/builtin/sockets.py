"""Non-blocking sockets with deadlines: the few calls that every stage of a connection needs."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import struct
from typing import Any

from app.builtin.settings import KeepAlive

_LINGER_RESET = struct.pack("ii", 1, 0)


async def receive(sock: socket.socket, size: int, deadline: float) -> bytes | None:
    """Up to `size` bytes; b"" at the end of the stream, None at the deadline (loop time). Raises OSError.

    Unlike loop.sock_recv under a timeout this never loses bytes that arrived at the last moment,
    which the cover host is owed.
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            return sock.recv(size)
        except (BlockingIOError, InterruptedError):
            if loop.time() >= deadline:
                return None
        ready = loop.create_future()
        timer = loop.call_at(deadline, _settle, ready)
        loop.add_reader(sock, _settle, ready)
        try:
            await ready
        finally:
            timer.cancel()
            loop.remove_reader(sock)


async def send_all(sock: socket.socket, data: bytes, deadline: float) -> None:
    """Send everything. Raises OSError (TimeoutError at the deadline)."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout_at(deadline):
        await loop.sock_sendall(sock, data)


async def resolve(host: str, port: int, timeout: float) -> list[str]:
    """IP addresses of a name, or the address itself. Raises OSError (TimeoutError after `timeout`)."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    async with asyncio.timeout(timeout):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def connect(host: str, port: int, timeout: float) -> socket.socket:
    """A connected TCP socket to an IP address. Raises OSError (TimeoutError after `timeout` seconds)."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def tune(sock: socket.socket, keep_alive: KeepAlive) -> None:
    """No delay for small messages, and probes that notice a peer that is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keep_alive.enabled:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keep_alive.idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, keep_alive.interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, keep_alive.count)


def close(sock: socket.socket, reset: bool = False) -> None:
    """Close; with `reset` the peer gets a TCP reset instead of an orderly end."""
    if reset:
        with contextlib.suppress(OSError):  # already disconnected: there is nobody to reset
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    sock.close()


def plain_address(address: tuple[Any, ...]) -> tuple[str, int]:
    """(IP, port) of a socket address; IPv4 also when it came in through a dual-stack socket."""
    host: str = address[0].partition("%")[0]
    return (host.removeprefix("::ffff:") if "." in host else host), address[1]


def why(error: OSError) -> str:
    """The reason of a failed call, for people."""
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"its name is not in the DNS ({error.strerror})"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
