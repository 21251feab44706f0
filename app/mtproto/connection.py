"""The life of one accepted connection: who is it, and whom is it relayed to?"""

from __future__ import annotations

import socket
import time

from app.mtproto import dc as data_centres
from app.mtproto import faketls, obfuscated2, sockets
from app.mtproto.engine import Engine
from app.mtproto.fronting import CoverDown
from app.mtproto.logs import log, warn_rarely
from app.mtproto.proxyprotocol import Address, ProxyHeaderError, read_header
from app.mtproto.records import RecordError, RecordReader, StreamEnd
from app.mtproto.relay import Relay
from app.mtproto.telegram import Session, Unreachable

_READ = 16 * 1024


class Connection:
    """One client socket from its acceptance to its end."""

    def __init__(self, engine: Engine, sock: socket.socket, peer: Address) -> None:
        self._engine = engine
        self._sock = sock
        self._peer = peer
        self._reset = False
        self._deadline = engine.loop.time() + engine.settings.handshake_timeout

    async def serve(self) -> None:
        """Do everything; the socket is closed afterwards."""
        metrics, family = self._engine.metrics, "ipv6" if ":" in self._peer[0] else "ipv4"
        metrics.clients[family] += 1
        try:
            await self._serve()
        except OSError as error:
            log.debug("a client went away: %s", sockets.why(error))
        finally:
            metrics.clients[family] -= 1
            sockets.close(self._sock, self._reset)

    async def _serve(self) -> None:
        settings = self._engine.settings
        sockets.tune(self._sock, settings.keep_alive)
        received = bytearray()
        listener = sockets.plain_address(self._sock.getsockname())
        if settings.proxy_protocol_listener:
            addresses = await self._read_proxy_header(received)
            if addresses is None:
                return
            self._peer, listener = addresses[0] or self._peer, addresses[1] or listener
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
        data = await sockets.receive(self._sock, _READ, self._deadline)
        received += data or b""
        return data

    async def _faketls_client(self, received: bytearray, listener: Address) -> None:
        records = RecordReader()
        payload = await self._shake_hands(received, listener, records)
        if payload is not None:
            await self._relay_to_telegram(payload, records)

    async def _shake_hands(
        self, received: bytearray, listener: Address, records: RecordReader
    ) -> bytearray | None:
        """Answer a client's hello; its first payload, an obfuscated2 header at least, or None."""
        hello = await self._read_hello(received, listener)
        if hello is None:
            return None
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

    async def _read_hello(self, received: bytearray, listener: Address) -> faketls.ClientHello | None:
        """The hello of a client of ours; anybody else is handed to the cover host, and None returned."""
        reader = faketls.HelloReader()
        try:
            while not (hello := reader.read(received)):
                data = await self._more(received)
                if data == b"" and not received:
                    return None  # a port check: it sent nothing, and nothing is what it gets
                if not data:
                    raise faketls.NotAHello("half a ClientHello" if received else "silence")
            self._check(hello)
            return hello
        except (faketls.NotAHello, faketls.Refused) as error:
            log.debug("not a client, handed to the cover host: %s", error)
        await self._front(bytes(received), listener)
        return None

    def _check(self, hello: faketls.ClientHello) -> None:
        engine, settings = self._engine, self._engine.settings
        faketls.check_hello(hello, settings.secret, time.time(), settings.tolerate_time_skewness)
        if engine.replays and engine.replays.seen_before(hello.random[: faketls.PROOF_BYTES]):
            engine.metrics.replay_attacks += 1
            raise faketls.Refused("replay")

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
            await self._swallow()
            return
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
            first = hello + bytes(session.up_payload(bytes(payload[obfuscated2.HEADER_BYTES :])))
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

    async def _front(self, received: bytes, listener: Address) -> None:
        engine, metrics = self._engine, self._engine.metrics
        family = "ipv6" if ":" in self._peer[0] else "ipv4"
        metrics.fronting += 1
        metrics.fronted[family] += 1
        cover = relay = None
        try:
            cover = await engine.cover.connect(self._peer, listener)
            metrics.fronting_up += len(received)
            relay = Relay(self._sock, cover, self._count_up, self._count_down, True)
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
