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
    fleet = Fleet(tmp_path, MemoryRuntime(machine), Builtin())
    fleet.reconciler.clock = machine.now
    return fleet
