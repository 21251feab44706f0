"""The life of one accepted connection: who is it, and whom is it relayed to?"""

from __future__ import annotations

import asyncio
import socket
import time

from app.builtin import dc as data_centres
from app.builtin import sockets
from app.builtin.engine import Engine
from app.builtin.fronting import CoverDown
from app.builtin.logs import log, warn_rarely
from app.builtin.places import share_of
from app.builtin.proxyprotocol import Address, ProxyHeaderError, read_header
from app.builtin.relay import Relay
from app.builtin.telegram import Session, Unreachable
from app.builtin.visitors import NOISE, REPLAY, WRONG_KEY
from app.mtproto import faketls, obfuscated2
from app.mtproto.records import RecordError, RecordReader, StreamEnd

#: One read of a client that has proved nothing: they may be many, and what they send waits in memory.
_SMALL_READ = 4 * 1024
_READ = 16 * 1024


class Connection:
    """One client socket from its acceptance to its end."""

    def __init__(self, engine: Engine, sock: socket.socket, peer: Address) -> None:
        self._engine = engine
        self._sock = sock
        self._peer = peer
        self._reset = False
        self._task: asyncio.Task[None] | None = None
        self._deadline = engine.loop.time() + engine.settings.handshake_timeout

    def enter(self) -> bool:
        """Take a place; False, and the socket is closed, if there is none.

        A load balancer speaks for many: its connections have an address once their header was read.
        """
        address = "" if self._engine.settings.proxy_protocol_listener else share_of(self._peer[0])
        if self._engine.places.enter(self, address):
            return True
        self._sock.close()
        return False

    def start(self) -> asyncio.Task[None]:
        """Serve in a task of its own."""
        self._task = self._engine.loop.create_task(self._serve_to_the_end())
        self._task.add_done_callback(self._closed)
        return self._task

    def end(self) -> None:
        """See places.Holder."""
        if self._task:
            self._task.cancel()

    def _closed(self, task: asyncio.Task[None]) -> None:
        # Here and not in the task: one that is cancelled before its first step never runs at all.
        self._engine.places.leave(self)
        sockets.close(self._sock, self._reset)

    async def _serve_to_the_end(self) -> None:
        metrics, family = self._engine.metrics, "ipv6" if ":" in self._peer[0] else "ipv4"
        metrics.clients[family] += 1
        try:
            await self._serve()
        except OSError as error:
            log.debug("a client went away: %s", sockets.why(error))
        finally:
            metrics.clients[family] -= 1

    async def _serve(self) -> None:
        settings = self._engine.settings
        sockets.tune(self._sock, settings.keep_alive)
        received = bytearray()
        listener = sockets.plain_address(self._sock.getsockname())
        if settings.proxy_protocol_listener:
            addresses = await self._read_proxy_header(received)
            if addresses is None:
                return
            if addresses[0]:
                self._peer = addresses[0]
                self._engine.places.name(self, share_of(self._peer[0]))
            listener = addresses[1] or listener
        if settings.cover is None:
            await self._plain_client(received)
        else:
            await self._faketls_client(received, listener)

    async def _read_proxy_header(
        self, received: bytearray
    ) -> tuple[Address | None, Address | None] | None:
        """Source and destination that the load balancer names; None if it names nothing we understand."""
        while True:
            try:
                header = read_header(received) if received else None
            except ProxyHeaderError as error:
                warn_rarely("proxy-header", f"a connection without a PROXY protocol header: {error}")
                return None
            if header:
                del received[: header.wire_bytes]
                return header.source, header.destination
            if not await self._more(received):
                return None

    async def _more(self, received: bytearray) -> bytes | None:
        """Read on; b"" at the end of the stream, None at the deadline of the handshake."""
        data = await sockets.receive(self._sock, _SMALL_READ, self._deadline)
        received += data or b""
        return data

    async def _faketls_client(self, received: bytearray, listener: Address) -> None:
        try:
            hello = await self._read_hello(received)
        except (faketls.NotAHello, faketls.Refused) as error:
            log.debug("not a client, handed to the cover host: %s", error)
            probe = not isinstance(error, (faketls.WrongClock, faketls.WrongName))
        else:
            if hello is not None:
                self._engine.places.prove(self)
                await self._serve_client(hello, received)
            return
        # Not in the handler above: all that the reading of the hello has piled up is gone by now.
        await self._front(received, listener, probe)

    async def _serve_client(self, hello: faketls.ClientHello, received: bytearray) -> None:
        records = RecordReader()
        payload = await self._shake_hands(hello, received, records)
        if payload is not None:
            await self._relay_to_telegram(payload, records)

    async def _shake_hands(
        self, hello: faketls.ClientHello, received: bytearray, records: RecordReader
    ) -> bytearray | None:
        """Answer a client's hello; its first payload, an obfuscated2 header at least, or None."""
        del received[: hello.wire_bytes]
        answer = faketls.answer(hello, self._engine.settings.secret.key, self._engine.flight_bytes)
        await sockets.send_all(self._sock, answer, self._deadline)
        payload = bytearray()
        while True:
            try:
                payload += records.feed(memoryview(received))
            except (RecordError, StreamEnd) as error:
                log.debug("a client broke off its handshake: %r", error)
                return None
            received = bytearray()
            if len(payload) >= obfuscated2.HEADER_BYTES:
                return payload
            if not await self._more(received):
                return None

    async def _read_hello(self, received: bytearray) -> faketls.ClientHello | None:
        """The hello of a client of ours; None for a port check, which sends nothing and gets nothing.

        Raises NotAHello or Refused for whoever belongs to the cover host.
        """
        reader = faketls.HelloReader()
        while not (hello := reader.read(received)):
            data = await self._more(received)
            if data == b"" and not received:
                return None
            if not data:
                raise faketls.NotAHello("half a ClientHello" if received else "silence")
        self._check(hello)
        return hello

    def _check(self, hello: faketls.ClientHello) -> None:
        """Raise Refused for whoever is no client."""
        engine, settings = self._engine, self._engine.settings
        try:
            proof = faketls.check_key(hello, settings.secret.key)
        except faketls.Refused:
            engine.visitors.turned_away(self._peer[0], WRONG_KEY)
            raise
        # Before the rest: one that is refused for its time could be shown again with another.
        if engine.replays and engine.replays.seen_before(proof.digest):
            engine.metrics.replay_attacks += 1
            engine.visitors.turned_away(self._peer[0], REPLAY)
            raise faketls.Refused("replay")
        try:
            faketls.check_rest(
                hello, proof, settings.secret.domain, time.time(), settings.tolerate_time_skewness
            )
        except faketls.WrongClock as error:
            engine.metrics.wrong_clock += 1
            engine.metrics.clock_behind = error.seconds
            raise
        except faketls.WrongName as error:
            engine.metrics.wrong_name["missing" if error.missing else "other"] += 1
            raise

    async def _plain_client(self, received: bytearray) -> None:
        """obfuscated2 straight on TCP, for dd and plain secrets."""
        while len(received) < obfuscated2.HEADER_BYTES:
            if not await self._more(received):
                return
        await self._relay_to_telegram(received, None)

    async def _relay_to_telegram(self, payload: bytearray, records: RecordReader | None) -> None:
        engine, settings = self._engine, self._engine.settings
        header = bytes(payload[: obfuscated2.HEADER_BYTES])
        try:
            client = obfuscated2.accept(header, settings.secret.key)
            if records is None and engine.replays and engine.replays.seen_before(header[8:56]):
                engine.metrics.replay_attacks += 1
                raise obfuscated2.HeaderError("replay")
        except obfuscated2.HeaderError as error:
            log.debug("not a client: %s", error)
            engine.visitors.turned_away(self._peer[0], NOISE)
            await self._swallow()
            return
        engine.places.prove(self)
        # Only here, and by closing, as telemt does: to the cover host go those whose key is wrong, and an app that
        # was answered with the right key's proof should not be led to believe that its link is one of those.
        if not engine.addresses.enter(self._peer[0]):
            warn_rarely("unique-ips", f"refused: a session from one address more than the {engine.addresses.limit} "
                                      "that may use the link at a time")
            return
        engine.visitors.began(self._peer[0])
        try:
            await self._relay_session(client, payload, records)
        finally:
            engine.addresses.leave(self._peer[0])
            engine.visitors.ended(self._peer[0])

    async def _relay_session(
        self, client: obfuscated2.Streams, payload: bytearray, records: RecordReader | None
    ) -> None:
        engine, settings = self._engine, self._engine.settings
        dc = data_centres.known(client.dc)
        if not dc:
            if not settings.allow_fallback_on_unknown_dc:
                warn_rarely("unknown-dc", f"a client asked for DC {client.dc}, which is unknown: refused")
                return
            dc = data_centres.DEFAULT_DC
        try:
            server, address = await engine.dialer.reach(dc)
        except Unreachable as error:
            warn_rarely("dc", f"DC {dc} can't be reached: {error}")
            return
        traffic = engine.metrics.server(address, dc)
        traffic.connections += 1
        relay = None
        try:
            hello, streams = obfuscated2.connect(client.tag, client.dc if abs(client.dc) == dc else dc)
            session = Session(client, streams, records, traffic)
            first = bytearray(hello)
            first += session.up_payload(bytes(payload[obfuscated2.HEADER_BYTES :]))
            payload.clear()
            relay = Relay(self._sock, server, session.up, session.down, False, engine.limiter)
            engine.relays.add(relay)
            await relay.run(first)
            self._reset = relay.reset
        finally:
            traffic.connections -= 1
            engine.relays.discard(relay)
            sockets.close(server, self._reset)

    async def _swallow(self) -> None:
        """Read until the handshake's time is up, so that a prober learns nothing from our closing."""
        while await sockets.receive(self._sock, _READ, self._deadline):
            pass

    async def _front(self, received: bytearray, listener: Address, probe: bool) -> None:
        """Hand over to the cover host. probe: whether it is a stranger's visit, not one who has the key."""
        engine, metrics = self._engine, self._engine.metrics
        family = "ipv6" if ":" in self._peer[0] else "ipv4"
        engine.places.front(self)
        metrics.fronting += probe
        metrics.fronted[family] += 1
        cover = relay = None
        try:
            cover = await engine.cover.connect(self._peer, listener)
            metrics.fronting_up += len(received)
            relay = Relay(self._sock, cover, self._count_up, self._count_down, True, read_bytes=_READ)
            engine.fronted.add(relay)
            await relay.run(received)
            self._reset = relay.reset
        except CoverDown as error:
            warn_rarely("cover", str(error))
        finally:
            metrics.fronted[family] -= 1
            engine.fronted.discard(relay)
            if cover:
                engine.cover.close(cover, self._reset)

    def _count_up(self, data: memoryview) -> memoryview:
        self._engine.metrics.fronting_up += len(data)
        return data

    def _count_down(self, data: memoryview) -> memoryview:
        self._engine.metrics.fronting_down += len(data)
        return data
