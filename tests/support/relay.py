"""A plain TCP relay, in asyncio: what the engine is measured beside, and a recorder of handshakes.

    python -m tests.support.relay --to HOST:PORT

prints one line of JSON with its address and serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
from dataclasses import dataclass, field

from tests.support.dc import end_tasks

CHUNK = 1 << 18


@dataclass
class Recorded:
    """One relayed connection: every byte that went to the target, and back."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)


class Relay:
    """Relays every connection to `target` ("host:port"); records both directions if asked to.

    address: "127.0.0.1:port", known once serving.
    """

    def __init__(self, target: str, record: bool = False):
        host, port = target.rsplit(":", 1)
        self._target = host.strip("[]"), int(port)
        self._record = record
        self.recorded: list[Recorded] = []
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0, limit=CHUNK * 2, backlog=1024)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        note = Recorded()
        if self._record:
            self.recorded.append(note)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target, limit=CHUNK * 2)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._writers |= both
        await asyncio.gather(
            self._copy(reader, far_writer, note.sent), self._copy(far_reader, writer, note.received)
        )
        self._writers -= both
        writer.close()
        far_writer.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: bytearray
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                if self._record:
                    note += data
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.transport.abort()

    def start(self) -> Relay:
        """Serve in a thread of this process until stop()."""
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self.serve())
            ready.set()
            self._loop.run_forever()
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            end_tasks(self._loop)

        self._thread = threading.Thread(target=run, name="relay", daemon=True)
        self._thread.start()
        if not ready.wait(60):
            raise RuntimeError("the relay did not start within 60 s")
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


async def _main(target: str) -> None:
    relay = Relay(target)
    await relay.serve()
    print(json.dumps({"address": relay.address, "pid": os.getpid()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args().to))
