"""Debian's fail2ban with our jail, in networks of its own: a server, and two visitors, joined by cables.

Everything it writes is in a folder; `run` and `visit` are commands in the server's network and in a visitor's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: The server's address, and those of the two visitors; the ports that are the proxies', one that is led on as Docker
#: does it, and one that is none of ours.
SERVER, MALLORY, ANNA = "203.0.113.1", "203.0.113.7", "203.0.113.8"
SERVER6, MALLORY6 = "2001:db8:1::1", "2001:db8:7::7"
OURS, PUBLISHED, OTHER = 2443, 443, 22
RULES = "mtproto-bans 1\nenabled yes\nmaxretry 5\nfindtime 600\nbantime 3600\nports 443-443\nports 2443-2450\n"


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


class Lab:
    """folder: data, etc and the rest of the server. started: whether fail2ban was, and was not stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.etc = folder / "etc/fail2ban"
        self._servers: list[subprocess.Popen] = []
        self.names = {name: f"f2b{os.getpid()}{name[0]}" for name in ("server", "mallory", "anna")}
        for name in ("bin", "data/bans", "data/logs"):
            (folder / name).mkdir(parents=True)
        shutil.copytree("/etc/fail2ban", self.etc)
        for path in (self.etc / "jail.d").iterdir():
            path.unlink()
        (self.etc / "fail2ban.local").write_text(
            f"[Definition]\nallowipv6 = yes\ndbfile = {folder}/bans.sqlite3\nlogtarget = {folder}/fail2ban.log\n"
            f"socket = {folder}/sock\npidfile = {folder}/pid\n")
        client = folder / "bin/fail2ban-client"
        client.write_text(f'#!/bin/sh\nexec {shutil.which("fail2ban-client")} -c {self.etc} -s {folder}/sock '
                          f'-p {folder}/pid "$@"\n')
        client.chmod(0o755)
        self.want(RULES)
        try:
            self._make_networks()
        except BaseException:
            self.close()
            raise

    @property
    def script(self) -> Path:
        return self.folder / "usr/local/sbin/mtproto-bans"

    def want(self, text: str) -> None:
        (self.data / "bans/wanted").write_text(text)

    def run(self, *words: object, name: str = "server", check: bool = True) -> str:
        """A command in the network of this one; what it printed."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.names[name], *map(str, words)], capture_output=True, text=True, timeout=60,
            env={**os.environ, "PATH": f"{self.folder}/bin:/usr/sbin:{os.environ['PATH']}", "MTPROTO_ROOT":
                 str(self.folder), "MTPROTO_UNITS": str(self.folder / "units")})
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def install(self) -> str:
        return self.run("bash", ROOT / "host/fail2ban/mtproto-bans", "install", ROOT / "host/fail2ban", self.data)

    def client(self, *words: str) -> str:
        return self.run("fail2ban-client", *words)

    def start(self) -> None:
        self.client("start")
        wait_for(lambda: "running" in self.active())

    def active(self) -> str:
        try:
            return (self.data / "bans/active").read_text()
        except FileNotFoundError:
            return ""

    def banned(self) -> set[str]:
        return {line.split()[0] for line in self.active().splitlines()[1:]}

    def reaches(self, visitor: str, port: int, address: str = SERVER) -> bool:
        """Whether a connection of this visitor is accepted."""
        code = ("import socket, sys\ntry: socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.7)\n"
                "except OSError: print('no')\nelse: print('yes')")
        return self.run("python3", "-c", code, address, port, name=visitor).strip() == "yes"

    def log(self) -> str:
        return (self.folder / "fail2ban.log").read_text()

    def close(self) -> None:
        self.run("fail2ban-client", "stop", check=False)
        for server in self._servers:
            server.kill()
            server.wait()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False)

    def _make_networks(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "add", name], check=True)
        self.run("sh", "-c", "ip link set lo up && ip link add name br0 type bridge && ip link set br0 up && "
                 f"ip addr add {SERVER}/24 dev br0 && ip addr add {SERVER6}/32 dev br0 nodad")
        for name, addresses in (("mallory", (f"{MALLORY}/24", f"{MALLORY6}/32")), ("anna", (f"{ANNA}/24",))):
            cable = f"{self.names[name]}v"
            subprocess.run(["ip", "link", "add", cable, "netns", self.names["server"], "type", "veth", "peer", "name",
                            "eth0", "netns", self.names[name]], check=True)
            self.run("sh", "-c", f"ip link set {cable} master br0 up")
            for address in addresses:
                self.run("ip", "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []), name=name)
            self.run("ip", "link", "set", "eth0", "up", name=name)
        # As Docker publishes a port: led on to another one, after what INPUT would be asked about.
        self.run("nft", f"table ip nat {{ chain pre {{ type nat hook prerouting priority dstnat; "
                 f"tcp dport {PUBLISHED} redirect to :9443; }}\n}}")
        code = ("import socket, sys\nfor p in sys.argv[1:]:\n  s = socket.create_server(('::', int(p)), "
                "family=socket.AF_INET6, dualstack_ipv6=True)\n  globals()['s' + p] = s\nprint('up', flush=True)\n"
                "import time; time.sleep(3600)")
        self._servers.append(subprocess.Popen(
            ["ip", "netns", "exec", self.names["server"], "python3", "-c", code, str(OURS), "9443", str(OTHER)],
            stdout=subprocess.PIPE, text=True))
        assert self._servers[0].stdout.readline() == "up\n"
