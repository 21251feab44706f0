"""A server as a container of systemd-nspawn: Debian 12 with systemd, Docker, a network and a firewall of its own.

It has this machine's kernel, and so its speed: what a virtual machine takes half an hour for is done in a minute. With
Limits it has no more memory than a small server.

It reaches nobody but the doors: .door:port leads to where open_door() says. It is reached at .address.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.server.cache import MachineFailure, command
from tests.server.image import NETWORK
from tests.server.limits import Limits
from tests.server.server import Server

#: Where the server finds what its doors lead to; the same as in the virtual machine.
DOOR = f"{NETWORK}.100"
BOOT_SECONDS = 300
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What is another way than in the virtual machine. Docker limits its containers by cgroups; those of the first version
#: are read-only at first.
_FILES = {
    "etc/fstab": "",
    "etc/systemd/network/10-only.network":
        "[Match]\nName=host0\n[Network]\nAddress={address}/24\nGateway={gateway}\nLinkLocalAddressing=no\n"
        "IPv6AcceptRA=no\n",
    "etc/systemd/system/docker.service.d/cgroups.conf":
        "[Service]\nExecStartPre=/bin/sh -c 'for each in /sys/fs/cgroup/*/; do "
        "mount -o remount,rw,bind $each 2>/dev/null || :; done'\n",
}


@dataclass(frozen=True)
class Saved:
    """A server that is off. layers: folders that lie over each other, the uppermost first; docker: /var/lib/docker."""

    layers: tuple[Path, ...]
    docker: Path


class Container(Server):
    """One server that starts from a saved one and keeps what it changes in `folder`, which is on a disk, not in memory.

    with Container(folder, saved) as machine: machine.boot(); machine.run("uname -r")
    """

    def __init__(self, folder: Path, saved: Saved, network: str = NETWORK, limits: Limits | None = None):
        """network: the first three numbers of its addresses. Two that are on at the same time need one each."""
        self.folder, self.saved = folder, saved
        self._within = limits.words() if limits else []
        self.address, self.door, self._gateway = f"{network}.15", f"{network}.100", f"{network}.2"
        self._name = f"mt{uuid.uuid4().hex[:6]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._leads_to: dict[int, str] = {}
        self._doors: list[_Door] = []
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        command("cp", "-a", str(saved.docker), str(folder / "docker"))
        layers = ":".join(map(str, saved.layers))
        command("mount", "-t", "overlay", "overlay", "-o",
                f"lowerdir={layers},upperdir={folder / 'upper'},workdir={folder / 'work'}", str(folder / "root"))
        for name, text in _FILES.items():
            (folder / "root" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "root" / name).write_text(
                text.replace("{address}", self.address).replace("{gateway}", self._gateway))

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off_hard()
        self._unmount()
        for name in ("upper", "work", "docker"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _unmount(self) -> None:
        if os.path.ismount(self.folder / "root"):
            command("umount", "--lazy", str(self.folder / "root"))

    @property
    def serial(self) -> str:
        log = self.folder / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    # Power

    def boot(self) -> float:
        """Switch it on and wait until systemd has started what it starts; the seconds that took."""
        assert self._process is None, "it is on"
        started = time.monotonic()
        with (self.folder / "console.log").open("ab") as log:
            # It ends with the process that started it, whatever becomes of that.
            self._process = subprocess.Popen(
                [*self._within, "setpriv", "--pdeathsig", "KILL", "systemd-nspawn", "--quiet", "--boot", "--directory",
                 str(self.folder / "root"), "--machine", self._name, "--register=no", "--keep-unit", "--network-veth",
                 "--capability=all", "--system-call-filter=bpf keyctl add_key", "--console=pipe",
                 f"--bind={self.folder / 'docker'}:/var/lib/docker", "--link-journal=no", "--resolv-conf=off",
                 "--timezone=off"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_for_start()
        self._open_doors()
        self.wait_for_system()
        return time.monotonic() - started

    def _wait_for_start(self) -> None:
        end = time.monotonic() + BOOT_SECONDS
        while True:
            if self._process is None or self._process.poll() is not None:
                raise MachineFailure(f"the container has ended:\n{self.serial[-2000:]}")
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            self._leader = int(children[0]) if children else 0
            if self._leader and self._is_up():
                break
            if time.monotonic() > end:
                raise MachineFailure(f"systemd did not start within {BOOT_SECONDS} s:\n{self.serial[-2000:]}")
            time.sleep(0.2)
        # Its end of the cable; the other one is host0.
        link = f"ve-{self._name}"
        for address in (self._gateway, self.door):
            command("ip", "address", "replace", f"{address}/24", "dev", link)
        command("ip", "link", "set", link, "up")

    def _is_up(self) -> bool:
        return subprocess.run(self._enter("test", "-S", "/run/systemd/private"), capture_output=True).returncode == 0

    def reboot(self) -> float:
        """From inside; the seconds until it is up again."""
        started = time.monotonic()
        self._end("systemctl reboot")
        self.boot()
        return time.monotonic() - started

    def shut_down(self) -> None:
        """The orderly way."""
        self._end("systemctl poweroff")

    def _end(self, order: str) -> None:
        self.run(f"{order} --no-block", check=False)
        try:
            self._process.wait(BOOT_SECONDS)
        except subprocess.TimeoutExpired:
            raise MachineFailure(f"{order}: not within {BOOT_SECONDS} s\n{self.serial[-2000:]}") from None
        self._process = None
        self._close_doors()

    def power_off_hard(self) -> None:
        """As if the plug was pulled: no process is asked."""
        self._close_doors()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                if self._leader:
                    os.kill(self._leader, 9)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            self._process.kill()
            self._process.wait()
            self._process = None

    def save(self, folder: Path) -> Saved:
        """Shut it down; what it was is in `folder` then."""
        self.shut_down()
        self._unmount()
        for name in ("upper", "docker"):
            (self.folder / name).rename(folder / name)
        return Saved((folder / "upper", *self.saved.layers), folder / "docker")

    # Commands and the network

    def _enter(self, *words: str) -> list[str]:
        return [*self._within, "nsenter", "--target", str(self._leader), "--all", "env", "-i", f"PATH={_PATH}",
                "HOME=/root", "LANG=C.UTF-8", *words]

    def start(self, script: str, **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._enter("bash", "-c", script), **{"stdin": subprocess.DEVNULL, **options})

    def open_door(self, port: int, address: str) -> None:
        """From now on, .door:port inside leads to this address ("host:port") of this machine."""
        self._leads_to[port] = address
        if self._process is not None:
            self._open_doors()

    def _open_doors(self) -> None:
        self._close_doors()
        self._doors = [_Door(self.door, port, address) for port, address in self._leads_to.items()]

    def _close_doors(self) -> None:
        for door in self._doors:
            door.close()
        self._doors = []

    def outside(self, link: str) -> str:
        """A tg:// link as somebody outside of it has to write it: as it is."""
        return link


class _Door:
    def __init__(self, door: str, port: int, address: str):
        host, number = address.rsplit(":", 1)
        self._target = host, int(number)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((door, port))
        self._listener.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inside, _ = self._listener.accept()
                try:
                    outside = socket.create_connection(self._target, 30)
                except OSError:
                    inside.close()
                    continue
                outside.settimeout(None)
                for one, other in ((inside, outside), (outside, inside)):
                    threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
