"""The disks that the virtual machine starts from: a Debian 12, made here, with or without what the panel needs.

    python -m tests.server.image          # makes both, and prints where they are

debootstrap fetches the packages from Debian, mke2fs packs them; no loop device and no installer of Debian's are
needed. Both are kept in a folder outside the repository, under a hash of the recipe, and made once per machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.server.cache import MachineFailure, command, complete, kept, one_at_a_time

SUITE = "bookworm"
#: Not the network that qemu has by itself: the machine that runs these tests may be in that one.
NETWORK = "10.91.2"
ADDRESS, GATEWAY = f"{NETWORK}.15", f"{NETWORK}.2"
DISK_SIZE = "12G"  # a sparse file: it takes what is in it
#: What a server of Debian's has before anybody installs anything.
PLAIN = ("systemd systemd-sysv systemd-timesyncd udev dbus linux-image-cloud-amd64 initramfs-tools iproute2 "
         "openssh-server ca-certificates procps kmod netbase zstd").split()
#: What the installer would fetch, fetched already: inside the machine everything takes ten times as long.
BAKED = ("docker.io apparmor iptables nftables ufw python3 python3-venv curl git openssl jq cron logrotate "
         "rsync unzip fail2ban python3-systemd").split()
#: Debian 12 has no Compose v2; the next one's package runs on it.
COMPOSE_FROM = "trixie"

_FILES = {
    "etc/hostname": "server\n",
    "etc/hosts": "127.0.0.1 localhost server\n",
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/systemd/network/10-only.network":
        f"[Match]\nName=eth0\n[Network]\nAddress={ADDRESS}/24\nGateway={GATEWAY}\nLinkLocalAddressing=no\n"
        "IPv6AcceptRA=no\n",
    # Nobody answers there; whoever asks finds out soon.
    "etc/resolv.conf": f"nameserver {NETWORK}.3\noptions timeout:1 attempts:1\n",
    "etc/initramfs-tools/conf.d/virtual": "MODULES=list\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    "etc/sysctl.d/90-console.conf": "kernel.printk = 4 4 1 7\n",
}
#: Work that begins by itself on a machine that is ten times slower.
_MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "man-db.timer",
           "systemd-networkd-wait-online.service", "fstrim.timer", "dpkg-db-backup.timer")


@dataclass(frozen=True)
class Base:
    """disk: an ext4 file system without partitions, never written to. key: for ssh as root. root: of the baked one, the
    same as a folder."""

    disk: Path
    kernel: Path
    initrd: Path
    key: Path
    root: Path


def ensure_bases() -> tuple[Base, Base]:
    """The plain machine and the one with packages baked in. The first time it takes some five minutes."""
    with one_at_a_time():
        folder, there = kept("debian", Path(__file__).read_text())
        if not there:
            _make(folder)
            complete(folder)
    common = {"kernel": folder / "vmlinuz", "initrd": folder / "initrd", "key": folder / "key",
              "root": folder / "root"}
    return Base(folder / "plain.ext4", **common), Base(folder / "baked.ext4", **common)


def _make(folder: Path) -> None:
    program = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not program:
        raise MachineFailure("the virtual machine needs debootstrap: apt-get install debootstrap")
    # Not in /tmp: that may be mounted without devices.
    root = Path(tempfile.mkdtemp(prefix="mtproto-server-", dir="/var/tmp"))
    try:
        command("nice", program, "--variant=minbase", f"--include={','.join(PLAIN)}", SUITE, str(root))
        root.chmod(0o755)
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
        _configure(root, (folder / "key.pub").read_text())
        for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
            shutil.copyfile(next((root / "boot").glob(pattern)), folder / name)
        _pack(root, folder / "plain.ext4")
        _bake(root)
        _pack(root, folder / "baked.ext4")
        command("cp", "-a", str(root), str(folder / "root"))
    finally:
        for mounted in ("proc", "sys"):
            if os.path.ismount(root / mounted):
                command("umount", str(root / mounted))
        shutil.rmtree(root)


def _inside(root: Path, *words: str) -> None:
    command("nice", "chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            *words)


def _configure(root: Path, key: str) -> None:
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
        (root / name).write_text(text)
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    (root / "root/.ssh/authorized_keys").write_text(key)
    # The certificates that this machine trusts, as its way to the package registries may need them.
    trusted = Path("/etc/ssl/certs/ca-certificates.crt")
    if trusted.exists():
        shutil.copyfile(trusted, root / "etc/ssl/certs/ca-certificates.crt")
    _inside(root, "systemctl", "--quiet", "enable", "systemd-networkd.service")
    _inside(root, "systemctl", "--quiet", "mask", *_MASKED)
    _inside(root, "update-initramfs", "-u")
    _inside(root, "apt-get", "clean")


def _bake(root: Path) -> None:
    """Adds packages; their services are enabled, but not started: nothing of this root runs here."""
    quiet = root / "usr/sbin/policy-rc.d"
    quiet.write_text("#!/bin/sh\nexit 101\n")
    quiet.chmod(0o755)
    later = root / "etc/apt/sources.list.d/later.list"
    pin = root / "etc/apt/preferences.d/later"
    here = (root / "etc/resolv.conf").read_text()
    try:
        shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
        later.write_text(f"deb http://deb.debian.org/debian {COMPOSE_FROM} main\n")
        pin.write_text(f"Package: *\nPin: release n={COMPOSE_FROM}\nPin-Priority: 100\n")
        _inside(root, "apt-get", "update", "-qq")
        _inside(root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *BAKED,
                f"docker-compose/{COMPOSE_FROM}")
        _inside(root, "apt-get", "clean")
        # There, and off: it starts no jail for sshd without a log of it, and so does not start at all.
        _inside(root, "systemctl", "--quiet", "disable", "fail2ban.service")
    finally:
        for added in (quiet, later, pin):
            added.unlink(missing_ok=True)
        (root / "etc/resolv.conf").write_text(here)
    for lists in (root / "var/lib/apt/lists").glob("*_*"):
        lists.unlink()


def _pack(root: Path, disk: Path) -> None:
    command("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk),
            DISK_SIZE)


def main() -> None:
    started = time.monotonic()
    for base in ensure_bases():
        print(base.disk)
    print(f"{time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
