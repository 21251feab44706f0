"""States of the virtual machine that many tests start from, so that nothing is waited for twice."""

from __future__ import annotations

import inspect
import shutil

from tests.server.cache import command, complete, kept, one_at_a_time
from tests.server.carried import AHEAD, ensure_disk
from tests.server.image import ensure_bases
from tests.server.machine import Hardware, Saved, VirtualMachine

ORDINARY = Hardware()
_MEMORY_IS_OF = ("qemu-system-x86_64", "--version")
#: What Docker keeps is on the carried disk. It is proved.
_EQUIP = f"""
set -e
systemctl stop docker.socket docker
rm -rf /var/lib/docker
mkdir /var/lib/docker /srv/carried
cat >>/etc/fstab <<END
/dev/vdb /srv/carried ext4 defaults 0 0
/srv/carried/{AHEAD} /var/lib/docker none bind 0 0
END
mount /srv/carried
mount /var/lib/docker
systemctl daemon-reload
systemctl start docker
docker image ls
docker run --rm debian:bookworm-slim true
fstrim /
"""


def equipped(hardware: Hardware = ORDINARY) -> Saved:
    """Up, with Docker and the images of the carried disk in it, and nothing of ours: kept between runs."""
    baked, disk = ensure_bases()[1], ensure_disk()
    devices = inspect.getsource(VirtualMachine._start), inspect.getsource(VirtualMachine.__post_init__)
    seen = (baked.disk, disk, hardware, command(*_MEMORY_IS_OF), devices, _EQUIP)
    with one_at_a_time("equipped"):
        folder, there = kept("equipped", repr(seen))
        saved = Saved(folder, baked, hardware, disk)
        if there:
            return saved
        try:
            with VirtualMachine(folder / "making", baked, hardware, disk) as machine:
                machine.boot()
                machine.run(_EQUIP, timeout=3600)
                machine.save(folder)
        finally:
            shutil.rmtree(folder / "making")
        complete(folder)
    return saved


def main() -> None:
    print(equipped().folder)


if __name__ == "__main__":
    main()
