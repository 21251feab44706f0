"""Who listens where on this machine: is a port free, whose is it, is it ours already?"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.lib import procfs
from app.messages import Problem

_LISTEN = "0A"  # TCP state in /proc/net/tcp (include/net/tcp_states.h)


@dataclass(frozen=True)
class _Socket:
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    inode: int


def split(address: str) -> tuple[str, int]:
    """"ip:port" or "[ip]:port" -> (ip, port). ValueError if it is neither."""
    host, _, port = address.rpartition(":")
    return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port)


def join(ip: str, port: int) -> str:
    """(ip, port) -> "ip:port", IPv6 in brackets."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def is_free(address: str) -> bool:
    """Whether "ip:port" can be bound now. Unlike bind_error(), it does not look for whoever has it, for which all
    processes of the machine have to be looked at."""
    return _tried(address) is None


def bind_error(address: str) -> Problem | None:
    """Why "ip:port" can't be bound now; None if it can."""
    ip, port = split(address)
    error = _tried(address)
    if error is None:
        return None
    if error.errno == errno.EADDRINUSE:
        return Problem("port.taken", {"port": port, "owner": _owner(ip, port)})
    if error.errno == errno.EACCES:
        return Problem("port.of_root", {"port": port})
    if error.errno == errno.EADDRNOTAVAIL:
        return Problem("port.no_address", {"ip": ip})
    return Problem("port.unusable", {"address": address, "reason": error.strerror})


def _tried(address: str) -> OSError | None:
    """What binding it meets. A wildcard IPv6 address is tried the way the engines bind it: for both families."""
    ip, port = split(address)
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the engines do: ended connections of an earlier run don't count, listeners do.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ip == "::":
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind((ip, port))
    except OSError as error:
        return error
    return None


def own_address() -> str:
    """The address this machine would use towards the internet; connecting a UDP socket sends nothing."""
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:  # a kernel without IPv6 refuses the socket itself
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return "127.0.0.1"


def listens(pid: int, address: str) -> bool:
    """Whether the process itself accepts connections on "ip:port".

    No connection is made: an engine would count it as a client. Where the process'
    descriptors may not be seen, any listener on the address is taken for it.
    """
    ip, port = split(address)
    try:
        own = _socket_inodes(pid)
    except PermissionError:
        own = None
    if own == set():
        return False  # the usual answer while it starts; the kernel's table costs milliseconds
    inodes = {s.inode for s in _sockets(port, listening=True) if _overlap(ip, s.address)}
    return bool(inodes if own is None else inodes & own)


def _owner(ip: str, port: int) -> Problem:
    inodes = {s.inode for s in _sockets(port) if _overlap(ip, s.address)}
    hidden = False
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if inodes & _socket_inodes(int(entry)):
                return Problem("port.owner", {"program": _program(int(entry)), "pid": entry})
        except PermissionError:
            hidden = True
    return Problem("port.owner_hidden" if hidden else "port.owner_unknown")


def _program(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return "already ended"
    # "python3" alone would not tell one service from another.
    return " ".join(procfs.command_line(pid))[:200] if name.startswith("python") else name


def _socket_inodes(pid: int) -> set[int]:
    """The sockets that a process holds. PermissionError if they may not be seen."""
    inodes = set()
    try:
        for entry in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{entry}")
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                inodes.add(int(target[8:-1]))
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has just ended, and holds none
    return inodes


def _sockets(port: int, listening: bool = False) -> Iterator[_Socket]:
    """TCP sockets on a local port, from /proc/net/tcp and tcp6 (proc_pid_net(5)).

    listening: only those. The kernel lists them first, so a busy server's thousands
    of connections are not read then.
    """
    local = f":{port:04X}"
    for family in ("tcp", "tcp6"):
        try:
            table = open(f"/proc/self/net/{family}", encoding="ascii")
        except FileNotFoundError:
            continue  # a machine without IPv6
        with table:
            next(table, None)
            for line in table:
                fields = line.split(None, 10)
                if listening and fields[3] != _LISTEN:
                    break
                if fields[1].endswith(local):
                    yield _Socket(_address(fields[1].removesuffix(local)), int(fields[9]))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel prints addresses as 32-bit words in the machine's own byte order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[i:i + 4][::-1] for i in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    return getattr(address, "ipv4_mapped", None) or address


def _overlap(ip: str, other: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    address = ipaddress.ip_address(ip)
    return address == other or address.is_unspecified or other.is_unspecified
