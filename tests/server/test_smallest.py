"""The smallest server that is sold, with nothing on it but Debian: the documented minimum is real."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.server import installation
from tests.server.carried import FOLDER, ensure_disk
from tests.server.conftest import TIMES, timed
from tests.server.gate import Gate
from tests.server.image import ensure_bases
from tests.server.installation import HOME
from tests.server.machine import DOOR, Hardware, VirtualMachine
from tests.support.dc import DataCenter
from tests.support.stream import Stream

pytestmark = pytest.mark.timeout(6000)

#: As it is sold: the machine has some of it less, for its kernel.
MEMORY_MB, DISK_MB = 512, 2048
USERS = 10

#: Notes the most that was used, of memory (MB; what can't be given back) and of the disk (MB), while it runs.
_WATCH = """
most=0 disk=0
while :; do
    while read -r name kb _; do
        case $name in
            MemTotal:) total=$kb ;; MemAvailable:) free=$kb ;; SwapTotal:) swap=$kb ;; SwapFree:) left=$kb ;;
        esac
    done </proc/meminfo
    used=$(( (total - free + swap - left) / 1024 ))
    [ $used -le $most ] || most=$used
    used=$(df -Pm / | awk 'NR == 2 { print $3 }')
    [ $used -le $disk ] || disk=$used
    echo "$most $disk" >/run/most.new && mv /run/most.new /run/most
    sleep 2
done
"""


def most(machine: VirtualMachine) -> tuple[int, int]:
    memory, disk = machine.read("/run/most").split()
    return int(memory), int(disk)


async def everybody(links: list[str]) -> None:
    """All at the same time: a handshake each, then a megabyte down and a quarter of it up."""

    async def one(link: str) -> None:
        stream = await Stream.open(link, timeout=300)
        await stream.req_pq()
        await stream.download(1_000_000)
        await stream.upload(250_000)
        await stream.close()

    async with asyncio.timeout(900):
        await asyncio.gather(*map(one, links))


def test_512_mb_one_cpu_and_nothing_but_debian_install_and_serve_ten_users(center: DataCenter, tmp_path: Path,
                                                                           request: pytest.FixtureRequest) -> None:
    hardware = Hardware(memory=MEMORY_MB, cpus=1)
    with Gate() as gate, VirtualMachine(tmp_path / "machine", ensure_bases()[0], hardware, ensure_disk()) as machine:
        request.node.machine = machine
        machine.open_door(1080, center.socks5)
        machine.open_door(3128, gate.address)
        with timed("512 MB: boot"):
            machine.boot()
        machine.put("/etc/apt/apt.conf.d/80door", f'Acquire::http::Proxy "http://{DOOR}:3128";\n'.encode())
        # No registry is reached from here; what would be pulled is there, as Docker keeps it.
        machine.run(f"mount -o ro /dev/vdb /mnt && cp -a /mnt/{FOLDER} /var/lib/docker && umount /mnt && sync")
        before = int(machine.run("df -Pm / | awk 'NR == 2 { print $3 }'"))
        machine.put("/root/watch", _WATCH.encode())
        machine.run("systemd-run --quiet --unit=watch bash /root/watch")
        with timed("512 MB: install.sh, with Docker and all packages"):
            said = installation.install(machine)
        assert "leads to Telegram" in said
        memory, disk = most(machine)
        TIMES.append((f"(no seconds) most memory during the installation: {memory} MB; disk: {disk - before} MB", 0))
        for number in range(2, USERS + 1):
            installation.panel(machine, "user", "add", f"user {number}")
        users = installation.panel(machine, "user", "list")
        links = [machine.outside(user["tg_link"]) for user in users]
        assert len(links) == USERS
        with timed("512 MB: ten users at the same time"):
            asyncio.run(everybody(links))
        memory, disk = most(machine)
        TIMES.append((f"(no seconds) most memory with ten users: {memory} MB; disk: {disk - before} MB", 0))
        assert disk - before < DISK_MB
        killed = machine.run("dmesg | grep -i 'out of memory' || true")
        assert not re.search("Killed process", killed), killed
        machine.run(f"grep -q . {HOME}/install.log")
