"""So much memory, one processor and a disk of that size for a server that is a container, and how much of it was used.

A group of the kernel's (cgroup, of either version) holds the server and whatever is run on it: what it can't have,
it does not get, as on a machine of that size; but what this machine's kernel takes for itself is not counted.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.server.cache import MachineFailure, command

_SECOND, _FIRST = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")
#: Seconds between two looks.
_PAUSE = 0.3
#: Sectors of 512 bytes: the kernel's own default.
_READ_AHEAD = 256


@contextmanager
def mounted(image: Path, folder: Path, options: str) -> Iterator[Path]:
    """The image of a disk, mounted as `folder`. It reads ahead as the disks of servers do: where there is little memory
    for what was read, what the disk below reads ahead may be many times too much."""
    folder.mkdir()
    device = command("losetup", "--find", "--show", *(["--read-only"] if options == "ro" else []), str(image)).strip()
    try:
        command("blockdev", "--setra", str(_READ_AHEAD), device)
        command("mount", "-o", f"{options},noload" if options == "ro" else options, device, str(folder))
        yield folder
    finally:
        command("umount", "--lazy", str(folder))
        command("losetup", "--detach", device)


@contextmanager
def disk(size: int, folder: Path) -> Iterator[Path]:
    """A disk of its own, of `size` MB, mounted as `folder`."""
    image = folder.with_name(f"{folder.name}.ext4")
    command("mke2fs", "-q", "-t", "ext4", "-m", "0", str(image), f"{size}M")
    with mounted(image, folder, "rw"):
        yield folder
    image.unlink()


@dataclass(frozen=True)
class Most:
    """MB. memory: what can't be given back, the kernel's part of it included. disk: what came to it."""

    memory: int
    disk: int


class Limits:
    """with disk(2000, folder), Limits(400, folder) as limits, Container(folder / "its", …, limits=limits) as machine: …

    memory: MB, without any swap. folder: where its disk is mounted. The processor is the last one that this process may
    use.
    """

    def __init__(self, memory: int, folder: Path):
        self._second = (_SECOND / "cgroup.controllers").exists()
        self.folder = (_SECOND if self._second else _FIRST) / f"mtproto-{uuid.uuid4().hex[:6]}"
        try:
            if self._second:
                (_SECOND / "cgroup.subtree_control").write_text("+memory")
            self.folder.mkdir()
            limits = {"memory.max": f"{memory}M", "memory.swap.max": "0"} if self._second else {
                "memory.limit_in_bytes": f"{memory}M", "memory.swappiness": "0"}
            for name, value in limits.items():
                (self.folder / name).write_text(value)
        except OSError as error:
            raise MachineFailure(f"no group with {memory} MB could be made: {error}") from error
        self._mounted = folder
        self._memory = self._disk = self._disk_before = 0
        self._killed: dict[Path, int] = {}
        self._ended = threading.Event()

    def __enter__(self) -> Limits:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        end = time.monotonic() + 30
        while self.folder.exists() and time.monotonic() < end:
            for folder, *_ in os.walk(self.folder, topdown=False):
                with contextlib.suppress(OSError):  # somebody has not ended yet
                    os.rmdir(folder)
            time.sleep(0.1)

    def words(self) -> list[str]:
        """What stands before a command that is to be run within the limits."""
        # Where nspawn has made groups of its own, processes may be in the innermost ones only.
        enter = (f"for each in {self.folder}/supervisor {self.folder}; do "
                 "echo $$ >$each/cgroup.procs && break; done 2>&-")
        processor = max(os.sched_getaffinity(0))
        return ["sh", "-c", f'{enter} || exit 1; exec taskset -c {processor} "$@"', "sh"]

    def begin(self) -> None:
        """What is on the disk now is not counted."""
        self._disk_before = self._on_disk()

    def most(self) -> Most:
        """The most that was used since the last call."""
        most = Most(self._memory, max(self._disk, self._on_disk()) - self._disk_before)
        self._memory = self._disk = 0
        return most

    def killed(self) -> int:
        """How many processes were ended because there was no memory left."""
        return sum(self._killed.values())

    def _watch(self) -> None:
        while not self._ended.wait(_PAUSE):
            with contextlib.suppress(OSError):
                self._memory = max(self._memory, self._used() >> 20)
                self._disk = max(self._disk, self._on_disk())
            self._count_killed()

    def _on_disk(self) -> int:
        values = os.statvfs(self._mounted)
        return (values.f_blocks - values.f_bfree) * values.f_frsize >> 20

    def _used(self) -> int:
        values = self._values(self.folder / "memory.stat")
        if self._second:
            return values["anon"] + values["shmem"] + values["kernel"]
        kernel = int((self.folder / "memory.kmem.usage_in_bytes").read_text())
        return values["total_rss"] + values.get("total_shmem", 0) + kernel

    def _count_killed(self) -> None:
        """The first version counts them where they were, and groups come and go."""
        name = "memory.events" if self._second else "memory.oom_control"
        groups = [self.folder] if self._second else [Path(folder) for folder, *_ in os.walk(self.folder)]
        for group in groups:
            with contextlib.suppress(OSError):
                self._killed[group] = self._values(group / name)["oom_kill"]

    @staticmethod
    def _values(file: Path) -> dict[str, int]:
        return {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}
