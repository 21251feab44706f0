"""A proxy whose engine tells no counters: estimated from its network, marked everywhere, never mixed."""

from __future__ import annotations

import json
import sqlite3

import pytest
from click.testing import CliRunner

from app import create_app
from app.cli.__main__ import cli
from app.control.system import System
from app.engines.builtin import Builtin
from app.ledger import database
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.html import text
from tests.web.visitor import NAME, PASSWORD, Visitor

MB = 1024 ** 2
ALICE = "mtg-proxy-2443"


@pytest.fixture
def alice(fleet):
    return fleet.add_user("Alice")


def test_half_of_what_came_in_and_went_out_is_billed_half_of_it_each_way(fleet, machine, alice):
    machine.network(ALICE, received=30 * MB, sent=31 * MB)
    fleet.sample()
    view = fleet.user("Alice")
    assert view.bytes_down + view.bytes_up == 61 * MB // 2
    assert abs(view.bytes_down - view.bytes_up) <= 1
    assert (view.estimated, view.period_estimated, view.connections, view.probes) == (True, True, 0, 0)
    fleet.sample()
    assert fleet.user("Alice").bytes_down == view.bytes_down


def test_an_estimate_is_told_with_its_reason_and_an_exact_count_is_not(fleet, machine, alice):
    fleet.add_user("Bob")
    machine.network(ALICE, 3 * MB, 3 * MB)
    machine.metrics("mtg-proxy-2444", metrics(down=MB))
    status = fleet.status()
    assert status.estimated and status.to_json()["estimated"]
    (problem,) = status.problems
    assert problem.startswith("Alice: ") and "estimated from the container's network counters" in problem
    views = {view.name: view for view in status.users}
    assert views["Alice"].to_json()["estimated"] is True and views["Bob"].to_json()["estimated"] is False
    assert views["Bob"].reason == "" and views["Alice"].state == "running"


def test_metrics_that_fail_once_are_no_reason_to_estimate(fleet, machine, alice):
    machine.metrics(ALICE, metrics(down=MB, up=MB))
    fleet.sample()
    machine.network(ALICE, 50 * MB, 50 * MB)
    fleet.sample()
    machine.metrics(ALICE, metrics(down=2 * MB, up=MB))
    fleet.sample()
    view = fleet.user("Alice")
    assert (view.bytes_down, view.bytes_up, view.estimated, view.reason) == (2 * MB, MB, False, "")


def test_a_panel_that_is_new_does_not_estimate_what_an_earlier_one_has_counted(fleet, machine, alice):
    machine.metrics(ALICE, metrics(down=MB))
    fleet.sample()
    again = Fleet(fleet.data_dir, MemoryRuntime(machine), Builtin())
    machine.network(ALICE, 50 * MB, 50 * MB)
    again.sample()
    assert (again.user("Alice").bytes_down, again.user("Alice").estimated) == (MB, False)


def test_a_limit_holds_for_an_estimate_over_restarts_and_a_reset_is_exact_again(fleet, machine, alice):
    fleet.update_user("Alice", {"limit_gb": "1"})
    machine.network(ALICE, 700 * MB, 700 * MB)
    fleet.restart("Alice")  # samples before it ends anything
    for moved in (0, 400 * MB, 400 * MB):
        machine.network(ALICE, moved, moved)
        fleet.sample()
    fleet.reconcile()
    view = fleet.user("Alice")
    assert (view.period_down + view.period_up, view.throttled_bps) == (1100 * MB, 1_000_000)
    fleet.restart("Alice")
    machine.metrics(ALICE, metrics(down=5))  # another image
    fleet.sample()
    fleet.reset_traffic("Alice")
    view = fleet.user("Alice")
    assert (view.period_estimated, view.estimated, view.throttled_bps, view.reason) == (False, True, None, "")


def test_an_estimate_that_could_not_be_written_is_counted_later(fleet, machine, alice, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.001)
    fleet.ledger.database.query("PRAGMA busy_timeout = 1")
    machine.network(ALICE, 10 * MB, 10 * MB)
    other = sqlite3.connect(fleet.ledger.database.path)
    other.execute("BEGIN IMMEDIATE")
    fleet.sample()
    other.rollback()
    other.close()
    machine.crash(ALICE)
    fleet.sample()
    view = fleet.user("Alice")
    assert view.bytes_down + view.bytes_up == 10 * MB and view.estimated


def test_what_scanners_move_does_not_start_the_clock_of_a_first_use(fleet, machine):
    fleet.add_user("Alice", expires_after_days="30")
    machine.network(ALICE, 20_000, 20_000)
    fleet.sample()
    assert fleet.user("Alice").expires_at is None
    machine.network(ALICE, MB, MB)
    fleet.sample()
    assert fleet.user("Alice").expires_at


def test_the_command_line_marks_estimates_in_words_and_in_json(fleet, machine, alice, monkeypatch):
    fleet.add_user("Bob")
    machine.network(ALICE, 6 * MB, 6 * MB)
    machine.metrics("mtg-proxy-2444", metrics(down=MB))
    monkeypatch.setattr(System, "open", classmethod(lambda cls, folder: fleet))

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["--data", str(fleet.data_dir), *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    for command in (["status"], ["traffic"], ["traffic", "--since", "1h"]):
        lines = said(*command).splitlines()
        assert "~3 MB" in next(line for line in lines if line.startswith("Alice")).replace("~3.0", "~3")
        assert "~" not in next(line for line in lines if line.startswith("Bob"))
        assert any("estimated from network counters" in line for line in lines)
    assert "about 6 MB in both directions together" in said("traffic", "Alice")
    told = {one["name"]: one for one in json.loads(said("--json", "traffic"))}
    assert [told[name]["estimated"] for name in ("Alice", "Bob")] == [True, False]
    assert json.loads(said("--json", "status"))["estimated"] is True


def test_the_panel_marks_estimates_and_says_what_they_are(fleet, machine, alice):
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.update_user("Alice", {"limit_gb": "1"})
    machine.network(ALICE, 6 * MB, 6 * MB)
    visitor = Visitor(create_app(fleet).test_client())
    visitor.login()
    texts = {path: text(visitor.get(path).text) for path in ("/", "/users", f"/users/{alice.id}")}
    assert "about <0.01 of 1 GB" in texts["/users"]
    assert "Alice ~about 6 MB" in texts["/"] and "about 3 MB downloaded" in texts["/"]
    assert "About 6 MB in all, estimated from the container's network counters" in texts[f"/users/{alice.id}"]
    machine.metrics(ALICE, metrics(down=9))
    fleet.restart("Alice")
    fleet.sample()
    fleet.reset_traffic("Alice")
    assert "about" not in text(visitor.get("/users").text)
