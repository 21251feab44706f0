"""The background thread: one acts, it repairs, and it survives what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from app.control import passes
from app.control.monitor import Monitor
from app.control.system import System
from app.engines.builtin import Builtin
from app.runtimes.base import EXITED
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
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


def test_a_crash_is_repaired_without_waiting_for_the_tick(fleet, machine, monitors, monkeypatch):
    fleet.add_user("Alice")
    starts, reconcile = [], passes.reconcile

    def crash_after_the_first(system: System, respect_backoff: bool) -> None:
        reconcile(system, respect_backoff)
        starts.append(machine.boxes["mtg-proxy-2443"].run_id)
        if len(starts) == 1:  # nobody waits yet: the end must not be missed
            machine.crash("mtg-proxy-2443")

    monkeypatch.setattr(passes, "reconcile", crash_after_the_first)
    monitors(fleet, tick=3600)
    eventually(lambda: len(starts) == 2)
    time.sleep(0.2)  # it rests now
    machine.pass_time(3600)  # after so long a second crash gets no pause
    machine.crash("mtg-proxy-2443")
    eventually(lambda: len(starts) == 3)
    assert len(set(starts)) == 3 and all(starts)


def test_a_step_that_fails_does_not_end_the_thread(fleet, machine, monitors, monkeypatch):
    fleet.add_user("Alice")
    failures = []

    def fail(system: System) -> None:
        failures.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(passes, "sample", fail)
    monitors(fleet)
    eventually(lambda: len(failures) > 1)
    machine.boxes.clear()
    eventually(lambda: "mtg-proxy-2443" in machine.boxes)


def test_a_rest_that_fails_does_not_end_the_thread(fleet, machine, monitors, monkeypatch):
    fleet.add_user("Alice")
    failures = []

    def fail(_: float) -> bool:
        failures.append(1)
        raise OSError("too many open files")

    monkeypatch.setattr(fleet.runtime, "wait", fail)
    monitors(fleet, tick=3600)
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
