"""A Docker engine that hangs: its socket takes every connection and answers nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def silent_socket(path: Path) -> Iterator[str]:
    """The address of the socket, which is there in this block. The kernel takes the connections; nobody reads."""
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))
        end.listen(4096)
        yield f"unix://{path}"
