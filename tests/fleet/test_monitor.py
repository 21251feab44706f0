"""The background thread: one acts, it repairs, and it survives what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from app.engines.builtin import Builtin
from app.fleet import Fleet
from app.fleet.monitor import Monitor
from app.runtimes.base import EXITED
from tests.support.memory_runtime import MemoryRuntime


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@pytest.fixture
def monitors():
    started = []

    def start(fleet: Fleet, tick: float = 0.05) -> Monitor:
        started.append(Monitor(fleet, tick).start())
        return started[-1]

    yield start
    for monitor in started:
        monitor.stop()


def test_a_hand_edit_takes_effect_within_a_tick(fleet, machine, monitors):
    fleet.add_user("Alice")
    monitors(fleet)
    text = fleet.file.path.read_text()
    fleet.file.path.write_text(text.replace('"enabled": true', '"enabled": false'))
    eventually(lambda: machine.boxes["mtg-proxy-2443"].state == EXITED)


def test_a_crash_is_repaired_without_waiting_for_the_tick(fleet, machine, monitors):
    fleet.add_user("Alice")
    monitors(fleet, tick=3600)
    eventually(lambda: fleet.ledger.traffic.totals() != {})
    start = machine.boxes["mtg-proxy-2443"].start
    machine.crash("mtg-proxy-2443")
    eventually(lambda: machine.boxes["mtg-proxy-2443"].start not in ("", start))


def test_a_step_that_fails_does_not_end_the_thread(fleet, machine, monitors, monkeypatch):
    fleet.add_user("Alice")
    failures = []

    def fail() -> None:
        failures.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(fleet, "sample", fail)
    monitors(fleet)
    eventually(lambda: len(failures) > 1)
    machine.boxes.clear()
    eventually(lambda: "mtg-proxy-2443" in machine.boxes)


def test_only_one_of_several_monitors_acts_and_another_takes_over(fleet, machine, monitors):
    other = Fleet(fleet.data_dir, MemoryRuntime(machine), Builtin())
    ticks = {"first": 0, "second": 0}

    def count(monitor: Monitor, name: str) -> None:
        tick = monitor.tick

        def counted() -> None:
            ticks[name] += 1
            tick()

        monitor.tick = counted

    first, second = Monitor(fleet, 0.05), Monitor(other, 0.05)
    count(first, "first")
    count(second, "second")
    first.start()
    eventually(lambda: ticks["first"] > 0)
    second.start()
    before = ticks["first"]
    eventually(lambda: ticks["first"] > before + 3)
    assert ticks["second"] == 0
    first.stop()
    eventually(lambda: ticks["second"] > 0)
    second.stop()
