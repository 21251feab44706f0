"""The one way out of a server that has more to fetch: an HTTP proxy that leads to Debian's archive and nowhere else."""

from __future__ import annotations

import http.client
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ARCHIVE = "deb.debian.org"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def do_GET(self) -> None:
        wanted = urlsplit(self.path)
        self.server.asked.append(self.path)
        if wanted.scheme != "http" or wanted.netloc != ARCHIVE:
            self.send_error(403, f"only {ARCHIVE} is reached from here")
            return
        passed_on = {name: value for name, value in self.headers.items()
                     if name.lower() in ("range", "if-range", "if-modified-since", "user-agent", "cache-control")}
        source = http.client.HTTPConnection(ARCHIVE, timeout=60)
        try:
            source.request("GET", wanted.path, headers=passed_on)
            answer = source.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            shutil.copyfileobj(answer, self.wfile)
        finally:
            source.close()
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Gate(ThreadingHTTPServer):
    """with Gate() as gate: machine.open_door(3128, gate.address). asked: every URL that was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Gate:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
