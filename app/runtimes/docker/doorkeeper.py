"""A container's limit on addresses: nftables in its network namespace, put there and read back by a short helper.

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

from docker import APIClient

from app.runtimes.base import Devices, RuntimeFailure
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

_READ = f"nft -j list table {_TABLE} 2>/dev/null || true"
_LIFT = f"nft {shlex.quote(f'add table {_TABLE}; delete table {_TABLE}')}"


def rules(most: int, port: int, mark: int) -> list[str]:
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


def script(most: int, port: int, mark: int) -> str:
    """The shell commands that set the limit, or lift it with 0, and then print what is in force. Pure."""
    if not most:
        return f"set -e\n{_LIFT}\n{_READ}"
    # A kernel from 6.5 on takes more places as they are, and then no connection has to end; fewer it would not keep to.
    grown = shlex.quote(f"add set {_TABLE} {_SET} {{ {_TYPE}; size {most}; flags dynamic; }}")
    size = f"$(nft list set {_TABLE} {_SET} 2>/dev/null | sed -n 's/^[[:space:]]*size \\([0-9]*\\).*/\\1/p')"
    return "\n".join([
        "set -e", f'size="{size}"',
        f'if [ -n "$size" ] && [ "$size" -lt {most} ] && nft {grown} 2>/dev/null; then size="{size}"; fi',
        f'if [ "$size" != {most} ]; then nft {shlex.quote(chr(10).join(rules(most, port, mark)))}; fi', _READ])


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
    # Connections that an earlier limit has counted bear another mark.
    mark = 1 + secrets.randbelow(2 ** 31)
    return in_force(_help(api, container, script(most, int(container.labels[LISTEN]), mark)))


def read(api: APIClient, container: ContainerInfo) -> Devices | None:
    """What is in force. Raises RuntimeFailure."""
    return in_force(_help(api, container, _READ))


def _help(api: APIClient, container: ContainerInfo, commands: str) -> str:
    try:
        done = helper.run(api, container, commands)
    except helper.NoShell as error:
        raise RuntimeFailure("docker.no_nft", name=container.name, image=container.image) from error
    if done.code:
        reason = done.reason("docker.image_no_nft", "docker.nft_failed")
        raise RuntimeFailure("docker.addresses_not_limited", name=container.name, reason=reason)
    return done.out


def _address(element: object) -> str:
    """One key of the set, as people write it; "" for one that another version of nft writes in another way."""
    value = element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
    match value:
        case {"concat": [int(first), int(second)]} if first == second:
            return str(ipaddress.IPv4Address(first))
        case {"concat": [int(first), int(second)]}:
            return str(ipaddress.IPv6Network((first << 96 | second << 64, 64)))
    return ""
