"""What the helper of a limit on addresses is told, and how its answer is read: by the shell, without a container."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from app.runtimes.base import Devices
from app.runtimes.docker.doorkeeper import in_force, script

#: 192.0.2.1, and 2001:db8:1:2::/64, as `nft -j` of 1.0.6 tells them.
KEYS = [{"elem": {"val": {"concat": [3221225985, 3221225985]}, "ct count": {"val": 65535}}},
        {"elem": {"val": {"concat": [0x20010DB8, 0x00010002]}, "ct count": {"val": 65535}}}]


def printed(size: int = 2, keys: list = KEYS, rules_there: int = 11, hook: str = "input", refused: int = 7) -> str:
    """As `nft -j list table inet mtproto` prints it."""
    told = [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "inet", "name": "mtproto"}},
            {"counter": {"name": "refused", "packets": refused, "bytes": 60 * refused}},
            {"set": {"name": "clients", "size": size, **({"elem": keys} if keys else {})}},
            {"set": {"name": "waiting"}},
            {"chain": {"name": "door", **({"hook": hook} if hook else {})}}, {"chain": {"name": "newcomer"}}]
    return json.dumps({"nftables": [*told, *({"rule": {"expr": []}} for _ in range(rules_there))]}) + "\n"


def test_addresses_are_told_as_people_write_them_and_counted_where_another_nft_writes_them_otherwise():
    assert in_force(printed()) == Devices(2, 2, 7, ("192.0.2.1", "2001:db8:1:2::/64"))
    assert in_force(printed(keys=[])) == Devices(2, 0, 7)
    assert in_force(printed(keys=[{"concat": [3221225985, 3221225985]}, "0xc0000201 . 0xc0000201"])) == \
        Devices(2, 2, 7, ("192.0.2.1",))


@pytest.mark.parametrize("told", ["", "\n", "{}", printed(rules_there=10), printed(hook=""), printed(hook="output"),
                                  json.dumps({"nftables": [{"metainfo": {}}]})],
                         ids=["nothing", "a line", "no table", "a rule less", "no hook", "another hook", "no set"])
def test_without_all_of_it_there_is_no_limit(told):
    assert in_force(told) is None


def nfts(folder: Path, most: int, size: int, grows: bool) -> list[str]:
    """The first words of what nft is told, by a kernel that can make a set larger or not, where one of this size is
    there; 0 for none."""
    (folder / "size").write_text(str(size))
    grow = f'echo {most} > "{folder}/size"; exit 0' if grows else "exit 1"
    program = f'''#!/bin/sh
size=$(cat "{folder}/size")
case "$*" in
"list set"*) [ "$size" = 0 ] && exit 1; printf '\\t\\tsize %s\\t# count 1\\n' "$size";;
"add set"*) echo grow >> "{folder}/said"; {grow};;
"add table"*delete*table*set*) echo anew >> "{folder}/said";;
"add table"*) echo lift >> "{folder}/said";;
esac
'''
    (folder / "nft").write_text(program)
    (folder / "nft").chmod(0o755)
    (folder / "said").touch()
    subprocess.run(["/bin/sh", "-c", script(most, 3128, 5)], check=True,
                   env={"PATH": f"{folder}:{os.environ['PATH']}"})
    return (folder / "said").read_text().split()


@pytest.mark.parametrize("most, size, grows, said", [
    (2, 0, True, ["anew"]), (2, 2, True, []), (3, 2, True, ["grow"]), (3, 2, False, ["grow", "anew"]),
    (1, 2, True, ["anew"]), (0, 2, True, ["lift"])],
    ids=["none", "the same", "more", "more, on an old kernel", "fewer", "lifted"])
def test_connections_end_only_where_the_kernel_takes_another_limit_in_no_other_way(tmp_path, most, size, grows, said):
    assert nfts(tmp_path, most, size, grows) == said
