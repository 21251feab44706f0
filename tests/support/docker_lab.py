"""Containers for tests: images made here, an installation of a test's own, and nothing left of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker import APIClient
from docker.errors import APIError, NotFound

from app.runtimes.docker import DockerRuntime
from app.runtimes.docker_spec import INSTANCE
from tests.docker import images

STAND_IN = Path(__file__).parents[1] / "runtimes" / "stand_in.py"
_STAND_IN_IMAGE = """\
ARG BASE
FROM ${BASE}
COPY stand_in.py /stand_in.py
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["/venv/bin/python", "/stand_in.py"]
"""


def engine_or_skip() -> None:
    """Make sure that a Docker engine answers. In CI a skip is a failure (tests/support/no_skips.py)."""
    try:
        images.ensure_engine()
    except images.ImageFailure as failure:
        pytest.skip(f"NO DOCKER HERE, SO NOTHING OF IT IS TESTED: {failure}")


def stand_in_image() -> str:
    """The image whose program is tests/runtimes/stand_in.py."""
    return images.build("stand-in", _STAND_IN_IMAGE, {"stand_in.py": STAND_IN.read_bytes()},
                        {"BASE": images.build_mtg_custom()})


@contextmanager
def installation(prefix: str = "") -> Iterator[DockerRuntime]:
    """A DockerRuntime with an instance and a network of its own; everything of it is removed at the end."""
    instance = f"{prefix or 'test'}-{uuid.uuid4().hex[:8]}"
    runtime = DockerRuntime(instance, f"mtproto-{instance}")
    try:
        yield runtime
    finally:
        runtime.close()
        clear(instance, runtime.network)


def clear(instance: str, network: str) -> None:
    """Remove what carries the instance's label, and the network."""
    api = APIClient(version="auto")
    for container in api.containers(all=True, filters={"label": f"{INSTANCE}={instance}"}):
        forget(api, container["Id"])
    for volume in api.volumes(filters={"label": f"{INSTANCE}={instance}"})["Volumes"] or []:
        api.remove_volume(volume["Name"])
    try:
        api.remove_network(network)
    except NotFound:
        pass  # the test did, or there never was one
    api.close()


def forget(api: APIClient, container: str) -> None:
    try:
        api.remove_container(container, force=True, v=True)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409:  # its removal is under way
            raise

