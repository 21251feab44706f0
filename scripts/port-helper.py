#!/usr/bin/env python3
"""Tells a server which of its ports the internet reaches: run it on any other machine, and name its address in the
setting helper_url of the panel (http://THAT-MACHINE:8099).

    python3 port-helper.py [--bind ADDRESS] [--port PORT]

GET /?ports=443,2443 is answered with {"address": "198.51.100.7", "open": [443]}: the address that asked, and which of
its ports took a connection. It connects to nobody but who asks, so it must be asked directly, and not through a proxy.
Python 3.9 or newer, nothing else.
"""

import argparse
import ipaddress
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

#: Ports of one question, seconds for each, and questions at a time: of one address, and of all.
MOST, PATIENCE, OF_ONE, OF_ALL = 32, 4.0, 1, 20

_asking: "dict[str, int]" = {}
_lock = threading.Lock()


def is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), PATIENCE).close()
    except OSError:
        return False
    return True


class Helper(BaseHTTPRequestHandler):
    timeout = 10.0

    def do_GET(self) -> None:
        address = str(getattr(ipaddress.ip_address(self.client_address[0]), "ipv4_mapped", None) or
                      self.client_address[0])
        try:
            ports = [int(port) for port in parse_qs(urlsplit(self.path).query).get("ports", [""])[0].split(",") if port]
            if len(ports) > MOST or not all(0 < port < 65536 for port in ports):
                raise ValueError
        except ValueError:
            self.answer(400, {"error": f"ports=443,2443: up to {MOST} ports are allowed"})
            return
        with _lock:
            if _asking.get(address, 0) >= OF_ONE or sum(_asking.values()) >= OF_ALL:
                self.answer(429, {"error": "one question at a time"})
                return
            _asking[address] = _asking.get(address, 0) + 1
        try:
            with ThreadPoolExecutor(MOST) as pool:
                tried = zip(ports, pool.map(lambda port: is_open(address, port), ports))
                self.answer(200, {"address": address, "open": [port for port, reached in tried if reached]})
        finally:
            with _lock:
                _asking[address] -= 1
                if not _asking[address]:
                    del _asking[address]

    def answer(self, code: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Who asked is nobody's business."""


class Server(ThreadingHTTPServer):
    daemon_threads = True


class Server6(Server):
    address_family = socket.AF_INET6


def main() -> None:
    parser = argparse.ArgumentParser(description="Tells servers which of their ports can be reached.")
    parser.add_argument("--bind", default="0.0.0.0", help="address to listen on (0.0.0.0; :: for both kinds)")
    parser.add_argument("--port", type=int, default=8099, help="port to listen on (8099)")
    words = parser.parse_args()
    with (Server6 if ":" in words.bind else Server)((words.bind, words.port), Helper) as server:
        print(f"Listening on port {server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
