"""The panel's HTTP server: waitress, with an end to every wait for a client.

waitress reads requests and sends answers in one thread for all connections, and needs one of its working threads only
for a request that has arrived whole: whoever sends half a request, or reads slowly, holds none of them. What it lacks
is a bound: it waits for ever for a client that sends a byte now and then, and takes nobody once its connections are
full. Here, each wait has an end, and a newcomer gets the place of whoever has kept the server waiting longest.
"""

from __future__ import annotations

import gc
import logging
import math
import resource
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer

from app.web.security import LARGEST_FORM

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Seconds in which a request has to arrive whole, an answer has to be read, and an idle connection to be used again.
PATIENCE = 60.0
#: Open connections; each may need a second descriptor for the file that it is sent.
CONNECTIONS = 500
DESCRIPTORS = 4096
#: Newcomers taken at a time, before the others are looked at again.
BURST = 50
THREADS = 8
#: Seconds between two looks for connections that have taken too long.
LOOK_EVERY = 1.0
#: When Python looks for circles among new objects, and among older ones (gc.set_threshold); 700, 10, 10 is usual.
COLLECT = (20_000, 10, 20)


class Channel(HTTPChannel):
    """One connection, and since when it has kept the server waiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting_since = time.monotonic()  # waitress goes by the clock on the wall, which people set
        self._answered = False

    def readable(self) -> bool:
        """No more once it is closed: its descriptor's number may be a newcomer's in the same round."""
        return self.connected and super().readable()

    def writable(self) -> bool:
        """See readable()."""
        return self.connected and bool(super().writable())

    def received(self, data: bytes) -> bool:
        """The first byte after an answer begins a new wait; no other one does."""
        if self._answered:
            self.waiting_since, self._answered = time.monotonic(), False
        return super().received(data)

    def service(self) -> None:
        """Answers one request, in a working thread: while it does, the client is not waited for."""
        self.waiting_since = math.inf
        super().service()
        self.waiting_since, self._answered = time.monotonic(), True


class Server(TcpWSGIServer):
    """Serves `app` on an open listening socket."""

    channel_class = Channel
    #: Of waitress, by the clock on the wall: never; see readable().
    next_channel_cleanup = math.inf  # type: ignore[assignment]
    active_channels: dict[int, Channel]  # type: ignore[assignment]  # its stubs name one channel, not all

    def __init__(self, app: WSGIApplication, listener: socket.socket, patience: float = PATIENCE,
                 connections: int = CONNECTIONS) -> None:
        self.patience, self.connections, self._taken, self._looked_at = patience, connections, 0, 0.0
        super().__init__(
            app, _sock=listener, bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            threads=THREADS, connection_limit=connections + 100, asyncore_use_poll=True,
            # The panel itself refuses a large form with a page; this is for what is no form.
            max_request_header_size=32 * 1024, max_request_body_size=2 * LARGEST_FORM,
            # More than that waits in a file, not in memory.
            inbuf_overflow=64 * 1024,
            # forwarded.py looks at these headers itself.
            clear_untrusted_proxy_headers=False,
            log_socket_errors=False, ident="",
        )

    def readable(self) -> bool:
        """Called before each look at the connections: those that are too many end, the longest waiting first.

        Not at once when a newcomer comes: its descriptor's number must not be one that this round still has news of.
        """
        excess = len(self.active_channels) - self.connections
        if excess > 0:
            for channel in sorted(self._waiting(), key=lambda channel: channel.waiting_since)[:excess]:
                channel.handle_close()
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            self._end_slow(now)
        return super().readable()

    def handle_accept(self) -> None:
        """Takes a burst of newcomers at once."""
        for _ in range(BURST):
            before = self._taken
            super().handle_accept()
            if self._taken == before:
                return

    def accept(self) -> Any:
        """Counts what it takes."""
        newcomer = super().accept()
        self._taken += newcomer is not None
        return newcomer

    def _end_slow(self, now: float) -> None:
        """Ends what has taken too long, also where nothing can be sent any more. now: monotonic seconds."""
        for channel in self._waiting():
            if now - channel.waiting_since > self.patience:
                channel.handle_close()

    def _waiting(self) -> list[Channel]:
        return [channel for channel in list(self.active_channels.values()) if not channel.requests]


def run(app: WSGIApplication, listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; what is being answered gets five seconds."""
    # One line for each request that has to wait a moment would tell nobody anything.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    server = Server(app, listener)
    settle()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run()


def settle() -> None:
    """Spares requests the looks at what stays for as long as the panel runs.

    What is there now (code, templates, the declaration: several hundred thousand objects) is counted by references as
    before, but no longer searched for circles, which took 40 ms each time; and what requests leave behind is searched
    less often, as they leave few.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)
