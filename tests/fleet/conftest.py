from __future__ import annotations

import pytest

from app.engines.builtin import Builtin
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def fleet(tmp_path, machine) -> Fleet:
    """A fleet whose workloads run nowhere but in memory."""
    return Fleet(tmp_path, MemoryRuntime(machine), Builtin())


def metrics(down: int = 0, up: int = 0, connections: int = 0) -> str:
    """What an engine would serve that relayed so many bytes."""
    labels = 'telegram_ip="192.0.2.1",dc="2"'
    return (f'mtg_telegram_traffic{{{labels},direction="to_client"}} {down}\n'
            f'mtg_telegram_traffic{{{labels},direction="from_client"}} {up}\n'
            f"mtg_telegram_connections{{{labels}}} {connections}\n")
