"""Containers for tests: images made here, an installation of a test's own, and nothing left of it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from docker import APIClient
from docker.errors import APIError, NotFound

from app.runtimes.docker.client import Connection
from app.runtimes.docker.runtime import DockerRuntime
from app.runtimes.docker.spec import INSTANCE
from app.runtimes.process.runtime import ProcessRuntime
from tests.docker import images

STAND_IN = Path(__file__).parents[1] / "runtimes" / "stand_in.py"
MANY = Path(__file__).with_name("many_program.py")
TELEMT = Path(__file__).with_name("telemt_program.py")
MTPROXY = Path(__file__).with_name("mtproxy_program.py")
_TELEMT = b"""#!/bin/sh
PYTHONPATH=/opt/engine exec /venv/bin/python /opt/engine/telemt_program.py "$@"
"""
_TELEMT_IMAGE = """\
ARG BASE
FROM ${BASE}
COPY telemt /app/telemt
COPY telemt_program.py /opt/engine/telemt_program.py
ENV PYTHONUNBUFFERED=1
WORKDIR /app
ENTRYPOINT ["/app/telemt"]
"""
_MTPROXY = b"""#!/bin/sh
PYTHONPATH=/opt/engine exec /venv/bin/python /opt/engine/mtproxy_program.py "$@"
"""
_MTPROXY_IMAGE = """\
ARG BASE
FROM ${BASE}
USER root
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends socat && rm -rf /var/lib/apt/lists/*
COPY mtproto-proxy mtproxy-run mtproxy-metrics mtproxy-health /usr/local/bin/
COPY mtproxy_program.py /opt/engine/mtproxy_program.py
COPY middle.py /opt/engine/tests/support/middle.py
USER 65534:65534
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["/usr/local/bin/mtproxy-run"]
"""
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


def builtin_image() -> str:
    """The panel's image, as far as the built-in engine needs it."""
    return images.build("builtin", "ARG BASE\nFROM ${BASE}\nWORKDIR /opt/engine\nENV PATH=/venv/bin:$PATH\n"
                                   "ENTRYPOINT []\nCMD [\"false\"]\n", {}, {"BASE": images.build_mtg_custom()})


def many_image() -> str:
    """The image whose program is tests/support/many_program.py."""
    return images.build("many", _STAND_IN_IMAGE.replace("stand_in", "many_program"),
                        {"many_program.py": MANY.read_bytes()}, {"BASE": images.build_mtg_custom()})


def real_mtg_image(program: str) -> str:
    """The image of the proxies with this program of mtg, instead of the built-in engine under its name."""
    return images.build("mtg-real", "ARG BASE\nFROM ${BASE}\nCOPY mtg /usr/local/bin/mtg\n",
                        {"mtg": Path(program).read_bytes()}, {"BASE": images.build_mtg_custom()}, ("mtg",))


def telemt_image(which: str = "stand-in") -> str:
    """The image whose program is tests/support/telemt_program.py, which stands in for telemt; or, for "telemt", that
    of Dockerfile.telemt with the program that TELEMT_BIN names."""
    if which == "telemt":
        base, dockerfile = images.ensure_base(), (images.ROOT / "Dockerfile.telemt").read_text()
        return images.build("telemt", dockerfile, {"telemt": Path(os.environ["TELEMT_BIN"]).read_bytes()},
                            {"TELEMT": "telemt", "BUILD_IMAGE": base, "BASE_IMAGE": base})
    return images.build("telemt-stand-in", _TELEMT_IMAGE, {
        "telemt": _TELEMT, "telemt_program.py": TELEMT.read_bytes()}, {"BASE": images.build_mtg_custom()}, ("telemt",))


def mtproxy_image(which: str = "stand-in") -> str:
    """The image whose program is tests/support/mtproxy_program.py, or, for "mtproxy", the one that MTPROXY_BIN names,
    beside the scripts of Dockerfile.mtproxy."""
    scripts = {f"mtproxy-{name}": (images.ROOT / "host/images/mtproxy" / name).read_bytes()
               for name in ("run", "metrics", "health")}
    program = _MTPROXY if which == "stand-in" else Path(os.environ["MTPROXY_BIN"]).read_bytes()
    return images.build(f"mtproxy-{which}", _MTPROXY_IMAGE, {
        **scripts, "mtproto-proxy": program, "mtproxy_program.py": MTPROXY.read_bytes(),
        "middle.py": MTPROXY.with_name("middle.py").read_bytes()},
        {"BASE": images.build_mtg_custom()}, ("mtproto-proxy", *scripts))


def eventually(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until it is so. The time is for a machine that is busy: nothing of what is tested depends on it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


R = TypeVar("R", DockerRuntime, ProcessRuntime)


def patient(runtime: R) -> R:
    """Have it wait for an answer longer than a panel would: on a machine that is busy with other tests, a
    sample that was given up is a bill that is wrong, and that is not what the test is about."""
    runtime.start_timeout, runtime.scrape_timeout = 60.0, 15.0
    if isinstance(runtime, DockerRuntime):
        runtime.metrics_timeout = 30.0
        unhurried(runtime._engine)
    else:
        runtime.stop_timeout, runtime.throttle_timeout = 60.0, 30.0
    return runtime


def unhurried(connection: Connection) -> None:
    """Give the Docker engine more than QUICK to answer a question: it may be starting a dozen containers."""
    ask = connection.api
    connection.api = lambda seconds=60.0: ask(seconds)


@contextmanager
def installation(prefix: str = "") -> Iterator[DockerRuntime]:
    """A DockerRuntime with an instance and a network of its own; everything of it is removed at the end."""
    instance = f"{prefix or 'test'}-{uuid.uuid4().hex[:8]}"
    runtime = patient(DockerRuntime(instance, f"mtproto-{instance}"))
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
        eventually(lambda: _gone(api.remove_volume, volume["Name"]), f"the volume {volume['Name']} is in use")
    eventually(lambda: _gone(api.remove_network, network), f"the network {network} is in use")
    api.close()


def forget(api: APIClient, container: str) -> None:
    """Remove a container with its volumes; it is gone afterwards, whoever else removes it."""
    eventually(lambda: _gone(lambda each: api.remove_container(each, force=True, v=True), container),
               f"the container {container} is still there")


def _gone(remove: Callable[[str], object], what: str) -> bool:
    """Try to remove it; whether it is gone. False while something that is just ending still needs it, or while
    its removal is under way."""
    try:
        remove(what)
    except NotFound:
        pass  # the test did, or there never was one
    except APIError as error:
        # Docker 20.10 answers 500 for a container that ends by itself while it is removed.
        if error.status_code not in (403, 409) and "Could not kill running container" not in str(error):
            raise
        return False
    return True
