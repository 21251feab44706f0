"""The built-in engine: `python -m app.builtin.server run config.toml`.

Understands mtg's configuration file and serves mtg's metrics. One process, one event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import os
import resource
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.builtin import sockets
from app.builtin.connection import Connection
from app.builtin.engine import Engine
from app.builtin.logs import failure_rarely, log, set_up, warn_rarely
from app.builtin.metrics import serve_metrics
from app.builtin.settings import Endpoint, Settings, SettingsError, read_settings
from app.lib.private import use_umask

#: Connections that the kernel keeps until they are accepted; it takes net.core.somaxconn at most.
_BACKLOG = 65535
_ACCEPTS_A_ROUND = 64
#: Descriptors beside those of connections: listeners, metrics, logs, and connections that are just ending.
_OTHER_FILES = 2 * _ACCEPTS_A_ROUND + 64
_DRAIN_SECONDS = 5.0
#: What to wait when the process has no file descriptor left (seconds).
_BREATHER = 0.2


class StartError(Exception):
    """The engine can't start; the message says what is in the way."""


class Listener:
    """Accepts connections and gives each one a task."""

    def __init__(self, engine: Engine, sock: socket.socket) -> None:
        self._engine = engine
        self._sock = sock
        self.tasks: set[asyncio.Task[None]] = set()
        engine.loop.add_reader(sock, self._accept)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._engine.loop.remove_reader(self._sock)
            self._sock.close()

    def _accept(self) -> None:
        engine = self._engine
        for _ in range(_ACCEPTS_A_ROUND):
            try:
                client, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                warn_rarely("accept", f"can't accept a connection: {sockets.why(error)}")
                engine.loop.remove_reader(self._sock)
                engine.loop.call_later(_BREATHER, self._resume)
                return
            client.setblocking(False)
            connection = Connection(engine, client, sockets.plain_address(address))
            if not connection.enter():
                engine.metrics.concurrency_limited += 1
                warn_rarely("concurrency", f"more than {engine.places.total} connections")
                continue
            task = connection.start()
            self.tasks.add(task)
            task.add_done_callback(self._done)

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._engine.loop.add_reader(self._sock, self._accept)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            failure_rarely("a connection", failure)


def listen(endpoint: Endpoint) -> socket.socket:
    """A listening socket; [::] takes IPv4 too. Raises StartError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((endpoint.host, endpoint.port))
            sock.listen(_BACKLOG)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise cannot_bind("bind-to", endpoint, error) from error
    return sock


def cannot_bind(key: str, endpoint: Endpoint, error: OSError) -> StartError:
    """Why an address can't be listened on, in a sentence."""
    if error.errno == errno.EADDRINUSE:
        return StartError(f"{key}: port {endpoint.port} on {endpoint.host} is in use by another program")
    if error.errno == errno.EACCES:
        return StartError(f"{key}: port {endpoint.port} may not be used without root; take one above 1023")
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return StartError(f"{key}: this machine has no address {endpoint.host}")
    return StartError(f"{key}: can't listen on {endpoint}: {sockets.why(error)}")


def _callback_failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, MemoryError):
        failure_rarely("the engine", error)
    loop.default_exception_handler(context)


async def serve(settings: Settings, folder: Path) -> None:
    """Run until SIGTERM or SIGINT, then let sessions end for a while and exit with 0. Raises StartError."""
    engine = Engine(settings, folder)
    stop = asyncio.Event()
    engine.loop.set_exception_handler(_callback_failed)

    def on_signal() -> None:
        if stop.is_set():
            os._exit(0)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        engine.loop.add_signal_handler(number, on_signal)
    listener = Listener(engine, listen(settings.bind_to))
    if settings.metrics:
        try:
            await serve_metrics(
                settings.metrics.host, settings.metrics.port, settings.metrics_path, engine.metrics_text,
                engine.visitors.text,
            )
        except OSError as error:
            raise cannot_bind("stats.prometheus.bind-to", settings.metrics, error) from error
    chores = engine.loop.create_task(engine.chores())
    log.info("serving %s on %s", settings.secret.masked(), settings.bind_to)
    await stop.wait()
    listener.close()
    if listener.tasks:
        await asyncio.wait(listener.tasks, timeout=_DRAIN_SECONDS)
    chores.cancel()
    for task in listener.tasks:
        task.cancel()
    await asyncio.gather(chores, *listener.tasks, return_exceptions=True)
    engine.close()
    # Not by returning: asyncio would wait for a DNS lookup under way, however long that takes.
    os._exit(0)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m app.builtin.server", description="The built-in Telegram proxy engine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="serve until SIGTERM")
    run.add_argument("config", type=Path, help="configuration file in mtg's TOML format")
    config = parser.parse_args(arguments).config
    try:
        settings = read_settings(config)
        set_up(settings.debug)
        settings = replace(settings, concurrency=_allow_many_files(settings.concurrency))
        gc.freeze()
        asyncio.run(serve(settings, config.parent))
    except (SettingsError, StartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _allow_many_files(concurrency: int) -> int:
    """Two descriptors a connection, as far as the machine allows: how many connections that makes.

    Beyond that, accepting would fail for everybody, while a place can be taken from a stranger.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * concurrency + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return concurrency
    possible = max(1, (soft - _OTHER_FILES) // 2)
    log.warning("the system allows %d open files (ulimit -Hn), which is enough for %d connections, not for "
                "concurrency = %d", soft, possible, concurrency)
    return possible


if __name__ == "__main__":
    # What it writes (replay marks) is nobody else's.
    use_umask()
    sys.exit(main())
