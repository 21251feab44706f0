"""A container's speed limit: tc in its network namespace, put there and read back by a short-lived helper.

What comes in is shaped, through ifb devices: TCP itself then slows the sender down, and
the engine queues nothing. Where the kernel has none, what goes out is shaped instead: the
speed is the same, but for both directions together, and the engine queues what it can't
send, up to the container's limit of memory. The proxy container keeps no capability; the
helper, which joins its network only, has NET_ADMIN. A restart of the container loses the limit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from docker import APIClient

from app.lib import portmap
from app.runtimes.docker import helper
from app.runtimes.docker.spec import LISTEN, METRICS
from app.runtimes.docker.state import ContainerInfo

#: Interfaces of the namespace: what clients send comes through one, all else (Telegram) through the other.
_UP, _DOWN = "mtp-up", "mtp-down"

#: tc refuses a queue of more bytes.
_LARGEST_QUEUE = 2 ** 32 - 1

_TROUBLES = helper.Troubles("docker.no_tc", "docker.image_no_tc", "docker.tc_failed", "docker.not_slowed")

_READ = "tc -j qdisc show 2>/dev/null || true"
_LIFT = f"""tc qdisc del dev eth0 ingress 2>/dev/null || true
tc qdisc del dev eth0 root 2>/dev/null || true
ip link del {_UP} 2>/dev/null || true
ip link del {_DOWN} 2>/dev/null || true
"""


@dataclass(frozen=True)
class Limit:
    """A limit in force. going_out: it is on what goes out, as the kernel has no ifb device."""

    bits_per_second: int
    going_out: bool = False


def script(bits_per_second: int | None, port: int, metrics_port: int) -> str:
    """The shell commands that set the limit, or lift it, and then print what is in force. Pure.

    port: the engine's inside the container; what comes in for it comes from clients.
    metrics_port: what comes in for this one is the panel's own question, which never waits.
    """
    if not bits_per_second:
        return f"set -e\n{_LIFT}{_READ}"
    # As much as comes in 50 ms, and never less than a few packets, may pass at full speed.
    burst = max(bits_per_second // 8 // 20, 20_000)
    # What comes in 300 ms may wait, and never less than one joined segment (64 KB) and what follows it:
    # a sender that loses most of its first window crawls for seconds at 1 Mbit/s.
    queue = min(burst + max(bits_per_second // 8 * 3 // 10, 100_000), _LARGEST_QUEUE)
    limit = f"root tbf rate {bits_per_second}bit burst {burst} limit {queue}"
    lines = ["set -e", _LIFT.rstrip(), f"if ip link add {_UP} type ifb; then"]
    lines += [f"ip link add {_DOWN} type ifb"]
    for device in (_UP, _DOWN):
        lines += [f"ip link set {device} up", f"tc qdisc add dev {device} {limit}"]
    lines.append("tc qdisc add dev eth0 handle ffff: ingress")
    for number, (protocol, ip) in enumerate((("ip", "ip"), ("ipv6", "ip6"))):
        rule = f"tc filter add dev eth0 parent ffff: protocol {protocol} prio"
        lines += [
            f"{rule} {1 + number} u32 match {ip} dport {metrics_port} 0xffff flowid :1",
            f"{rule} {3 + number} u32 match {ip} dport {port} 0xffff action mirred egress redirect dev {_UP}",
            # The file that mtg learns its pace from: through a throttle it would learn the throttle's.
            f"{rule} {5 + number} u32 match {ip} sport {portmap.TIMING} 0xffff flowid :1",
            f"{rule} {7 + number} u32 match u32 0 0 action mirred egress redirect dev {_DOWN}",
        ]
    lines += ["else", f"tc qdisc add dev eth0 {limit}", "fi", _READ]
    return "\n".join(lines)


def in_force(printed: str) -> Limit | None:
    """The limit from what the script printed; None without one in both directions.

    A limit on the ifb devices is one only while eth0 leads to them: a container that was put into its network
    anew has another eth0.
    """
    found = next((line for line in printed.splitlines() if line.startswith("[")), "[]")
    qdiscs = {(q.get("dev"), q.get("kind")): q for q in json.loads(found)}
    rates = {device: round(qdiscs[device, "tbf"]["options"]["rate"] * 8)
             for device in ("eth0", _UP, _DOWN) if (device, "tbf") in qdiscs}
    if "eth0" in rates:
        return Limit(rates["eth0"], going_out=True)
    return Limit(min(rates.values())) if len(rates) == 2 and ("eth0", "ingress") in qdiscs else None


def shape(api: APIClient, container: ContainerInfo, bits_per_second: int | None) -> Limit | None:
    """Set the limit or lift it; what is in force afterwards. Raises RuntimeFailure."""
    listen, metrics = int(container.labels[LISTEN]), int(container.labels[METRICS].partition("/")[0])
    return in_force(helper.ask(api, container, script(bits_per_second, listen, metrics), _TROUBLES))


def read(api: APIClient, container: ContainerInfo) -> Limit | None:
    """What is in force. Raises RuntimeFailure."""
    return in_force(helper.ask(api, container, _READ, _TROUBLES))
