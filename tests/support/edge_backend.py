"""What stands behind nginx on port 443 in tests: a server that tells who came, and says everything back.

A client here begins like a TLS client, with a real ClientHello, so that nginx can read its SNI; from then on
the bytes are a test's own.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

from app.builtin.proxyprotocol import read_header


class Backend:
    """Listens at `address` until stop(). visitors: the client's (address, port) of every PROXY header."""

    def __init__(self, name: str, host: str) -> None:
        self.name = name
        self.visitors: list[tuple[str, int]] = []
        self._server = socket.create_server((host, 0), backlog=1024)
        self.address = f"{host}:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        # shutdown() wakes the thread in accept(); close() alone would not.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            data = b""
            while not (header := read_header(data) if data else None):
                data += peer.recv(4096)
            self.visitors.append(header.source)
            data = data[header.wire_bytes:]
            while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
                data += peer.recv(4096)
            peer.sendall(self.name.encode() + b"\n" + data[5 + int.from_bytes(data[3:5], "big"):])
            while more := peer.recv(65536):
                peer.sendall(more)


def client_hello(name: str) -> bytes:
    """A real ClientHello; "" asks for no name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the authorities of this machine, which take long
    context.check_hostname = False
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name or None).do_handshake()
    return out.read()


class Call:
    """A connection to port 443 with this SNI. met: the name of the Backend that answered, "" for another end.
    source: the own address, "" for any."""

    def __init__(self, address: tuple[str, int], name: str, source: str = "") -> None:
        self.socket = socket.create_connection(address, 30, (source, 0) if source else None)
        self.own = self.socket.getsockname()[:2]
        self.socket.sendall(client_hello(name))
        self.first = b""
        with contextlib.suppress(ConnectionResetError):
            self.first = self.socket.recv(64)
        self.met = self.first[:-1].decode() if self.first.endswith(b"\n") and self.first.isascii() else ""

    def echoes(self, text: bytes = b"still here") -> bool:
        """Whether the backend says back what it is told: not a byte is lost, nothing else comes."""
        try:
            self.socket.sendall(text)
            got = b""
            while len(got) < len(text):
                part = self.socket.recv(65536)
                if not part:
                    return False
                got += part
        except OSError:
            return False
        return got == text

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
