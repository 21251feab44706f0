"""A server's network, real: a namespace with firewalls of its own, a container behind Docker's DNAT, clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.install.conftest import ROOT

SERVER, OUTSIDE, SERVER6, OUTSIDE6 = "198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2"
CONTAINER = "172.30.9.2"

#: What the server's programs write, in copies that end with the namespace.
_OWN = """
set -e
mount -t tmpfs tmpfs /mnt
for folder in /etc/ufw /etc/firewalld /etc/default /var/lib/ufw; do
    [ -d "$folder" ] || continue
    mkdir -p "/mnt$folder"; cp -a "$folder/." "/mnt$folder"; mount --bind "/mnt$folder" "$folder"
done
mkdir -p /mnt/run; mount --bind /mnt/run /run
ip link set lo up
printf ready
exec sleep 600
"""

#: Connects to each, one after the other, and prints which answered.
_CONNECT = """
import json, socket, sys
address, source, ports = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
answered = []
for port in ports:
    try:
        socket.create_connection((address, port), 0.3, (source, 0) if source else None).close()
        answered.append(True)
    except OSError:
        answered.append(False)
print(json.dumps(answered))
"""

_LISTEN = """
import socket, sys, threading
def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=200)
    while True:
        listener.accept()[0].close()
for port in sys.argv[1:]:
    threading.Thread(target=serve, args=(int(port),), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


class FirewallLab:
    """home: an installation's folder, with what host/firewall.sh reads. Three namespaces: the server's, that of a
    container on a bridge, and one outside."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        (self.home / "data").mkdir(parents=True)
        (self.home / ".env").write_text("HTTP_PORT=80\nHTTPS_PORT=443\n")
        self._running: list[subprocess.Popen[str]] = []
        self.pid = self._start(["unshare", "-n", "-m", "--propagation", "private", "bash", "-c", _OWN])
        self.outside = self._start(["unshare", "-n", "bash", "-c", "ip link set lo up; printf ready; exec sleep 600"])
        self.cable(self.outside, "eth0", [f"{SERVER}/24", f"{SERVER6}/64"], [f"{OUTSIDE}/24", f"{OUTSIDE6}/64"])
        self.inside("ip route add default dev eth0")

    def _start(self, command: list[str]) -> int:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._running.append(process)
        assert process.stdout and process.stdout.read(5) == "ready"
        return process.pid

    def close(self) -> None:
        """Ends every program of the server, those in the background, too."""
        own = os.readlink(f"/proc/{self.pid}/ns/net")
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.readlink(process / "ns/net") == own:
                    os.kill(int(process.name), signal.SIGKILL)
        for process in reversed(self._running):
            process.kill()
            process.wait()

    def cable(self, other: int, name: str, here: Iterable[str], there: Iterable[str]) -> None:
        """Between the server, as `name`, and another namespace, as eth0."""
        near = f"n{self.pid}"[:15]
        subprocess.run(["ip", "link", "add", near, "netns", str(self.pid), "type", "veth", "peer", "name", "eth0",
                        "netns", str(other)], check=True)
        self.inside(f"ip link set {near} name {name} up")
        for address in here:
            self.inside(f"ip address add {address} dev {name} {'nodad' if ':' in address else ''}")
        there_up = "; ".join(f"ip address add {each} dev eth0 {'nodad' if ':' in each else ''}" for each in there)
        subprocess.run(["nsenter", "-t", str(other), "-n", "bash", "-ec", f"ip link set eth0 up; {there_up}"],
                       check=True)

    def inside(self, script: str, check: bool = True, **variables: str) -> str:
        """What a script on the server prints."""
        done = subprocess.run(["nsenter", "-t", str(self.pid), "-n", "-m", "bash", "-c", script], text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, env={**os.environ, **variables})
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def wants(self, *words: str) -> None:
        """What the panel has written."""
        (self.home / "data/firewall.wanted").write_text("".join(f"{each}\n" for each in words))

    def firewall(self, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
        """host/firewall.sh, as root; without words, as its unit calls it."""
        return subprocess.run(["nsenter", "-t", str(self.pid), "-n", "-m", "bash", str(ROOT / "host/firewall.sh"),
                               str(self.home), *words], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              env={**os.environ, "MTPROTO_ROOT": str(self.home / "no"),
                                   **({"PATH": path} if path else {})})

    def apply(self) -> None:
        done = self.firewall()
        assert done.returncode == 0 and "!" not in done.stdout, done.stdout + done.stderr

    def status(self) -> dict[str, object]:
        return dict(json.loads(self.firewall("status", "--json").stdout))

    def listens(self, *ports: int) -> None:
        """Programs of the server itself."""
        self._start(["nsenter", "-t", str(self.pid), "-n", "python3", "-c", _LISTEN, *map(str, ports)])

    def publishes(self, port: int, inside: int = 3128) -> None:
        """A container's port, by the rules that Docker makes (docker run --publish)."""
        container = self._start(["unshare", "-n", "bash", "-c", "ip link set lo up; printf ready; exec sleep 600"])
        self.inside("ip link add br-test type bridge; ip link set br-test up; ip address add 172.30.9.1/24 dev br-test;"
                    "sysctl -qw net.ipv4.ip_forward=1")
        self.cable(container, "veth1", [], [f"{CONTAINER}/24"])
        self.inside("ip link set veth1 master br-test")
        subprocess.run(["nsenter", "-t", str(container), "-n", "ip", "route", "add", "default", "via", "172.30.9.1"],
                       check=True)
        self._start(["nsenter", "-t", str(container), "-n", "python3", "-c", _LISTEN, str(inside)])
        self.inside(f"""set -e
            iptables -t nat -N DOCKER
            iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
            iptables -t nat -A DOCKER ! -i br-test -p tcp --dport {port} -j DNAT --to-destination {CONTAINER}:{inside}
            iptables -N DOCKER; iptables -N DOCKER-USER; iptables -P FORWARD DROP
            iptables -A DOCKER-USER -j RETURN
            iptables -I FORWARD -j DOCKER-USER
            iptables -A FORWARD -o br-test -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
            iptables -A FORWARD -o br-test -j DOCKER
            iptables -A FORWARD -i br-test ! -o br-test -j ACCEPT
            iptables -A DOCKER -d {CONTAINER}/32 ! -i br-test -o br-test -p tcp --dport {inside} -j ACCEPT""")

    def connect(self, *ports: int, address: str = SERVER, source: str = "") -> list[bool]:
        """From outside: which of these new connections were answered, one after the other."""
        done = subprocess.run(["nsenter", "-t", str(self.outside), "-n", "python3", "-c", _CONNECT, address, source,
                               json.dumps(ports)], check=True, capture_output=True, text=True)
        return list(json.loads(done.stdout))

    def comes_from(self, address: str) -> None:
        """The machine outside has this one, too."""
        subprocess.run(["nsenter", "-t", str(self.outside), "-n", "ip", "address", "add", address, "dev", "eth0",
                        *(["nodad"] if ":" in address else [])], check=True)

    def rules(self) -> str:
        """Everything that a firewall could have been changed in, without counters and handles."""
        return self.inside("""
            { nft list ruleset; iptables-save; ip6tables-save; iptables-legacy-save; } 2>/dev/null |
                sed -E '/^#/d; s/packets [0-9]+ bytes [0-9]+//; s/\\[[0-9]+:[0-9]+\\]//'
            find /etc/ufw /etc/firewalld -type f ! -name '*.old' | sort | xargs md5sum""", check=False)
