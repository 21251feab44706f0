"""Limits on the addresses of a link, as nginx keeps them: what is rendered for it, and what it answers (devices.js)."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path

from app.edge.base import EdgeConfig
from app.runtimes.base import Devices

#: In a tree: the limits that nginx keeps with it, as JSON by SNI domain.
LIMITS = "parts/devices.json"

#: In a tree: the script that keeps them.
SCRIPT = "parts/devices.js"

#: Bytes of an answer at most: some 100,000 addresses.
MOST_BYTES = 8_000_000


def limits(site: EdgeConfig) -> dict[str, int]:
    """SNI domain -> limit, of those that are served."""
    return {name: int(most) for name, most in sorted(site.device_limits.items()) if name in site.routes and most > 0}


def limits_id(text: bytes) -> str:
    """By which nginx says that it keeps the limits of this LIMITS file."""
    return hashlib.sha256(text).hexdigest()[:16]


def read(answer: bytes, tree: Path) -> dict[str, Devices]:
    """What nginx keeps, from its answer; {} if that is about other limits. tree: what it was last seen to serve."""
    said, _, told = answer.partition(b"\n")
    try:
        text = (tree / LIMITS).read_bytes()
        if said.decode(errors="replace") != limits_id(text):
            return {}
        kept, seen = json.loads(text), json.loads(told)
        return {name: _devices(most, seen.get(name, {"refused": 0, "at": []})) for name, most in kept.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # cut off, or of another version


def _devices(most: int, seen: Mapping[str, object]) -> Devices:
    at, refused = seen["at"], seen["refused"]
    if not isinstance(at, list) or not isinstance(refused, int):
        raise ValueError(seen)
    return Devices(most, len(at), refused, tuple(map(_address, sorted(at))))


def _address(place: str) -> str:
    """An address as people write it, from the hex of it, or of the first half of an IPv6 one."""
    packed = bytes.fromhex(place)
    return str(ipaddress.IPv6Network((packed + bytes(8), 64)) if len(packed) == 8 else ipaddress.ip_address(packed))
