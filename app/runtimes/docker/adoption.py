"""Containers of an older installation: found by their names, and replaced by ours one at a time."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from docker import APIClient
from docker.errors import APIError

from app.runtimes.base import NAME_PREFIX, LegacyContainer, RuntimeFailure
from app.runtimes.docker.containers import Containers
from app.runtimes.docker.spec import MANAGED

log = logging.getLogger(__name__)

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


def take_over(api: APIClient, containers: Containers, made: str, name: str, old: LegacyContainer,
              begin: Callable[[], None]) -> None:
    """Let the container `made` (id) serve under this name instead of the old one. begin: starts it. Raises
    RuntimeFailure; the old one runs again then."""
    try:
        if old.running:
            api.kill(old.id)
        if old.name == name:
            api.rename(old.id, f"{old.name}.old")
        containers.rename(api, made, name)
        begin()
    except (APIError, RuntimeFailure) as error:
        containers.destroy(api, made)
        _bring_back(api, old)
        why = error.explanation if isinstance(error, APIError) else error
        raise RuntimeFailure("docker.left_as_it_was", name=old.name, reason=why) from error
    # Its volumes stay: they are the operator's.
    api.remove_container(old.id, force=True)


def _bring_back(api: APIClient, old: LegacyContainer) -> None:
    """Undo what take_over() did to the old container; what fails is logged, as another failure is being told."""
    try:
        inspected = api.inspect_container(old.id)
        if inspected["Name"].lstrip("/") != old.name:
            api.rename(old.id, old.name)
        if old.running:
            api.start(old.id)
    except APIError as error:
        log.error("%s of the older installation could not be brought back: %s", old.name, error.explanation)


def _port(name: str, host: Mapping[str, Any]) -> int:
    """What it publishes is what clients use; the name tells it where it publishes nothing."""
    for private, bindings in sorted((host.get("PortBindings") or {}).items()):
        for binding in bindings or []:
            if private.endswith("/tcp") and binding.get("HostPort", "").isdigit():
                return int(binding["HostPort"])
    named = _OWN_NAME.fullmatch(name)
    return int(named[1]) if named else 0
