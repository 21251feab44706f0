"""A container's limit on addresses: nftables in its network namespace, put there and read back by a short helper.

One helper can do that for many containers: it goes from namespace to namespace, which takes some ms each instead of
some tenths of a second.

A set holds the addresses that have a connection to the engine, each with a count of them (`ct count`, in the kernel
since 4.18). The kernel takes an address out, once a second, when the last of its connections has ended. The set has as
many places as addresses are allowed: a connection from one that is not in it is let in if there is a place. IPv4 and
IPv6 share the places; an IPv6 address is known by its /64, as everybody has one.

The kernel counts a connection by its first packet only, so one that was there before is not in the count. It is ended
by its next packet, and its app comes back a second later, counted. A mark tells the two apart.

A place is free again some ms after its address was taken out. Whoever comes back in between would be refused, so the
first packet of a newcomer gets no answer while the set is full; the second one, a second later, is let in or refused.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import shlex
from collections.abc import Sequence

from docker import APIClient

from app.runtimes.base import Devices
from app.runtimes.docker import helper
from app.runtimes.docker.spec import LISTEN
from app.runtimes.docker.state import ContainerInfo

#: Names in the namespace, where nobody else has tables.
_TABLE, _SET = "inet mtproto", "clients"

#: IPv4: the address, twice. IPv6: the two halves of the first 64 bits, as other sets hold keys of one type only.
_KEYS = (("ipv4", "@nh,96,32 . @nh,96,32"), ("ipv6", "@nh,64,32 . @nh,96,32"))
_TYPE = "typeof @nh,96,32 . @nh,96,32"

#: Rules in its chains: fewer let somebody pass.
_RULES = 11

#: Newcomers at a time that may wait for the answer to their second packet. The kernel reserves memory for as many.
_WAITING = 512

#: More connections than one address can have.
_ANY = 65535

#: Containers that one helper goes to: some seconds on a small server that is busy.
AT_ONCE = 100

_TROUBLES = helper.Troubles("docker.no_nft", "docker.image_no_nft", "docker.nft_failed",
                            "docker.addresses_not_limited")

_READ = f"nft -j list table {_TABLE} 2>/dev/null || true"
_LIFT = f"nft {shlex.quote(f'add table {_TABLE}; delete table {_TABLE}')}"


def rules(most: int | str, port: int | str, mark: int | str) -> list[str]:
    """What nft is told, in one transaction: the limit in place of one that was there. Pure.

    most: so many addresses. port: the engine's inside the container. mark: of connections that this limit counts.
    """
    newcomer = [f"meta nfproto {family} add @{_SET} {{ {key} ct count {_ANY} }} ct mark set {mark} accept"
                for family, key in _KEYS]
    return [
        f"add table {_TABLE}", f"delete table {_TABLE}", f"table {_TABLE} {{",
        f"set {_SET} {{ {_TYPE}; size {most}; flags dynamic; }}",
        f"set waiting {{ type inet_service; size {_WAITING}; flags dynamic,timeout; timeout 3s; }}",
        "counter refused { }",
        "chain door {", "type filter hook input priority 0; policy accept;",
        f"tcp dport != {port} accept",
        # What ends a connection ends it; and a packet that belongs to none is TCP's to judge.
        "ct state invalid accept", "tcp flags & (fin | rst) != 0 accept",
        "tcp flags & (syn | ack) == syn jump newcomer",
        f"ct mark {mark} accept", "reject with tcp reset", "}",
        "chain newcomer {", *newcomer,
        "tcp sport @waiting counter name refused reject with tcp reset",
        "add @waiting { tcp sport } drop",
        "counter name refused reject with tcp reset", "}", "}"]


def script(most: int | str, port: int | str, mark: int | str) -> str:
    """The shell commands that set the limit, or lift it with 0, and then print what is in force. Pure.

    Each may also be a variable of the shell, as "$1".
    """
    if most == 0:
        return f"set -e\n{_LIFT}\n{_READ}"
    # A kernel from 6.5 on takes more places as they are, and then no connection has to end; fewer it would not keep to.
    grown = f"add set {_TABLE} {_SET} {{ {_TYPE}; size {most}; flags dynamic; }}"
    size = f"$(nft list set {_TABLE} {_SET} 2>/dev/null | sed -n 's/^[[:space:]]*size \\([0-9]*\\).*/\\1/p')"
    whole = "\n".join(rules(most, port, mark))
    return "\n".join([
        "set -e", f'size="{size}"',
        f'if [ -n "$size" ] && [ "$size" -lt {most} ] && nft "{grown}" 2>/dev/null; then size="{size}"; fi',
        f'if [ "$size" != {most} ]; then nft "{whole}"; fi', _READ])


def in_force(printed: str) -> Devices | None:
    """The limit from what the script printed; None without one, or with one that leads nobody to it."""
    found = next((line for line in printed.splitlines() if line.startswith("{")), "{}")
    told = [each for each in json.loads(found).get("nftables", []) if isinstance(each, dict)]
    sets = {each["set"]["name"]: each["set"] for each in told if "set" in each}
    hooked = any(each["chain"].get("hook") == "input" for each in told if "chain" in each)
    rules_there = sum("rule" in each for each in told)
    if _SET not in sets or not hooked or rules_there != _RULES:
        return None
    refused = sum(each["counter"]["packets"] for each in told if "counter" in each)
    keys = sets[_SET].get("elem", [])
    return Devices(sets[_SET].get("size", 0), len(keys), refused, tuple(sorted(filter(None, map(_address, keys)))))


def limit(api: APIClient, container: ContainerInfo, most: int) -> Devices | None:
    """Set the limit or lift it; what is in force afterwards. Raises RuntimeFailure."""
    mark = _new_mark()
    return in_force(helper.ask(api, container, script(most, int(container.labels[LISTEN]), mark), _TROUBLES))


def read(api: APIClient, container: ContainerInfo) -> Devices | None:
    """What is in force. Raises RuntimeFailure."""
    return in_force(helper.ask(api, container, _READ, _TROUBLES))


def keep(api: APIClient, wanted: Sequence[tuple[ContainerInfo, int]]) -> dict[str, Devices | None]:
    """Have these limits (0: none) be in force, each in its running container; what is in force then, by the container's
    id. Left out are those that could not be reached so: one helper each may. Raises APIError, helper.NoShell."""
    folders = {container.netns.rpartition("/")[0] for container, _ in wanted}
    found: dict[str, Devices | None] = {}
    for folder in folders - {""}:
        there = [(container, most) for container, most in wanted if container.netns.rpartition("/")[0] == folder]
        for first in range(0, len(there), AT_ONCE):
            done = helper.run(api, there[first][0].image, "none", _for_many(there[first:first + AT_ONCE]), folder)
            found |= _of_many(done.out)
    return found


def _for_many(wanted: Sequence[tuple[ContainerInfo, int]]) -> str:
    """The commands that go to each container; what one prints stands between its id and "ok". Pure."""
    visits = [f"visit {container.id} {shlex.quote(container.netns.rpartition('/')[2])} {most} "
              f"{int(container.labels[LISTEN])} {_new_mark()}" for container, most in wanted]
    lift, put = shlex.quote(script(0, 0, 0)), shlex.quote(script("$1", "$2", "$3"))
    return "\n".join([
        f"lift={lift}", f"put={put}",
        'visit() { echo "@$1"; if [ "$3" = 0 ]; then what=$lift; else what=$put; fi',
        'if nsenter --net="/netns/$2" sh -c "$what" - "$3" "$4" "$5"; then echo; echo ok; else echo; fi; }', *visits])


def _of_many(printed: str) -> dict[str, Devices | None]:
    """What is in force, by the container's id, from what those commands print; only of those where all went well."""
    found: dict[str, Devices | None] = {}
    # What nft prints is one line, which begins otherwise.
    for part in f"\n{printed}".split("\n@")[1:]:
        identity, *lines = part.splitlines()
        if "ok" in lines:
            found[identity] = in_force(part)
    return found


def _new_mark() -> int:
    """Connections that an earlier limit has counted bear another one."""
    return 1 + secrets.randbelow(2 ** 31)


def _address(element: object) -> str:
    """One key of the set, as people write it; "" for one that another version of nft writes in another way."""
    value = element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
    match value:
        case {"concat": [int(first), int(second)]} if first == second:
            return str(ipaddress.IPv4Address(first))
        case {"concat": [int(first), int(second)]}:
            return str(ipaddress.IPv6Network((first << 96 | second << 64, 64)))
    return ""
