"""A tiny program that the runtimes can run: echoes on its port, serves metrics,
keeps to limits.toml by saying so. Its config.toml: listen, metrics, and optionally
die (a last line to print before exiting with code 3), silent (never listens),
chatter (seconds between the numbered lines it logs), limits (false: serves no such
metric), deaf (true: keeps to no limit), hungry (MB of memory it takes as soon as a client says "eat").
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
import time
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Echo(socketserver.BaseRequestHandler):
    appetite = 0  # MB

    def handle(self) -> None:
        while data := self.request.recv(4096):
            if data == b"eat":
                taken = [b"x" * 1_000_000 for _ in range(self.appetite)]
                print(f"{len(taken)} MB eaten")
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    # Past the five of the library, the kernel cuts those that wait on a busy machine.
    request_queue_size = 1024

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def total_limit(folder: Path) -> int:
    try:
        return tomllib.loads((folder / "limits.toml").read_text())["total-bits-per-second"]
    except FileNotFoundError:
        return 0


def main(config_path: Path) -> None:
    config = tomllib.loads(config_path.read_text())
    if "die" in config:
        print(config["die"])
        sys.exit(3)

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = "stand_in_up 1\n"
            if config.get("limits", True):
                limit = 0 if config.get("deaf") else total_limit(config_path.parent)
                text += f'builtin_rate_limit_bits_per_second{{scope="total"}} {limit}\n'
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    metrics = HTTPServer(split(config["metrics"]), Metrics, bind_and_activate=False)
    metrics.allow_reuse_address = True
    metrics.server_bind()
    metrics.server_activate()
    serving = threading.Thread(target=metrics.serve_forever, daemon=True)
    if "silent" in config:
        serving.start()
        print("thinking")
        time.sleep(60)
    Echo.appetite = config.get("hungry", 0)
    ip, port = split(config["listen"])
    Server.address_family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    # Said first: a test may read the log as soon as the port accepts.
    print(f"listening on {config['listen']}")
    with Server((ip, port), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        serving.start()  # whoever gets an answer there can count on the rest
        number = 0
        while True:
            time.sleep(config.get("chatter", 3600))
            number += 1
            print(f"line {number} {'x' * 80}")


if __name__ == "__main__":
    main(Path(sys.argv[2]))
