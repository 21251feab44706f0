"""python -m tests.bench.flood HOST PORT SNI: connections that ask for this name and end at once, until standard input
ends; then prints how many there were in a second. A program of its own, so that it does not slow whoever measures by
more than its share of the processor."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.support.edge_backend import client_hello

PER_SECOND = 200


def knock(host: str, port: int, hello: bytes) -> None:
    """A connection that gets as far as the engine, or is reset on its way there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), 10) as stream:
        stream.sendall(hello)


@contextlib.contextmanager
def flood(host: str, port: int, name: str) -> Iterator[list[float]]:
    """PER_SECOND connections a second meanwhile; its value: how many it came to, at the end."""
    done: list[float] = []
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.flood", host, str(port), name],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(0.5)
        yield done
    finally:
        done.append(float(process.communicate()[0]))


def main() -> None:
    host, port, name = sys.argv[1:]
    began, count, hello = time.perf_counter(), 0, client_hello(name)
    while True:
        left = max(0.0, began + count / PER_SECOND - time.perf_counter())
        if select.select([sys.stdin], [], [], left)[0]:
            break
        knock(host, int(port), hello)
        count += 1
    print(count / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
