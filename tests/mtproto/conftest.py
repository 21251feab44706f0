"""Engines and cover hosts that end with the test that started them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mtproto.parts import CoverHost, Engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Call it to start an engine: engine(upstream=[…], cover_port=…, **{"toml.key": value})."""
    with contextlib.ExitStack() as stack:
        counter = iter(range(100))

        def start(**options: object) -> Engine:
            started = Engine(tmp_path / f"engine{next(counter)}", **options)
            stack.callback(started.stop)
            return started

        yield start


@pytest.fixture
def cover_host() -> Iterator[Callable[..., CoverHost]]:
    """Call it to start a scripted cover host."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: object) -> CoverHost:
            started = CoverHost(*arguments)
            stack.callback(started.stop)
            return started

        yield start
