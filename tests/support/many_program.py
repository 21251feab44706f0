"""A made-up engine that serves many links in one process: echoes what a client sends, once that has sent the
secret of a link and a line feed. Its config.toml: listen, metrics. Beside it, links.json may change while it runs:
{link id: {"secret": …, "bits_per_second": … or null}}. A link that is taken out loses its connections at once, and
its counters stay; whoever has another link notices nothing.

Standard library only: it runs in a container, too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

LOOK = 0.05  # seconds between two looks at the file
PIECE = 16 << 10  # bytes


class Many:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.text = ""
        self.links: dict[str, dict[str, Any]] = {}
        self.down: dict[str, int] = defaultdict(int)
        self.up: dict[str, int] = defaultdict(int)
        self.open: dict[str, set[asyncio.StreamWriter]] = defaultdict(set)

    def look(self) -> None:
        """Take over what the file holds now; one that is missing or not whole, as while it is written, is left."""
        with suppress(OSError, ValueError):
            text = self.file.read_text()
            if text == self.text:
                return
            self.links, self.text = json.loads(text), text
            for link in self.open.keys() - self.links.keys():
                for writer in self.open[link]:
                    writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = ""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            secret = (await reader.readuntil(b"\n")).decode(errors="replace").strip()
            link = next((each for each, told in self.links.items() if told["secret"] == secret), "")
            if link:
                self.open[link].add(writer)
                await self.echo(link, reader, writer)
        self.open[link].discard(writer)
        writer.close()

    async def echo(self, link: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while link in self.links and (data := await reader.read(PIECE)):
            self.up[link] += len(data)
            if limit := self.links[link]["bits_per_second"]:
                await asyncio.sleep(len(data) * 8 / limit)
            if link in self.links:
                writer.write(data)
                self.down[link] += len(data)
                await writer.drain()

    def metrics(self) -> str:
        lines = []
        for link in sorted({*self.links, *self.down, *self.up}):
            told = self.links.get(link, {})
            lines += [f'many_bytes{{link="{link}",direction="down"}} {self.down.get(link, 0)}',
                      f'many_bytes{{link="{link}",direction="up"}} {self.up.get(link, 0)}',
                      f'many_connections{{link="{link}"}} {len(self.open.get(link, ()))}',
                      f'many_bits_per_second{{link="{link}"}} {told.get("bits_per_second") or 0}']
        return "\n".join(["many_up 1", *lines, ""])

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                body = self.metrics().encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        writer.close()


async def main(config: dict[str, Any], many: Many) -> None:
    many.look()
    print(f"listening on {config['listen']}", flush=True)
    for serve, address in ((many.serve, config["listen"]), (many.answer, config["metrics"])):
        host, _, port = address.rpartition(":")
        await asyncio.start_server(serve, host.strip("[]"), int(port), backlog=1024)
    while True:
        await asyncio.sleep(LOOK)
        many.look()


if __name__ == "__main__":
    config_toml = Path(sys.argv[2])
    asyncio.run(main(tomllib.loads(config_toml.read_text()), Many(config_toml.with_name("links.json"))))
