"""The smallest server that is sold, with nothing on it but Debian: the documented minimum is real.

    REAL_MTG=/path/to/mtg bash tests/run.sh tests/server/test_smallest.py

REAL_MTG is a program of mtg; without one the built-in engine stands in for it, which needs twice the memory for
each user, so there are fewer of them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import installation
from tests.server.carried import FOLDER, ensure_folder
from tests.server.container import Container, Saved
from tests.server.gate import Gate
from tests.server.image import ensure_bases
from tests.server.limits import Limits, disk, mounted
from tests.server.report import measured, timed
from tests.server.test_update import NEXT, NEXT_TREE, UPDATE, changed, current
from tests.support.dc import DataCenter
from tests.support.stream import Stream

pytestmark = pytest.mark.timeout(2400)

#: Of 512 MB, Debian 12's kernel shows 469 in a virtual machine, and has taken 45 of these for itself when it is up.
MEMORY_MB = 420
#: What is asked for; beside that, the images of Docker Hub and the file system itself are there before it begins.
DISK_MB, IMAGES_MB = 2048, 380
MTG = os.environ.get("REAL_MTG", "")
USERS = 10 if MTG else 5


async def everybody(links: list[str], patience: float = 300) -> None:
    """All at the same time: a handshake each, then a megabyte down and a quarter of it up. patience: seconds."""

    async def one(link: str) -> None:
        stream = await Stream.open(link, timeout=patience)
        await stream.req_pq()
        await stream.download(1_000_000)
        await stream.upload(250_000)
        await stream.close()

    async with asyncio.timeout(patience):
        await asyncio.gather(*map(one, links))


def use_mtg(machine: Container) -> None:
    """REAL_MTG, if there is one, instead of what stands in for it."""
    if MTG:
        layers = machine.folder / "docker/overlay2"
        for program in (*layers.glob("*/diff/mtg"), *layers.glob("*/diff/usr/local/bin/mtg")):
            program.write_bytes(Path(MTG).read_bytes())


@pytest.fixture
def smallest(alone: None, center: DataCenter, tmp_path: Path, request: pytest.FixtureRequest
             ) -> Iterator[tuple[Container, Limits]]:
    """A server with that much memory, one processor and nothing but Debian. No registry is reached from it; what would
    be pulled from Docker Hub is there, as Docker keeps it."""
    folder = tmp_path / "disk/machine"
    with (Gate() as gate, mounted(ensure_bases()[0].disk, tmp_path / "debian", "ro") as debian,
          disk(DISK_MB + IMAGES_MB, tmp_path / "disk") as place, Limits(MEMORY_MB, place) as limits,
          Container(folder, Saved((debian,), ensure_folder() / FOLDER), limits=limits) as machine):
        request.node.machine = machine
        use_mtg(machine)
        machine.open_door(1080, center.socks5)
        machine.open_door(3128, gate.address)
        machine.boot()
        machine.put("/etc/apt/apt.conf.d/80door", f'Acquire::http::Proxy "http://{machine.door}:3128";\n'.encode())
        limits.begin()
        yield machine, limits


def note(limits: Limits, what: str) -> None:
    most = limits.most()
    measured(f"512 MB: most during {what}: {most.memory} MB of memory, {most.disk} MB on the disk")


def test_512_mb_one_cpu_and_nothing_but_debian_install_serve_ten_users_and_update(
        smallest: tuple[Container, Limits]) -> None:
    machine, limits = smallest
    with timed("512 MB: install.sh, with Docker and all packages"):
        said = installation.install(machine)
    assert "leads to Telegram" in said
    note(limits, "the installation")
    for number in range(2, USERS + 1):
        installation.panel(machine, "user", "add", f"user {number}")
    users = installation.panel(machine, "user", "list")
    assert len(users) == USERS
    links = [machine.outside(user["tg_link"]) for user in users]
    asyncio.run(everybody(links))
    note(limits, f"the service of {USERS} users, each with a stream")
    installation.put_checkout(machine, NEXT, changed("wsgi.py", "\nNEW = True\n"), NEXT_TREE)
    with timed("512 MB: update.sh"):
        installation.run_logged(machine, UPDATE, "update.log")
    assert current(machine) == NEXT
    note(limits, "the update")
    asyncio.run(everybody(links))
    assert limits.killed() == 0, "processes were ended for want of memory"
