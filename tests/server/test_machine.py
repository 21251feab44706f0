"""The smallest server that is sold, as a virtual machine with a kernel of its own: with what install.sh has left on
it, it starts, and serves.

    REAL_MTG=/path/to/mtg bash tests/run.sh tests/server/test_machine.py

The installation itself takes hours in there; with the same memory it is in test_smallest.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.server import image, installation
from tests.server.cache import command
from tests.server.conftest import switched_on
from tests.server.container import Saved
from tests.server.image import ensure_bases
from tests.server.installation import Installed
from tests.server.machine import Hardware, VirtualMachine
from tests.server.report import measured, timed
from tests.server.test_smallest import USERS, everybody, use_mtg
from tests.support.dc import DataCenter

pytestmark = pytest.mark.timeout(3600)

#: Notes the most memory that was used (MB; what can't be given back), and how much there is, while it runs.
_WATCH = """
most=0
while :; do
    while read -r name kb _; do
        case $name in MemTotal:) total=$kb ;; MemAvailable:) free=$kb ;; esac
    done </proc/meminfo
    used=$(( (total - free) / 1024 ))
    [ $used -le $most ] || most=$used
    echo "$most of $(( total / 1024 )) MB" >/run/most
    sleep 2
done
"""


def pack(saved: Saved, folder: Path) -> Path:
    """The saved server as the disk of a virtual machine."""
    upper, root, disk = saved.layers[0], folder / "root", folder / "disk.ext4"
    for name in ("etc/fstab", "etc/systemd/network/10-only.network"):
        (upper / name).write_text(image._FILES[name])
    root.mkdir()
    command("mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={':'.join(map(str, saved.layers))}", str(root))
    try:
        command("mount", "--bind", str(saved.docker), str(root / "var/lib/docker"))
        try:
            command("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk), "6G")
        finally:
            command("umount", str(root / "var/lib/docker"))
    finally:
        command("umount", str(root))
    return disk


def test_a_machine_with_512_mb_and_one_cpu_starts_and_serves_all_its_users(
        installed: Installed, center: DataCenter, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with switched_on(request, installed.saved, center, tmp_path / "before") as server:
        use_mtg(server)
        installation.wait_until_it_serves(server)
        for number in range(2, USERS + 1):
            installation.panel(server, "user", "add", f"user {number}")
        users = installation.panel(server, "user", "list")
        server.put("/etc/systemd/system/watch.service",
                   b"[Service]\nExecStart=/bin/bash /root/watch\n[Install]\nWantedBy=multi-user.target\n")
        server.put("/root/watch", _WATCH.encode())
        server.run("systemctl enable watch")
        (tmp_path / "saved").mkdir()
        disk = pack(server.save(tmp_path / "saved"), tmp_path)
    base = replace(ensure_bases()[1], disk=disk)
    with VirtualMachine(tmp_path / "machine", base, Hardware(memory=512, cpus=1)) as machine:
        request.node.machine = machine
        machine.open_door(1080, center.socks5)
        with timed("512 MB, a virtual machine: its start"):
            machine.boot()
        with timed("512 MB, a virtual machine: until the last user is served"):
            machine.wait_for(f"test $(docker ps -q | wc -l) = {USERS + 2}", 1200, pause=10)
            links = [machine.outside(user["tg_link"]) for user in users]
            asyncio.run(everybody(links, patience=900))
        measured(f"512 MB, a virtual machine: most memory with {USERS} users: {machine.read('/run/most')}")
        killed = machine.run("dmesg | grep -i 'killed process' || true")
        assert not killed
