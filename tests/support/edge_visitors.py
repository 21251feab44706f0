"""Who is behind port 443 and who comes to it, in the tests of nginx and of Traefik: a stand-in for the panel, users'
proxies, and strangers."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator

from tests.support.edge_backend import Backend
from tests.support.edge_lab import Lab, ask


class Panel(http.server.BaseHTTPRequestHandler):
    """Stands in for the panel: answers with the headers that it was asked with."""

    def do_GET(self) -> None:
        body = f"the panel\n{self.headers}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def serve(host: str, port: int = 0, context: ssl.SSLContext | None = None,
          handler: type = Panel) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer((host, port), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@contextlib.contextmanager
def backends(host: str, *names: str) -> Iterator[dict[str, Backend]]:
    """Users' proxies, by their domain."""
    made = {name: Backend(name.partition(".")[0], host) for name in names}
    try:
        yield made
    finally:
        for backend in made.values():
            backend.stop()


def title(lab: Lab) -> str:
    """That of the cover site which nginx serves."""
    page = (lab.folder / "current" / "cover" / "index.html").read_text()
    return page.partition("<title>")[2].partition("</title>")[0]


def met_by_stranger(lab: Lab, name: str) -> str:
    """What a name that nobody has gets on port 443: "cover", "panel", "rejected" or "closed"."""
    try:
        with lab.connect(name) as stream:
            body = ask(stream, name or "203.0.113.1")[1]
    except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError):
        return "closed"
    except ssl.SSLError as error:
        assert "UNRECOGNIZED_NAME" in str(error).upper().replace(" ", "_")
        return "rejected"
    return "panel" if "the panel" in body else "cover" if title(lab) in body else body
