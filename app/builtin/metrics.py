"""What the engine counts, in mtg's names, and the small HTTP server that shows it to Prometheus."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from app.builtin.addresses import Addresses
from app.builtin.ratelimit import Limits
from app.builtin.visitors import PATH as VISITORS

_REQUEST_SECONDS = 75.0
_MAX_HEADER_LINES = 100
#: Labels and value of each sample of one metric.
_Samples = list[tuple[dict[str, object], int]]
#: What is told of visitors to whoever sends this Authorization; None if they are told nothing.
_Told = Callable[[str], str | None]


class Traffic:
    """Payload bytes and open sessions of one Telegram server. Client's view: down is to the client."""

    __slots__ = ("connections", "down", "up")

    def __init__(self) -> None:
        self.connections = self.down = self.up = 0


@dataclass
class Metrics:
    """All counters of the process. telegram: (server IP, DC id) -> traffic."""

    clients: dict[str, int] = field(default_factory=lambda: {"ipv4": 0, "ipv6": 0})
    fronted: dict[str, int] = field(default_factory=lambda: {"ipv4": 0, "ipv6": 0})
    telegram: dict[tuple[str, int], Traffic] = field(default_factory=dict)
    fronting_down: int = 0
    fronting_up: int = 0
    fronting: int = 0
    concurrency_limited: int = 0
    ended_early: dict[str, int] = field(default_factory=lambda: {"address": 0, "full": 0})
    replay_attacks: int = 0
    wrong_clock: int = 0
    #: Of the last of those, in seconds; negative: ahead.
    clock_behind: float = 0.0
    wrong_name: dict[str, int] = field(default_factory=lambda: {"missing": 0, "other": 0})

    addresses: Addresses = field(default_factory=Addresses)

    def server(self, address: str, dc: int) -> Traffic:
        return self.telegram.setdefault((address, dc), Traffic())

    def text(self, prefix: str, limits: Limits) -> str:
        """Prometheus text format, version 0.0.4."""
        telegram = sorted(self.telegram.items())
        families: list[tuple[str, str, str, _Samples]] = [
            ("client_connections", "gauge", "Client connections being processed.",
             [({"ip_family": family}, count) for family, count in self.clients.items()]),
            ("telegram_connections", "gauge", "Connections to Telegram servers.",
             [(_labels(key), traffic.connections) for key, traffic in telegram]),
            ("domain_fronting_connections", "gauge", "Connections handed to the cover host.",
             [({"ip_family": family}, count) for family, count in self.fronted.items()]),
            ("telegram_traffic", "counter", "Payload bytes exchanged with Telegram servers.",
             [(_labels(key) | {"direction": direction}, count) for key, traffic in telegram
              for direction, count in (("to_client", traffic.down), ("from_client", traffic.up))]),
            ("domain_fronting_traffic", "counter", "Bytes exchanged with the cover host.",
             [({"direction": "to_client"}, self.fronting_down),
              ({"direction": "from_client"}, self.fronting_up)]),
            ("domain_fronting", "counter", "Connections of strangers ever handed to the cover host.",
             [({}, self.fronting)]),
            ("concurrency_limited", "counter", "Connections refused because there were too many.",
             [({}, self.concurrency_limited)]),
            ("replay_attacks", "counter", "Replayed handshakes.", [({}, self.replay_attacks)]),
        ]  # fmt: skip
        lines = []
        for name, kind, explanation, samples in families:
            lines += _family(f"{prefix}_{name}", kind, explanation, samples)
        lines += _family(
            "builtin_ended_early", "counter", "Unproven and fronted connections ended to let others in.",
            [({"share": share}, count) for share, count in self.ended_early.items()],
        )  # fmt: skip
        lines += _family(
            "builtin_wrong_clock", "counter", "Handshakes with the right key and another time than ours.",
            [({}, self.wrong_clock)],
        )  # fmt: skip
        lines += _family(
            "builtin_clock_behind_seconds", "gauge",
            "How far the clock of the last of those was behind ours, negative if it was ahead.",
            [({}, round(self.clock_behind))],
        )  # fmt: skip
        lines += _family(
            "builtin_wrong_name", "counter", "Handshakes with the right key, but no SNI or another than ours.",
            [({"sni": sni}, count) for sni, count in self.wrong_name.items()],
        )  # fmt: skip
        lines += _family(
            "builtin_rate_limit_bits_per_second", "gauge", "Speed limit in force, 0 for none.",
            [({"scope": "connection"}, limits.connection), ({"scope": "total"}, limits.total)],
        )  # fmt: skip
        lines += _family("builtin_unique_ips", "gauge", "Addresses with a live session.", [({}, len(self.addresses))])
        lines += _family(
            "builtin_unique_ips_limit", "gauge", "How many there may be, 0 for any number.",
            [({}, self.addresses.limit)],
        )  # fmt: skip
        lines += _family(
            "builtin_unique_ips_refused", "counter", "Sessions refused for being from one address too many.",
            [({}, self.addresses.refused)],
        )  # fmt: skip
        return "\n".join(lines) + "\n"


async def serve_metrics(host: str, port: int, path: str, text: Callable[[], str],
                        visitors: _Told = lambda authorization: None) -> asyncio.Server:
    """Answer GET and HEAD of `path` with text(), and of VISITORS to whoever may know; [::] takes IPv4 too. Raises
    OSError if the address can't be bound."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _answer(reader, writer, path, text, visitors):
                pass
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass  # a scraper that went away, was silent too long or sent an endless line
        finally:
            writer.close()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    return await asyncio.start_server(handle, sock=sock, limit=8192)


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, text: Callable[[], str], visitors: _Told
) -> bool:
    """Serve one request; whether the connection stays open for another."""
    async with asyncio.timeout(_REQUEST_SECONDS):
        request = await reader.readline()
        headers: list[bytes] = []
        authorization = ""
        while (line := await reader.readline()).strip() and len(headers) < _MAX_HEADER_LINES:
            if line.lower().startswith(b"authorization:"):
                authorization = line.partition(b":")[2].decode("latin-1").strip()
            headers.append(line.lower().replace(b" ", b"").strip())
    words = request.split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return False
    method, target, version = words
    keep = version == b"HTTP/1.1" and b"connection:close" not in headers
    status, body = "200 OK", ""
    if method not in (b"GET", b"HEAD"):
        status, body = "405 Method Not Allowed", "GET and HEAD are allowed\n"
        keep = False
    elif target == VISITORS.encode() and (told := visitors(authorization)) is not None:
        body = told
    elif ("/" + target.partition(b"?")[0].decode("latin-1").strip("/")) != path:
        status, body = "404 Not Found", f"the metrics are at {path}\n"
    else:
        body = text()
    data = body.encode()
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(data)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode()
    )
    if method != b"HEAD":
        writer.write(data)
    await writer.drain()
    return keep


def _labels(key: tuple[str, int]) -> dict[str, object]:
    return {"telegram_ip": key[0], "dc": key[1]}


def _family(name: str, kind: str, explanation: str, samples: _Samples) -> list[str]:
    lines = [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inner = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")
    return lines
