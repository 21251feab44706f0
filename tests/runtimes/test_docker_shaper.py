"""What the helper of a speed limit is told, and how its answer is read: by the shell, without a container."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from app.runtimes.docker.shaper import Limit, in_force, script


def qdisc(device: str, kind: str, bits_per_second: int = 0) -> dict:
    """As `tc -j qdisc show` prints it, which tells bytes per second."""
    return {"kind": kind, "dev": device, "options": {"rate": bits_per_second // 8} if bits_per_second else {}}


WAY_IN = [qdisc("eth0", "noqueue"), qdisc("eth0", "ingress")]
IFBS = [qdisc("mtp-up", "tbf", 8_000_000), qdisc("mtp-down", "tbf", 8_000_000)]


@pytest.mark.parametrize("qdiscs, limit", [
    ([*WAY_IN, *IFBS], Limit(8_000_000)), (IFBS, None), ([qdisc("eth1", "noqueue"), *IFBS], None),
    ([*WAY_IN, IFBS[0]], None), (WAY_IN, None), ([], None),
    ([qdisc("eth0", "tbf", 5_000_000)], Limit(5_000_000, going_out=True))],
    ids=["all of it", "no way in", "another eth", "one direction", "nothing", "no tc", "egress"])
def test_a_limit_is_in_force_when_all_that_makes_it_is_there(qdiscs, limit):
    assert in_force(json.dumps(qdiscs) + "\n") == limit


def commands(folder: Path, limit: int | None, ifb: bool) -> list[str]:
    """The commands that the script runs, under a kernel that has ifb devices or not."""
    ip = f'echo ip "$@" >> "{folder}/said"\ncase "$*" in *"type ifb"*) exit {0 if ifb else 2};; esac\n'
    for name, body in (("ip", ip), ("tc", f'echo tc "$@" >> "{folder}/said"\n')):
        (folder / name).write_text(f"#!/bin/sh\n{body}")
        (folder / name).chmod(0o755)
    subprocess.run(["/bin/sh", "-c", script(limit, 3128, 3129)], check=True,
                   env={"PATH": f"{folder}:{os.environ['PATH']}"})
    return (folder / "said").read_text().splitlines()


def test_what_comes_in_is_shaped_where_the_kernel_has_ifb_and_what_goes_out_where_it_has_not(tmp_path):
    (shaped := tmp_path / "ifb").mkdir()
    (fallback := tmp_path / "none").mkdir()
    with_ifb, without = commands(shaped, 8_000_000, True), commands(fallback, 8_000_000, False)
    assert sum("tbf rate 8000000bit" in line for line in with_ifb) == 2
    assert not any("add dev eth0 root" in line for line in with_ifb)
    assert [line for line in without if "tc qdisc add" in line] == [
        "tc qdisc add dev eth0 root tbf rate 8000000bit burst 50000 limit 350000"]


@pytest.mark.parametrize("ifb", [True, False])
def test_a_limit_is_lifted_in_whichever_way_it_was_set(tmp_path, ifb):
    said = commands(tmp_path, None, ifb)
    assert {"tc qdisc del dev eth0 ingress", "tc qdisc del dev eth0 root", "ip link del mtp-up",
            "ip link del mtp-down"} <= set(said)


def test_the_highest_speed_that_can_be_set_needs_no_queue_that_tc_refuses():
    queues = [int(line.split()[-1]) for line in script(10 ** 11, 3128, 3129).splitlines() if " tbf " in line]
    assert queues and max(queues) < 2 ** 32
