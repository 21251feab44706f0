"""PROXY protocol, versions 1 and 2: who the client behind a load balancer is.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

SIGNATURE_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_MAX_V1 = 107
_MAX_V2 = 4096
Address = tuple[str, int]


class ProxyHeaderError(ValueError):
    """The connection does not start with a PROXY protocol header."""


@dataclass(frozen=True)
class ProxyHeader:
    """wire_bytes: its length. source, destination: None if the sender speaks for itself."""

    wire_bytes: int
    source: Address | None = None
    destination: Address | None = None


def read_header(buffer: bytes | bytearray) -> ProxyHeader | None:
    """The header at the start of the buffer, None while more bytes are needed. Raises ProxyHeaderError."""
    start = bytes(buffer[:16])
    if start[:12] == SIGNATURE_V2[: len(start)] and start:
        return _read_v2(bytes(buffer))
    if start[:6] == b"PROXY "[: len(start)]:
        return _read_v1(bytes(buffer[:_MAX_V1]))
    raise ProxyHeaderError("no PROXY protocol header")


def make_header(source: Address, destination: Address) -> bytes:
    """A version 2 header for a TCP connection."""
    ends = [ipaddress.ip_address(host) for host, _ in (source, destination)]
    if ends[0].version == ends[1].version == 4:
        family = 0x11
    else:
        family = 0x21
        ends = [ipaddress.IPv6Address(f"::ffff:{end}") if end.version == 4 else end for end in ends]
    body = ends[0].packed + ends[1].packed + struct.pack(">HH", source[1], destination[1])
    return SIGNATURE_V2 + bytes([0x21, family]) + struct.pack(">H", len(body)) + body


def _read_v1(buffer: bytes) -> ProxyHeader | None:
    line, found, _ = buffer.partition(b"\r\n")
    if not found:
        if len(buffer) >= _MAX_V1:
            raise ProxyHeaderError("a PROXY header line without an end")
        return None
    words = line.split(b" ")
    if words[1:2] == [b"UNKNOWN"]:
        return ProxyHeader(len(line) + 2)
    try:
        _, family, source, destination, source_port, destination_port = words
        version = {b"TCP4": 4, b"TCP6": 6}[family]
        hosts = [ipaddress.ip_address(host.decode("ascii")) for host in (source, destination)]
        ports = [int(port) for port in (source_port, destination_port)]
        if any(host.version != version for host in hosts) or not all(0 <= port <= 65535 for port in ports):
            raise ValueError
    except (ValueError, KeyError) as error:
        raise ProxyHeaderError("a PROXY header line that makes no sense") from error
    return ProxyHeader(len(line) + 2, (str(hosts[0]), ports[0]), (str(hosts[1]), ports[1]))


def _read_v2(buffer: bytes) -> ProxyHeader | None:
    if len(buffer) < 16:
        return None
    version, command = buffer[12] >> 4, buffer[12] & 0xF
    length = int.from_bytes(buffer[14:16], "big")
    if version != 2 or command not in (0, 1) or length > _MAX_V2:
        raise ProxyHeaderError("a PROXY header of an unknown version or command")
    if len(buffer) < 16 + length:
        return None
    body = buffer[16 : 16 + length]
    width = {0x11: 4, 0x21: 16}.get(buffer[13])
    if command == 0 or width is None:
        return ProxyHeader(16 + length)
    if length < 2 * width + 4:
        raise ProxyHeaderError("a PROXY header that is cut off")
    source, destination = (str(ipaddress.ip_address(body[i : i + width])) for i in (0, width))
    ports = struct.unpack(">HH", body[2 * width : 2 * width + 4])
    return ProxyHeader(16 + length, (source, ports[0]), (destination, ports[1]))
