"""What is printed at the end of the run: how long things took on the server, and what was measured there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_LINES: list[str] = []


def measured(what: str) -> None:
    """A line of the report."""
    _LINES.append(what)


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    measured(f"{time.monotonic() - started:7.1f} s  {what}")


def lines() -> list[str]:
    return list(_LINES)
