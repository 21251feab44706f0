"""A connection to a server that nobody here can vouch for, with an end to all of it: to the lookup of the name, to a
server that sends a byte now and then, and to one that sends without end.

A time-out of a socket is for one wait only, and each byte begins a new one. Here the whole has a deadline too, after
which the connection is cut from outside, whatever library is reading from it.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from app.config.hosts import parse_socks5
from app.notify.message import SendFailed

#: Seconds to look up a name, to reach a server, and for each wait for it.
LOOKUP, CONNECT, READ = 15.0, 10.0, 20.0

#: What getaddrinfo answers.
Found = list[tuple[Any, ...]]


class Line:
    """To one host, in a `with`. Raises SendFailed for what has ended by its deadline, however the library in between
    has taken that."""

    def __init__(self, host: str, whole: float, read: float = READ, proxy: str = "") -> None:
        """host: as it is told. whole: seconds for all of it. read: seconds for each wait. proxy: as upstream_socks5;
        names are looked up there."""
        self._host, self._whole, self._read, self._proxy = host, whole, read, proxy
        self._until = time.monotonic() + whole
        self._lock, self._ends, self._closed = threading.Lock(), list[socket.socket](), False
        self._timer = self._armed()
        self.cut = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            self._closed = True
            for end in self._ends:
                end.close()
        if kind is not None and issubclass(kind, Exception):
            self.check()

    def check(self) -> None:
        """Raises SendFailed if it was cut: what ends early may look whole."""
        if self.cut:
            raise SendFailed("notify.too_long", host=self._host, seconds=round(self._whole)) from None

    def at_most(self, seconds: float) -> None:
        """The deadline is no later than so many seconds from now."""
        self._until = min(self._until, time.monotonic() + seconds)
        self._timer.cancel()
        self._timer = self._armed()

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection. Raises OSError, and what PySocks raises."""
        if self._proxy:
            return self._through(host, port)
        failed: OSError | None = None
        for family, kind, protocol, _, address in looked_up(host, port):
            end = socket.socket(family, kind, protocol)
            try:
                self._watch(end)
                end.settimeout(CONNECT)
                end.connect(address)
            except OSError as error:
                end.close()
                failed = error
            else:
                end.settimeout(self._read)
                return end
        raise failed or socket.gaierror(socket.EAI_NONAME, "no address")

    def encrypt(self, end: socket.socket, host: str) -> ssl.SSLSocket:
        """The same by TLS, to this name. Raises OSError."""
        try:
            return trusting().wrap_socket(end, server_hostname=host)
        except BaseException:
            end.close()
            raise

    def _through(self, host: str, port: int) -> socket.socket:
        import socks  # type: ignore[import-untyped]

        name, at, user, password = parse_socks5(self._proxy)
        try:
            family, *_, address = looked_up(name, at)[0]
        except OSError as error:
            raise socks.ProxyConnectionError("no address", error) from None
        end = socks.socksocket(family)
        try:
            self._watch(end)
            end.set_proxy(socks.SOCKS5, address[0], at, rdns=True, username=user or None, password=password or None)
            end.settimeout(CONNECT)
            end.connect((host, port))
        except BaseException:
            end.close()
            raise
        end.settimeout(self._read)
        opened: socket.socket = end
        return opened

    def _watch(self, end: socket.socket) -> None:
        """A second handle of the connection: a library may wrap the first one, or detach it."""
        with self._lock:
            if self.cut:
                raise TimeoutError
            self._ends.append(socket.socket(end.family, end.type, end.proto, os.dup(end.fileno())))

    def _armed(self) -> threading.Timer:
        timer = threading.Timer(max(0.0, self._until - time.monotonic()), self._end)
        timer.daemon = True
        timer.start()
        return timer

    def _end(self) -> None:
        with self._lock:
            if self._closed:
                return
            self.cut = True
            for end in self._ends:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it has ended, or never was connected


def trusting() -> ssl.SSLContext:
    """Believes the authorities of this system, and those of Mozilla: a small system has none."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class _Lookup(threading.Thread):
    """One name, looked up beside whoever waits for it: nothing ends a lookup that hangs."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="notify lookup", daemon=True)
        self._asked = host, port
        self.result: Callable[[], Found] | None = None

    def run(self) -> None:
        try:
            found = socket.getaddrinfo(*self._asked, type=socket.SOCK_STREAM)
            self.result = lambda: found
        except (OSError, UnicodeError) as error:
            reason = error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, "no name")
            self.result = lambda: _raise(reason)


_lookups: dict[tuple[str, int], _Lookup] = {}
_lookups_lock = threading.Lock()


def looked_up(host: str, port: int) -> Found:
    """As socket.getaddrinfo, but no longer than LOOKUP. Of a name that hangs there is one lookup, however often it is
    asked for. Raises OSError."""
    with _lookups_lock:
        lookup = _lookups.get((host, port))
        if lookup is None or not lookup.is_alive():
            for key in [key for key, each in _lookups.items() if not each.is_alive()]:
                del _lookups[key]
            lookup = _lookups[host, port] = _Lookup(host, port)
            lookup.start()
    lookup.join(LOOKUP)
    if lookup.result is None:
        raise TimeoutError
    return lookup.result()


def _raise(error: OSError) -> Found:
    raise error
