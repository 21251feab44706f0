"""HTTP to servers that nobody here can vouch for: bounded in time and size, and what failed is told without a secret.
requests makes of what is to be sent the bytes, and http.client sends them over a Line.

An address may hold a token (Telegram's do), so no address and no error of the library is ever told as it is.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from app.notify.line import READ, Line
from app.notify.message import SendFailed

if TYPE_CHECKING:
    from requests import PreparedRequest

#: Seconds for all of it, beside the wait for the first byte; bytes of the answer that are read.
WHOLE, LARGEST = 60.0, 1 << 20


@dataclass(frozen=True)
class Answer:
    """whole: whether the body has ended in time and is no larger than LARGEST; else it is left out."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage
    whole: bool = True

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The document; None for what is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


def post(url: str, proxy: str = "", read: float = READ, **what: Any) -> Answer:
    """POST, without following redirects: what is sent is signed, or holds a token, for whom the operator has named, and
    nobody else is to say where it goes. proxy: as upstream_socks5; names are looked up there. what: as requests takes
    it. Raises SendFailed."""
    import requests

    host = urlsplit(url).netloc.rpartition("@")[2]
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy and no password but those of the channel
            session.headers.update({"User-Agent": "proxy-manager", "Accept-Encoding": "identity"})
            asked = session.prepare_request(requests.Request("POST", url, **what))
        with Line(host, read + WHOLE, read, proxy) as line:
            return _exchange(line, asked)
    except (http.client.HTTPException, OSError) as error:
        raise _told(error, host, proxy) from None
    except ValueError:
        # What the libraries refuse to send, such as half a character.
        raise SendFailed("notify.unsendable", host=host) from None


def _exchange(line: Line, asked: PreparedRequest) -> Answer:
    at = urlsplit(str(asked.url))
    secure = at.scheme == "https"
    name, port = at.hostname or "", at.port or (443 if secure else 80)
    connection = http.client.HTTPConnection(name, port)
    connection.sock = end = line.connect(name, port)
    with closing(connection):
        if secure:
            connection.sock = line.encrypt(end, name)
        headers = {"Host": at.netloc.rpartition("@")[2], "Connection": "close", **asked.headers}
        connection.request("POST", asked.path_url, cast(Any, asked.body), headers)
        with connection.getresponse() as response:
            line.check()
            body, whole = _read(response, line)
            return Answer(response.status, body, response.headers, whole)


def _read(response: http.client.HTTPResponse, line: Line) -> tuple[bytes, bool]:
    """The body, and whether it has come whole. What the status says holds without it."""
    body = b""
    try:
        while chunk := response.read1(65536):
            body += chunk
            if len(body) > LARGEST:
                return b"", False
    except (http.client.HTTPException, OSError):
        return b"", False
    return body, not line.cut


def _told(error: Exception, host: str, proxy: str) -> SendFailed:
    causes = _causes(error)
    if any(type(each).__module__ == "socks" for each in causes):
        where = proxy.rpartition("@")[2]
        return SendFailed("notify.proxy_refused", host=host, proxy=where) if any(
            type(each).__name__ in ("SOCKS5Error", "SOCKS5AuthError") for each in causes) else \
            SendFailed("notify.proxy_away", proxy=where)
    return failed(error, host)


def failed(error: BaseException, host: str) -> SendFailed:
    """Why a server could not be reached, by what the operating system and TLS say."""
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return SendFailed("notify.certificate", host=host, reason=each.verify_message)
        if isinstance(each, ssl.SSLError):
            return SendFailed("notify.tls", host=host)
        if isinstance(each, socket.gaierror):
            return SendFailed("notify.no_name", host=host)
        if isinstance(each, TimeoutError):
            return SendFailed("notify.timeout", host=host)
        if isinstance(each, OSError) and each.errno and each.strerror and type(each).__module__ == "builtins":
            return SendFailed("notify.unreachable", host=host, reason=each.strerror)
    return SendFailed("notify.broken", host=host)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what led to it, as deep as the libraries have wrapped it."""
    found: list[BaseException] = []
    rest: list[BaseException] = [error]
    while rest and len(found) < 30:
        each = rest.pop(0)
        if each in found:
            continue
        found.append(each)
        rest += [inner for inner in (each.__cause__, each.__context__, getattr(each, "reason", None),
                                     getattr(each, "socket_err", None), *each.args)
                 if isinstance(inner, BaseException)]
    return found
