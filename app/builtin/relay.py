"""Moving bytes between two sockets, both ways, without ever holding more than one read of them.

Sockets are driven straight from the event loop: a direction is read only while nothing of it
waits to be sent, so a slow reader costs one buffer of memory and its peer is slowed by TCP.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from app.builtin.logs import failure_rarely
from app.builtin.ratelimit import Bucket, RateLimiter
from app.mtproto.records import RecordError, StreamEnd

BUFFER_BYTES = 256 * 1024
#: Waits shorter than this (seconds) are left to the bucket's debt.
_SHORTEST_WAIT = 0.002

#: One for the whole process: what was read is sent or copied before the next read.
_incoming = memoryview(bytearray(BUFFER_BYTES))

Transform = Callable[[memoryview], bytes | memoryview]


class Pump:
    """One direction: reads from source, transforms, writes to sink."""

    __slots__ = (
        "_held", "_limiter", "_loop", "_own", "_pending", "_read_bytes", "_reading", "_relay",
        "_shared", "_stopped", "_transform", "done", "ended", "sink", "source", "touched",
    )  # fmt: skip

    def __init__(
        self,
        relay: Relay,
        source: socket.socket,
        sink: socket.socket,
        transform: Transform,
        limiter: RateLimiter | None,
        shared: Bucket | None,
        read_bytes: int,
    ) -> None:
        self._relay = relay
        self._read_bytes = read_bytes
        self._loop = relay.loop
        self.source, self.sink = source, sink
        self._transform = transform
        self._limiter, self._shared = limiter, shared
        self._own = Bucket(limiter.connection_rate) if limiter else None
        self._pending = memoryview(b"")
        self._held: asyncio.TimerHandle | None = None
        self._reading = self._stopped = False
        #: ended: the source sends no more. done: and all of it has been passed on.
        self.ended = self.done = False
        self.touched = self._loop.time()

    def start(self, first: bytes) -> None:
        """Begin with these bytes, already transformed."""
        self._send(first)
        self._settle()

    def stop(self) -> None:
        self._stopped = True
        self._loop.remove_writer(self.sink)
        self._release()
        self._settle()

    def limits_changed(self) -> None:
        if self._limiter and self._own:
            self._own.set_rate(self._limiter.connection_rate)
            self._release()
            self._settle()

    def _readable(self) -> None:
        try:
            self._read()
        except Exception as error:
            # A fault of ours must cost this one connection, not a loop that spins on its socket.
            failure_rarely("a relay", error)
            self._relay.broken()

    def _read(self) -> None:
        try:
            limit = self._limiter.read_size if self._limiter else 0
            size = min(limit, self._read_bytes) if limit else self._read_bytes
            count = self.source.recv_into(_incoming, size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._relay.broken()
            return
        self.touched = self._loop.time()
        if count:
            try:
                self._send(self._transform(_incoming[:count]))
            except StreamEnd:
                self.ended = True
            except RecordError:
                self._relay.broken()
                return
            if self._limiter:
                self._wait_if_too_fast(count)
        else:
            self.ended = True
        self._settle()

    def _send(self, data: bytes | memoryview) -> None:
        if not data or self._stopped:
            return
        try:
            sent = self.sink.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._relay.broken()
            return
        if sent < len(data):
            # The buffer belongs to everybody: what is left must be copied out of it.
            self._pending = memoryview(bytes(memoryview(data)[sent:]))
            self._loop.add_writer(self.sink, self._flush)

    def _flush(self) -> None:
        try:
            sent = self.sink.send(self._pending)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._relay.broken()
            return
        self.touched = self._loop.time()
        self._pending = self._pending[sent:]
        if not self._pending:
            self._pending = memoryview(b"")
            self._loop.remove_writer(self.sink)
            self._settle()

    def _settle(self) -> None:
        """Read or don't, as the state demands; tell the relay when all is done."""
        wanted = not (self.ended or self._pending or self._held or self._stopped)
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._loop.add_reader(self.source, self._readable)
            else:
                self._loop.remove_reader(self.source)
        if self.ended and not (self._pending or self.done or self._stopped):
            self.done = True
            self._relay.pump_ended(self)

    def _wait_if_too_fast(self, count: int) -> None:
        if self._own is None or self._shared is None:
            return
        wait = max(self._own.charge(count, self.touched), self._shared.charge(count, self.touched))
        if wait > _SHORTEST_WAIT and not self._stopped:
            self._held = self._loop.call_later(wait, self._waited)

    def _waited(self) -> None:
        self._held = None
        self._settle()

    def _release(self) -> None:
        if self._held:
            self._held.cancel()
            self._held = None


class Relay:
    """Two pumps between a client and a server. The sockets stay the caller's to close.

    half_close: an end of stream is passed on and the other direction goes on (the cover host
    must behave as if it were reached directly); otherwise the first end ends both.
    read_bytes: how much one read may take, which is what a client that does not read costs in memory.
    """

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        up: Transform,
        down: Transform,
        half_close: bool,
        limiter: RateLimiter | None = None,
        read_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._half_close = half_close
        self._up = Pump(self, client, server, up, limiter, limiter.total_up if limiter else None, read_bytes)
        self._down = Pump(self, server, client, down, limiter, limiter.total_down if limiter else None,
                          read_bytes)
        self._closed = self.loop.create_future()
        self.reset = False
        #: Loop time.
        self.began = self.loop.time()

    @property
    def touched(self) -> float:
        """Loop time of the last byte in either direction."""
        return max(self._up.touched, self._down.touched)

    @property
    def half_open(self) -> bool:
        return self._up.ended != self._down.ended

    async def run(self, first: bytearray) -> None:
        """Relay until both sides are done, one breaks or close() is called.

        first: bytes for the server before anything else, already transformed. It is emptied: relays last long.
        Afterwards `reset` tells whether the sockets are to be closed by a reset.
        """
        try:
            self._up.start(bytes(first))
            first.clear()
            self._down.start(b"")
            await self._closed
        finally:
            self._up.stop()
            self._down.stop()

    def limits_changed(self) -> None:
        self._up.limits_changed()
        self._down.limits_changed()

    def close(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
            self._up.stop()
            self._down.stop()

    def broken(self) -> None:
        """One side was reset or sent nonsense: the other side is told the same way."""
        self.reset = True
        self.close()

    def pump_ended(self, pump: Pump) -> None:
        """A pump has passed on everything up to its source's end of stream."""
        other = self._down if pump is self._up else self._up
        if not self._half_close or other.done:
            self.close()
            return
        try:
            pump.sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.broken()
