"""One container of ours in the place of another: beside it, or, where both publish one port, right after it."""

from __future__ import annotations

from collections.abc import Callable

from docker import APIClient
from docker.errors import APIError

from app.runtimes.base import RuntimeFailure
from app.runtimes.docker.containers import BEING_MADE, Containers
from app.runtimes.docker.state import ContainerInfo


def begin_beside(api: APIClient, containers: Containers, name: str, made: str, old: str,
                 start: Callable[[str], None]) -> None:
    """Start the container `made` (id), which has a provisional name, and give it the name of `old` (id), which runs on.
    start: see Runtime. Raises APIError, RuntimeFailure; `made` is gone then."""
    try:
        start(name + BEING_MADE)
        containers.take_name(api, made, old, name)
    except (APIError, RuntimeFailure):
        containers.destroy(api, made)
        raise


def follow(api: APIClient, containers: Containers, name: str, made: str, old: ContainerInfo,
           start: Callable[[str], None]) -> None:
    """End the old container and start the container `made` (id) under its name. Nobody is served between the two, so
    nothing else is done there: what is left of the old one goes later, or at once where the new one does not start.
    Raises APIError, RuntimeFailure."""
    try:
        containers.end(api, old)
        containers.take_name(api, made, old.id, name)
        start(name)
    except (APIError, RuntimeFailure):
        # Its link may be one that must not be served any more.
        containers.destroy(api, old.id)
        raise
