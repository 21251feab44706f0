"""The time, never earlier than it has been: set back it ends nothing less, far ahead for a moment nothing for good."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ledger import latest as module
from app.ledger.latest import BELIEVED_BACK_AFTER, Latest
from app.ledger.ledger import Ledger
from app.lib.clock import BELIEVED_AFTER, SMALL

BEGIN, DAY, YEAR = 1_800_000_000.0, 86400.0, 365 * 86400.0
JUMPS = st.sampled_from([-20 * YEAR, -YEAR, -DAY, -3600.0, -90.0, -1.0, 0.0, 1.0, 90.0, 3600.0, DAY, 20 * YEAR])


class Machine:
    """A machine with a clock that can be set, and a panel on it that looks once a minute."""

    def __init__(self, folder: Path) -> None:
        self.since_boot, self.ahead, self.folder = 1000.0, 0.0, folder
        self.restart()

    def restart(self) -> None:
        """Another process of the panel."""
        self.latest = Latest(Ledger(self.folder).database, lambda: self.since_boot)

    @property
    def true(self) -> float:
        return BEGIN + self.since_boot

    @property
    def wall(self) -> float:
        return self.true + self.ahead

    def run(self, seconds: float, is_right: bool | None = None) -> None:
        for _ in range(max(1, int(seconds // 600))):
            self.since_boot += min(seconds, 600)
            self.latest.look(self.wall, is_right)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_clock_that_is_set_back_does_not_go_back(machine: Machine) -> None:
    machine.run(2 * BELIEVED_AFTER)
    for back in (3600.0, YEAR, 30 * YEAR):
        machine.ahead = -back
        machine.run(600)
        assert machine.latest.after(machine.wall) == pytest.approx(machine.true, abs=1)
        machine.restart()
        machine.since_boot += 30
        assert machine.latest.after(machine.wall) == pytest.approx(machine.true, abs=1)


def test_nor_does_it_after_a_reboot_with_an_empty_battery(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.run(2 * BELIEVED_AFTER)
    before = machine.true
    monkeypatch.setattr(module, "boot_id", lambda: "another boot")
    machine.since_boot, machine.ahead = 5.0, -YEAR
    machine.restart()
    assert machine.latest.after(machine.wall) == pytest.approx(before, abs=1)
    machine.run(BELIEVED_AFTER)
    assert machine.latest.after(machine.wall) >= before


@pytest.mark.parametrize("other_clocks", [None, False])
def test_one_that_is_years_ahead_for_a_moment_changes_nothing(machine: Machine, other_clocks: bool | None) -> None:
    machine.run(2 * BELIEVED_AFTER)
    machine.ahead = 20 * YEAR
    machine.run(BELIEVED_AFTER - 600, other_clocks)
    assert machine.latest.after(machine.wall) == machine.wall, "it ends things for as long as it shows that"
    assert not machine.latest.is_believed(machine.wall, other_clocks)
    machine.ahead = 0.0
    assert machine.latest.after(machine.wall) == pytest.approx(machine.true, abs=1)


def test_one_that_was_ahead_for_long_is_put_right_by_other_clocks_at_once_and_by_itself_in_a_day(
        machine: Machine, tmp_path: Path) -> None:
    machine.ahead = YEAR
    machine.run(2 * BELIEVED_AFTER)
    machine.ahead = 0.0
    machine.run(BELIEVED_BACK_AFTER - 1200)
    assert machine.latest.after(machine.wall) == pytest.approx(machine.true + YEAR, abs=1)
    machine.run(1800)
    assert machine.latest.after(machine.wall) == pytest.approx(machine.true, abs=1)
    machine.ahead = YEAR
    machine.run(2 * BELIEVED_AFTER)
    machine.ahead = 0.0
    machine.run(600, is_right=True)
    assert machine.latest.after(machine.wall) == pytest.approx(machine.true, abs=1)


def test_what_other_clocks_call_wrong_is_not_believed_however_long_it_goes_on(machine: Machine) -> None:
    machine.run(2 * BELIEVED_AFTER)
    machine.ahead = -YEAR
    machine.run(3 * BELIEVED_BACK_AFTER, is_right=False)
    assert machine.latest.after(machine.wall) == pytest.approx(machine.true, abs=1)


def test_codes_of_an_app_count_by_a_clock_that_was_put_right_by_a_minute(
        machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.run(2 * BELIEVED_AFTER)
    monkeypatch.setattr(module.time, "time", lambda: machine.wall)
    for back, shown in ((SMALL, machine.true - SMALL), (2 * SMALL, machine.true)):
        machine.ahead = -back
        assert machine.latest.shown() == pytest.approx(shown, abs=1)


def test_whatever_is_done_to_the_clock_what_was_certain_stays_and_nothing_is_later_than_it_ever_showed(
        tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(JUMPS, st.sampled_from([30.0, 600.0, 3000.0, 5400.0])), max_size=8), st.booleans())
    def jump(steps: list[tuple[float, float]], restarts: bool) -> None:
        machine = Machine(tmp_path_factory.mktemp("panel"))
        machine.run(2 * BELIEVED_AFTER)
        highest = machine.true
        for by, seconds in steps:
            machine.ahead += by
            before = machine.latest.believed()
            if restarts:
                machine.restart()
            machine.run(seconds)
            highest = max(highest, machine.wall) + seconds
            assert machine.latest.believed() >= before
            assert max(machine.wall, machine.true) - 1 <= max(machine.latest.after(machine.wall), machine.true)
            assert machine.latest.after(machine.wall) <= highest + 1

    jump()


def test_a_ledger_that_takes_no_writes_and_an_empty_one_leave_the_clock_as_it_is(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.latest.after(BEGIN) == BEGIN and ledger.latest.believed() == 0.0
    ledger.database.query("PRAGMA query_only = 1")
    ledger.latest.look(BEGIN, True)
    assert ledger.latest.after(BEGIN) == BEGIN


@pytest.mark.parametrize("column", ["latest", "at", "apart", "since"])
@pytest.mark.parametrize("value", [1e15, -1e15, float("inf"), float("-inf"), "soon", b"\x00"])
def test_a_damaged_row_is_no_time(tmp_path: Path, column: str, value: float | str | bytes) -> None:
    machine = Machine(tmp_path)
    machine.run(2 * BELIEVED_AFTER)
    database = Ledger(tmp_path).database
    with database.transaction() as db:
        db.execute(f"UPDATE latest_time SET {column} = ?", (value,))
    machine.restart()
    assert machine.latest.after(machine.wall) == machine.wall
    machine.run(2 * BELIEVED_AFTER)
    assert machine.latest.believed() == pytest.approx(machine.wall, abs=SMALL)
