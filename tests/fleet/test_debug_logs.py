"""A more detailed log of telemt, for a while: it goes back by itself, whatever becomes of the panel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.accounts.actor import CLI, Actor
from app.actions import debug_logs
from app.cli.__main__ import cli
from app.config.model import Admin
from app.control import log_views
from app.control.errors import Refused
from app.control.monitor import Monitor
from app.control.system import System
from app.engines.builtin import Builtin
from app.engines.telemt import live
from app.engines.telemt.engine import NAME, Telemt
from app.ledger.debug_logs import MOST_MINUTES
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine
from tests.support.obedient import Obedient

ANNA = Actor.of_admin("web", Admin(username="anna", password_hash="", sudo=True))


class World:
    """Alice is served by telemt. open: the panel, or the same one started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.machine = folder / "data", Machine()
        self.fleet = self.open()
        self.fleet.set_settings({"server_ip": "203.0.113.7"})
        self.fleet.add_user("Alice")

    def open(self) -> Fleet:
        fleet = Fleet(self.folder, Obedient(self.machine), {"telemt": Telemt("/telemt"), "builtin": Builtin()})
        fleet.reconciler.clock = self.machine.now
        return fleet

    def tick(self, minutes: float = 0.0) -> None:
        self.machine.pass_time(60 * minutes)
        Monitor(self.fleet).tick()

    @property
    def level(self) -> str:
        found = live.parse(self.fleet.runtime.held(NAME)[live.FILE])
        assert found
        return found.level

    @property
    def minutes(self) -> int:
        (one,) = log_views.debug_logs(self.fleet)
        return one.minutes


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_runs_for_a_quarter_of_an_hour_restarts_nothing_and_is_in_the_audit_log(world: World) -> None:
    run = world.machine.boxes[NAME].run_id
    debug_logs.begin(world.fleet, ANNA, "telemt")
    assert (world.level, world.minutes) == ("verbose", 15)
    world.tick(14)
    assert (world.level, world.minutes) == ("verbose", 1)
    world.tick(2)
    assert (world.level, world.minutes) == ("normal", 0)
    world.tick()
    assert world.machine.boxes[NAME].run_id == run
    told = [(event.actor, event.message) for event in world.fleet.events() if "debug" in event.message]
    assert told == [("panel", "debug log switched off (telemt)"),
                    ("admin:anna", "debug log switched on (telemt, for 15 minutes)")]


def test_it_goes_back_when_the_panel_was_away_meanwhile(world: World) -> None:
    debug_logs.begin(world.fleet, CLI, "telemt", 5)
    world.fleet = world.open()
    world.tick(1)
    assert world.level == "verbose"
    world.fleet = world.open()
    world.tick(600)
    assert world.level == "normal"


def test_pressed_by_two_it_runs_as_long_as_the_longer_one_and_ends_once_for_both(world: World) -> None:
    debug_logs.begin(world.fleet, ANNA, "telemt", 60)
    debug_logs.begin(world.open(), CLI, "telemt")
    assert world.minutes == 60
    debug_logs.begin(world.fleet, ANNA, "telemt", 90)
    assert world.minutes == 90
    debug_logs.end(world.open(), CLI, "telemt")
    assert (world.level, world.minutes) == ("normal", 0)
    debug_logs.end(world.fleet, ANNA, "telemt")
    assert [event.actor for event in world.fleet.events() if "off" in event.message] == ["cli"]


def test_a_clock_that_was_ahead_leaves_none_running_for_days(world: World) -> None:
    world.machine.pass_time(86_400)
    debug_logs.begin(world.fleet, CLI, "telemt")
    world.machine.pass_time(-86_400)
    world.tick()
    assert (world.level, world.minutes) == ("normal", 0)
    debug_logs.begin(world.fleet, CLI, "telemt")
    assert world.minutes == 15


@pytest.mark.parametrize("minutes", [0, -1, MOST_MINUTES + 1, 10 ** 9])
def test_what_is_too_long_or_no_time_is_refused(world: World, minutes: int) -> None:
    with pytest.raises(Refused, match="allowed: 1 to 120"):
        debug_logs.begin(world.fleet, CLI, "telemt", minutes)
    assert world.level == "normal"


@pytest.mark.parametrize("engine", ["builtin", "mtg", "", "<b>"])
def test_of_engines_that_have_none_or_serve_nobody_it_is_refused(world: World, engine: str) -> None:
    with pytest.raises(Refused, match="writes no debug log"):
        debug_logs.begin(world.fleet, CLI, engine)
    assert world.level == "normal" and not world.fleet.ledger.debug_logs.running(world.machine.now())


def test_users_who_come_and_go_meanwhile_leave_it_as_it_is(world: World) -> None:
    debug_logs.begin(world.fleet, CLI, "telemt")
    world.fleet.add_user("Bob")
    world.fleet.remove("Alice")
    assert (world.level, world.minutes) == ("verbose", 15)
    world.fleet.remove("Bob")
    assert log_views.debug_logs(world.fleet) == [], "telemt serves nobody"
    world.tick(16)
    world.fleet.add_user("Carol")
    assert world.level == "normal"


def test_the_command_begins_it_tells_its_end_and_ends_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(System, "open", lambda folder: world.fleet)

    def run(*words: str) -> tuple[int, str]:
        answer = CliRunner().invoke(cli, ["--data", str(world.folder), "debug-log", *words])
        return answer.exit_code, answer.output

    code, told = run("--minutes", "5")
    assert code == 0 and told.startswith("The log of telemt is more detailed until 20") and world.minutes == 5
    assert json.loads(run("--json")[1]) and world.minutes == 15
    assert run("--end") == (0, "The log of telemt is the usual one.\n") and world.level == "normal"
    assert run("--minutes", "500")[0] == 1 and run("builtin")[0] == 1
    assert run("--end", "--minutes", "5")[0] == 2
