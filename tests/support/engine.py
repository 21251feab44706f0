"""The built-in engine (or another program that reads mtg's TOML) as a process of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from app.mtproto.links import tg_link
from app.mtproto.secret import Secret
from tests.support.cover import free_port, wait_until_it_accepts

ROOT = Path(__file__).resolve().parents[2]
BUILTIN = (sys.executable, "-m", "app.builtin.server", "run")


@dataclass
class Engine:
    """A running engine. metrics_url: Prometheus; folder: its config.toml and engine.log."""

    folder: Path
    secret: Secret
    ip: str
    port: int
    metrics_url: str
    process: subprocess.Popen[bytes]

    @property
    def link(self) -> str:
        return tg_link(self.ip, self.port, self.secret)

    @property
    def pid(self) -> int:
        return self.process.pid

    def link_with(self, secret: Secret) -> str:
        """A link to the same port with another secret: a wrong key, for instance."""
        return tg_link(self.ip, self.port, secret)

    def metrics(self) -> str:
        with urllib.request.urlopen(self.metrics_url, timeout=60) as answer:
            return answer.read().decode()

    def log(self) -> str:
        return (self.folder / "engine.log").read_text(errors="replace")

    def stop(self) -> int:
        """End it at once; the exit code it would have had by itself, or minus the signal."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(0.3)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def run_engine(
    folder: Path,
    upstream: str,
    cover: tuple[str, str, int],
    secret: Secret | None = None,
    ip: str = "127.0.0.1",
    command: tuple[str, ...] = BUILTIN,
    more: str = "",
) -> Engine:
    """Write a config.toml into `folder`, run the engine on it, return once it accepts connections.

    upstream: "host:port" or "user:password@host:port" of the SOCKS5 server; "" for none.
    cover: host, IP address and port of the fronting target. more: further TOML at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    host, cover_ip, cover_port = cover
    secret = secret or Secret.generate(host)
    port, metrics_port = free_port(ip), free_port()
    bind = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    proxies = json.dumps([f"socks5://{upstream}"] if upstream else [])
    (folder / "config.toml").write_text(f"""
secret = "{secret}"
bind-to = "{bind}"
concurrency = 4096
prefer-ip = "prefer-ipv4"
tolerate-time-skewness = "20s"

[domain-fronting]
host = "{host}"
ip = "{cover_ip}"
port = {cover_port}

[network]
proxies = {proxies}

[network.timeout]
tcp = "5s"
http = "10s"
idle = "5m"
handshake = "10s"

[defense.anti-replay]
enabled = true

[stats.prometheus]
enabled = true
bind-to = "127.0.0.1:{metrics_port}"
http-path = "/"
{more}""")
    with open(folder / "engine.log", "ab") as log:
        process = subprocess.Popen(
            [*command, str(folder / "config.toml")],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **_environment(folder)},
        )
    try:
        wait_until_it_accepts(ip, port, process)
        wait_until_it_accepts("127.0.0.1", metrics_port, process)  # which comes up a moment later
    except RuntimeError as error:
        process.kill()
        process.wait()
        said = (folder / "engine.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{error}; it said: {said}") from error
    return Engine(folder, secret, ip, port, f"http://127.0.0.1:{metrics_port}/", process)


def _environment(folder: Path) -> dict[str, str]:
    """A CA file for programs that read the cover's own pages (mtg does, to learn its timing)."""
    certificate = folder / "ca.pem"
    return {"SSL_CERT_FILE": str(certificate)} if certificate.exists() else {}
