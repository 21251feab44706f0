"""Containers of an older installation: found by their names, and replaced by ours one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from app.runtimes.base import NAME_PREFIX, LegacyContainer
from app.runtimes.docker.spec import MANAGED

#: The one container of an installation from before there were users.
SINGLE = "mtg-proxy"
_OWN_NAME = re.compile(re.escape(NAME_PREFIX) + r"(\d{1,5})")


def is_foreign(name: str, labels: Mapping[str, str]) -> bool:
    return MANAGED not in labels and bool(name == SINGLE or _OWN_NAME.fullmatch(name))


def foreign(inspected: Iterable[Mapping[str, Any]]) -> list[LegacyContainer]:
    """The foreign ones among inspected containers, in the order of their names."""
    found = []
    for container in inspected:
        name = container["Name"].lstrip("/")
        if is_foreign(name, container["Config"]["Labels"] or {}):
            found.append(LegacyContainer(container["Id"], name, _port(name, container["HostConfig"]),
                                 container["State"]["Running"]))
    return sorted(found, key=lambda each: each.name)


def _port(name: str, host: Mapping[str, Any]) -> int:
    """What it publishes is what clients use; the name tells it where it publishes nothing."""
    for private, bindings in sorted((host.get("PortBindings") or {}).items()):
        for binding in bindings or []:
            if private.endswith("/tcp") and binding.get("HostPort", "").isdigit():
                return int(binding["HostPort"])
    named = _OWN_NAME.fullmatch(name)
    return int(named[1]) if named else 0
