"""Servers on loopback that take what notifications send: HTTP, SMTP, and a SOCKS5 server before them."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Sink:
    """An HTTP server that keeps what it is sent. answer: (status, headers, body) of a request; may wait."""

    def __init__(self, answer: Callable[[Received], tuple[int, dict[str, str], bytes]] | None = None) -> None:
        self.received: list[Received] = []
        self.answer = answer or (lambda request: (200, {}, b"{}"))
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Received(self.path, dict(self.headers), body)
                sink.received.append(request)
                status, headers, told = sink.answer(request)
                self.send_response_only(status)
                for name, value in ({"Date": self.date_time_string(), "Connection": "close"} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that has left

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Drip:
    """A server that says this to whoever comes, a byte a time, and then its end again and again, without end. at_once:
    as fast as it is read. every: seconds between two bytes."""

    def __init__(self, says: bytes, again: bytes = b"", at_once: bool = False, every: float = 0.02) -> None:
        self._says, self._again, self._at_once, self._every = says, again, at_once, every
        self._ended = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections: list[socket.socket] = []
        #: Called when all has been said once, and the end begins again.
        self.said: Callable[[], object] = lambda: None
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Drip:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self.connections:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has left

    def _accept(self) -> None:
        try:
            while True:
                self.connections.append(self._server.accept()[0])
                threading.Thread(target=self._drip, args=(self.connections[-1],), daemon=True).start()
        except OSError:
            return  # the end

    def _drip(self, end: socket.socket) -> None:
        try:
            if self._at_once:
                end.sendall(self._says)
                while self._again:
                    end.sendall(self._again * 100)
                return
            left = self._says
            while not self._ended.wait(self._every):
                if left:
                    end.sendall(left[:1])
                left = left[1:]
                if not left:
                    left = self._again
                    self.said()
        except OSError:
            return  # whoever was here has left


class BotApi(Sink):
    """A stand-in of the Bot API for one bot. updates: what getUpdates answers, from its offset on; it waits as the
    real one does. refuse: method -> (status, description, parameters), or by (method, chat id)."""

    TOKEN = "123456789:AAE-stand-in_of_a_real_token_000001"

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.refuse: dict[Any, tuple[int, str, dict[str, Any]]] = {}
        self.sent: list[dict[str, Any]] = []
        self.offsets: list[int] = []
        self.clock = time.time
        super().__init__(self._answer)

    def say(self, text: str, chat: int = 7, sender: int | None = None, age: float = 0.0, **more: Any) -> None:
        """Somebody writes to the bot."""
        number = 1000 + len(self.updates)
        kind = "private" if chat > 0 else "supergroup"
        self.updates.append({"update_id": number, "message": {
            "message_id": number, "date": int(self.clock() - age), "text": text, "chat": {"id": chat, "type": kind},
            "from": {"id": chat if sender is None else sender, "is_bot": False}, **more}})

    def press(self, data: str, chat: int = 7, sender: int | None = None) -> None:
        """Somebody presses a button below a message of the bot."""
        number = 1000 + len(self.updates)
        self.updates.append({"update_id": number, "callback_query": {
            "id": str(number), "data": data, "from": {"id": chat if sender is None else sender},
            "message": {"message_id": 1, "date": int(self.clock()), "chat": {"id": chat, "type": "private"}}}})

    def texts(self, chat: int | None = None) -> list[str]:
        """What the bot has said, to this chat."""
        return [each.get("text") or each.get("caption", "") for each in list(self.sent)
                if chat is None or int(each["chat_id"]) == chat]

    def _answer(self, request: Received) -> tuple[int, dict[str, str], bytes]:
        method = request.path.rpartition("/")[2]
        if request.path != f"/bot{self.TOKEN}/{method}":
            return 401, {}, b'{"ok": false, "error_code": 401, "description": "Unauthorized"}'
        params = request.json() if request.body.startswith(b"{") else form_of(request)
        refusal = self.refuse.get((method, int(params.get("chat_id", 0)))) or self.refuse.get(method)
        if refusal:
            status, said, more = refusal
            return status, {}, json.dumps({"ok": False, "error_code": status, "description": said,
                                           "parameters": more}).encode()
        result: Any = True
        if method == "getUpdates":
            offset, until = params.get("offset", 0), time.monotonic() + min(params.get("timeout", 0), 0.2)
            self.offsets.append(offset)
            while not (result := [one for one in self.updates if one["update_id"] >= offset]) \
                    and time.monotonic() < until:
                time.sleep(0.01)
        elif method in ("sendMessage", "sendPhoto", "editMessageText"):
            self.sent.append(params)
            result = {"message_id": len(self.sent)}
        return 200, {}, json.dumps({"ok": True, "result": result}).encode()


def form_of(request: Received) -> dict[str, Any]:
    """The fields of a form with files; a file is its bytes."""
    kind = request.headers["Content-Type"].encode()
    whole = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + request.body, policy=policy.HTTP)
    found = {}
    for part in whole.iter_parts():
        name = part.get_param("name", header="content-disposition")
        raw = part.get_payload(decode=True)
        found[name] = raw if part.get_filename() else raw.decode()
    return found


@dataclass
class Mailbox:
    """An SMTP server's."""

    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    port: int = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"


@contextmanager
def mail_server(login: tuple[str, str] | None = None, tls: Any = None, starttls: Any = None) -> Iterator[Mailbox]:
    """A real SMTP server. login: the one that it accepts; tls, starttls: contexts."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult, LoginPassword

    box = Mailbox()

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        box.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=box.logins[-1] == login, handled=False)

    how: dict[str, Any] = {"authenticator": check, "auth_require_tls": False} if login else {}
    if starttls:
        how |= {"tls_context": starttls, "require_starttls": True}
    with socket.create_server(("127.0.0.1", 0)) as found:
        box.port = found.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=box.port, ssl_context=tls, **how)
    server.start()
    try:
        yield box
    finally:
        server.stop()


class Socks:
    """A SOCKS5 server that leads names to ports of this machine, and knows no others. asked: which names were."""

    def __init__(self, names: dict[str, int], login: tuple[str, str] | None = None) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                sock = self.request
                _, count = sock.recv(2)
                sock.recv(count)
                if login:
                    sock.sendall(b"\x05\x02")
                    _, size = sock.recv(2)
                    user = sock.recv(size)
                    password = sock.recv(sock.recv(1)[0])
                    good = (user.decode(), password.decode()) == login
                    sock.sendall(b"\x01\x00" if good else b"\x01\x01")
                    if not good:
                        return
                else:
                    sock.sendall(b"\x05\x00")
                _, _, _, kind = sock.recv(4)
                name = sock.recv(sock.recv(1)[0]).decode() if kind == 3 else socket.inet_ntoa(sock.recv(4))
                sock.recv(2)
                outer.asked.append(name)
                if name not in names:
                    sock.sendall(b"\x05\x04\x00\x01" + bytes(6))
                    return
                with socket.create_connection(("127.0.0.1", names[name])) as inner:
                    sock.sendall(b"\x05\x00\x00\x01" + bytes(6))
                    back = threading.Thread(target=_copy, args=(inner, sock), daemon=True)
                    back.start()
                    _copy(sock, inner)
                    back.join(5)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.address = f"{':'.join(login)}@127.0.0.1:{self.port}" if login else f"127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _copy(source: socket.socket, to: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side has left
