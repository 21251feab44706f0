"""telemt for tests: the stand-in as a program, the real one where TELEMT_BIN names it, and clients of both."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from app.control.views import UserView
from app.engines.telemt.engine import Telemt
from app.mtproto.links import parse_link, tg_link
from app.runtimes.process.runtime import ProcessRuntime
from tests.support.cover import Cover, free_port
from tests.support.dc import DataCenter
from tests.support.docker_lab import patient
from tests.support.fleet import Fleet
from tests.support.stream import Stream

ROOT = Path(__file__).resolve().parents[2]
#: Which programs the contract is held against.
PROGRAMS = ["stand-in", *(["telemt"] if os.environ.get("TELEMT_BIN") else [])]

T = TypeVar("T")


def program(which: str, folder: Path) -> str:
    """The path of the program."""
    if which == "telemt":
        return os.environ["TELEMT_BIN"]
    script = folder / "telemt"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.support.telemt_program "$@"\n')
    script.chmod(0o755)
    return str(script)


def builtin_as_mtg(folder: Path) -> str:
    """The path of a program that stands in for mtg: the built-in engine, which reads the same file."""
    script = folder / "mtg"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app.builtin.server "$@"\n')
    script.chmod(0o755)
    return str(script)


class Clients:
    """Streams that live in a thread of their own, so that a test may go on meanwhile."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T], seconds: float = 90) -> T:
        return self.begin(work).result(seconds)

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Stage:
    """An installation whose users are all served by telemt."""

    def __init__(self, fleet: Fleet, dc: DataCenter, **settings: object) -> None:
        self.fleet, self.runtime, self.engine, self.dc = fleet, fleet.runtime, fleet.engine, dc
        self.port = free_port()
        fleet.set_settings({
            "proxy_bind": "127.0.0.1", "server_ip": "203.0.113.7", "shared_port": self.port, "proxy_port": free_port(),
            "upstream_socks5": dc.socks5, **settings})
        self.clients = Clients()

    @classmethod
    def local(cls, folder: Path, binary: str, dc: DataCenter, cover: Cover) -> Stage:
        """As a process of this machine."""
        fleet = Fleet(folder / "data", patient(ProcessRuntime(folder / "data")), Telemt(binary))
        return cls(fleet, dc, domain_fronting_ip=cover.ip, domain_fronting_port=cover.port,
                   fake_tls_domain=cover.host)

    def link(self, user: UserView) -> str:
        return tg_link("127.0.0.1", self.port, parse_link(user.tg_link).secret)

    def connect(self, user: UserView, source: str = "") -> Stream:
        """A session of this user, which has moved a message each way."""
        stream = self.clients.do(Stream.open(self.link(user), source=source))
        self.clients.do(stream.req_pq())
        return stream

    def is_cut_off(self, stream: Stream, seconds: float = 30) -> bool:
        return self.clients.do(stream.ended(seconds))

    def lives(self, stream: Stream) -> bool:
        return self.clients.do(stream.echo()) > 0

    @property
    def run(self) -> str:
        (observed,) = self.runtime.observe()
        return observed.run_id

    def close(self) -> None:
        self.clients.close()
        for observed in self.runtime.observe():
            self.runtime.remove(observed.name)
