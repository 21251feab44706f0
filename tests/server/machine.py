"""A virtual machine: Debian 12 with systemd and a kernel of its own, under qemu's software emulation (no KVM needed).
It has the memory and the processors that it is given; all that does not depend on these runs in a container instead.

It reaches nobody but the doors in Doors: qemu's own network is told `restrict=on`. It is reached on loopback, by ports
that qemu forwards. Everything in it takes about ten times as long as outside: wait for things, don't measure them.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.server.cache import MachineFailure, command
from tests.server.image import NETWORK, Base
from tests.server.server import Server
from tests.support.cover import free_port

#: Where the guest finds what its Doors lead to.
DOOR = f"{NETWORK}.100"
BOOT_SECONDS = 900


@dataclass(frozen=True)
class Hardware:
    """memory in MB. forward: ports of the guest that are reached on loopback. doors: ports of DOOR."""

    memory: int = 2048
    cpus: int = 2
    forward: tuple[int, ...] = (80, 443, 8443, *range(2443, 2454))
    doors: tuple[int, ...] = (1080, 3128)


@dataclass
class VirtualMachine(Server):
    """One machine with a disk of its own, thrown away with `folder`. carried: a second disk, read-only.

    with VirtualMachine(folder, base) as machine: machine.boot(); machine.run("uname -r")
    """

    folder: Path
    base: Base
    hardware: Hardware = field(default_factory=Hardware)
    carried: Path | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports: dict[int, int] = {}
        self._qemu: subprocess.Popen[bytes] | None = None
        self._ssh: subprocess.Popen[bytes] | None = None
        # Paths of sockets may not be long.
        self._sockets = Path(tempfile.mkdtemp(prefix="vm-"))
        command("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(self.base.disk), str(self.disk))

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def serial(self) -> str:
        """What the machine has printed on its serial line, since its first boot."""
        logs = sorted(self.folder.glob("serial-*.log"))
        return "".join(log.read_text(errors="replace") for log in logs)

    def __enter__(self) -> VirtualMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off_hard()
        shutil.rmtree(self._sockets, ignore_errors=True)
        self.disk.unlink(missing_ok=True)

    # Power

    def boot(self) -> float:
        """Switch it on and wait until systemd has started what it starts; the seconds that took."""
        started = time.monotonic()
        self._start()
        self.wait_for_system(BOOT_SECONDS)
        return time.monotonic() - started

    def _start(self) -> None:
        assert self._qemu is None, "it is on"
        self.ports = {port: free_port() for port in (22, *self.hardware.forward)}
        log = self.folder / f"serial-{len(list(self.folder.glob('serial-*.log'))):02}.log"
        network = [f"user,id=n0,restrict=on,net={NETWORK}.0/24"]
        network += [f"hostfwd=tcp:127.0.0.1:{outside}-:{inside}" for inside, outside in self.ports.items()]
        # qemu starts the command for every connection: who answers may change while it runs.
        network += [f"guestfwd=tcp:{DOOR}:{port}-cmd:{sys.executable} {Path(__file__).parent / 'door.py'} "
                    f"{self.folder / f'door-{port}'}" for port in self.hardware.doors]
        drives = [f"file={self.disk},format=qcow2,if=virtio,cache=unsafe,discard=unmap"]
        if self.carried:
            drives.append(f"file={self.carried},format=raw,if=virtio,readonly=on")
        # Without page tables of five levels, which take a fifth more of the emulation's time.
        arguments = [
            "-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,-la57", "-m", str(self.hardware.memory),
            "-smp", str(self.hardware.cpus), "-display", "none", "-serial", f"file:{log}",
            "-kernel", str(self.base.kernel), "-initrd", str(self.base.initrd),
            "-append", "console=ttyS0 root=/dev/vda rw net.ifnames=0 mitigations=off",
            "-device", "virtio-rng-pci",
            "-netdev", ",".join(network), "-device", "virtio-net-pci,netdev=n0",
            *(part for drive in drives for part in ("-drive", drive))]
        # It ends with the process that started it, whatever becomes of that.
        self._qemu = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(self.folder / "qemu.log").open("ab"))

    def power_off_hard(self) -> None:
        """As if the plug was pulled: whatever the guest had not written to its disk is gone."""
        self._disconnect()
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None

    def shut_down(self) -> None:
        """The orderly way."""
        self.run("systemctl poweroff --no-block", check=False)
        self._wait_for_end(600)

    def reboot(self) -> float:
        """From inside; the seconds until it is up again."""
        before, started = self.run("cat /proc/sys/kernel/random/boot_id"), time.monotonic()
        self.run("systemctl reboot --no-block", check=False)
        self._disconnect()
        while True:
            self.connect(BOOT_SECONDS)
            if self.run("cat /proc/sys/kernel/random/boot_id", check=False) not in ("", before):
                break
            self._disconnect()
            time.sleep(1)
        self.wait_for_system(BOOT_SECONDS)
        return time.monotonic() - started

    def _wait_for_end(self, seconds: float) -> None:
        self._qemu.wait(seconds)
        self._qemu = None
        self._disconnect()

    # Commands

    def connect(self, seconds: float) -> None:
        """Wait until ssh answers. Raises MachineFailure with the end of the serial line."""
        end = time.monotonic() + seconds
        while True:
            self._still_on()
            self._disconnect()
            self._ssh = subprocess.Popen(
                ["ssh", "-M", "-N", *self._ssh_options(), "-o", "ConnectTimeout=30", "root@127.0.0.1"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(self.folder / "ssh.log").open("ab"))
            while self._ssh.poll() is None and time.monotonic() < end:
                if (self._sockets / "ssh").exists():
                    return
                time.sleep(0.1)
            if time.monotonic() > end:
                raise MachineFailure(f"ssh did not answer within {seconds:g} s; the serial line ends with\n"
                                     f"{self.serial[-3000:]}")
            time.sleep(0.5)

    def _still_on(self) -> None:
        if self._qemu is None or self._qemu.poll() is not None:
            raise MachineFailure(f"the machine has ended: {(self.folder / 'qemu.log').read_text()[-2000:]}")

    def _ssh_options(self) -> list[str]:
        return ["-F", "none", "-S", str(self._sockets / "ssh"), "-p", str(self.ports[22]), "-i", str(self.base.key),
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                "-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=10", "-o", "BatchMode=yes"]

    def _disconnect(self) -> None:
        if self._ssh is not None:
            self._ssh.kill()
            self._ssh.wait()
            self._ssh = None
        (self._sockets / "ssh").unlink(missing_ok=True)

    def start(self, script: str, **options: object) -> subprocess.Popen[bytes]:
        if self._ssh is None:
            self.connect(BOOT_SECONDS)
        return subprocess.Popen(["ssh", *self._ssh_options(), "root@127.0.0.1", f"bash -c {shlex.quote(script)}"],
                                **{"stdin": subprocess.DEVNULL, **options})

    # The network

    def open_door(self, port: int, address: str) -> None:
        """From now on, DOOR:port inside leads to this address ("host:port") of this machine."""
        (self.folder / f"door-{port}").write_text(address)

    def outside(self, link: str) -> str:
        """The same tg:// link as somebody outside the machine has to write it: qemu's port on loopback."""
        from tests.support.clients import parts

        _, port, secret = parts(link)
        return f"tg://proxy?server=127.0.0.1&port={self.ports[port]}&secret={secret}"
