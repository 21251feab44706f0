"""What each engine was measured to cost, for whoever chooses one: all by one run of tests.bench.engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """One engine, on two quiet cores over loopback.

    version: that was measured; "" for the one of this program. key_share: the TLS group of its answer to a client that
    offers X25519MLKEM768 and X25519. download, upload: Mbit/s of one connection. memory: MB of all its processes
    together, idle, by the number of users.
    """

    version: str
    key_share: str
    download: int
    upload: int
    memory: Mapping[int, int]


MEASURED: Mapping[str, Figures] = {
    "mtg": Figures("2.2.8", "X25519", 21, 882, {1: 14, 50: 134, 200: 496}),
    "telemt": Figures("3.4.25", "X25519MLKEM768", 2168, 1260, {1: 15, 50: 16, 200: 17}),
    "builtin": Figures("", "X25519MLKEM768", 3114, 2226, {1: 22, 50: 843, 200: 3322}),
}
