"""Data folders of the version before links had ids: they load, bills go on to the byte, and nothing is restarted.

fixtures/make.py made them with that version's code.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.control import views
from app.engines import builtin
from app.engines.base import Engine
from app.engines.builtin import Builtin
from app.engines.mtg.engine import MtgImage
from app.messages import ENGLISH, sentence
from app.rules.links import all_links
from app.runtimes.base import Place, Workload
from tests.fleet.test_port443 import Containers
from tests.support.fleet import Fleet
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import FakeProcess, Machine, MemoryRuntime

FIXTURES = Path(__file__).with_name("fixtures")


@dataclass
class Installation:
    """One folder of that version, opened by this one. seen: what that version saw last."""

    fleet: Fleet
    machine: Machine
    seen: dict[str, Any]

    def again(self) -> Fleet:
        """The same, opened once more."""
        return opened(self.fleet.data_dir, self.machine, self.seen)


def restored(folder: Path, data: Path) -> tuple[Machine, dict[str, Any]]:
    """A copy of the folder, and the machine that ran it."""
    data.mkdir()
    shutil.copy(folder / "config.json", data)
    with sqlite3.connect(data / "panel.db") as db:
        db.executescript((folder / "panel.sql").read_text())
    db.close()
    machine, seen = Machine(), json.loads((folder / "seen.json").read_text())
    machine.texts, machine.counters = seen["texts"], {name: tuple(both) for name, both in seen["network"].items()}
    for box in seen["boxes"]:
        made = {**box["workload"], "place": Place(**box["workload"]["place"]),
                "command": tuple(box["workload"]["command"])}
        workload = Workload(**made)
        assert workload.spec == box["spec"], "another hash would make every proxy anew"
        machine.boxes[workload.name] = FakeProcess(
            workload, box["state"], box["run_id"], box["started_at"], reason=box["reason"], limit=box["limit"])
    return machine, seen


def opened(data: Path, machine: Machine, seen: dict[str, Any]) -> Fleet:
    on_443 = json.loads((data / "config.json").read_text())["port_443_mode"]
    engine: Engine = MtgImage() if on_443 else Builtin()
    fleet = Fleet(data, (Containers if on_443 else MemoryRuntime)(machine), engine, MemoryEdge() if on_443 else None)
    fleet.reconciler.clock = lambda: seen["at"] + 5
    return fleet


@pytest.fixture(params=["443", "ports"])
def installation(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setattr(builtin, "_python", lambda: "python3")
    monkeypatch.setenv("TZ", "UTC")
    machine, seen = restored(FIXTURES / request.param, tmp_path / "data")
    return Installation(opened(tmp_path / "data", machine, seen), machine, seen)


def grow(machine: Machine, name: str, by: int) -> None:
    """What this proxy has relayed to its user grows."""
    lines = [line.split(" ") for line in machine.texts[name].splitlines()]
    machine.texts[name] = "".join(
        f"{key} {int(value) + by if 'to_client' in key else value}\n" for key, value in lines)


def test_users_and_events_are_seen_as_they_were(installation: Installation):
    # Speeds are of the last moment, and when a throttle was last read back, too; and sentences have other words by now.
    def told(key: str, value: object) -> object:
        return bool(value) if key in ("reason", "over_limit") else len(value) if key == "hints" else value

    then = [{key: told(key, value) for key, value in user.items()
             if key not in ("now_down", "now_up", "throttle_verified_at")} for user in installation.seen["users"]]
    for fleet in (installation.fleet, installation.again()):
        now = json.loads(json.dumps([user.to_json() for user in views.users(fleet)], default=sentence))
        assert [{key: told(key, user[key]) for key in seen} for user, seen in zip(now, then, strict=True)] == then
        assert [[e.subject, e.detail] for e in fleet.events()] == [told[1:] for told in installation.seen["events"]]
        assert all(e.action in ENGLISH.templates for e in fleet.events()), "what was done is a code by now"


def test_nothing_is_restarted(installation: Installation):
    fleet, machine = installation.fleet, installation.machine
    runs = {name: box.run_id for name, box in machine.boxes.items()}
    fleet.sample()
    assert [outcome for outcome in fleet.reconcile() if outcome.action != "serve"] == []
    assert machine.calls == [] and {name: box.run_id for name, box in machine.boxes.items()} == runs


def test_bills_go_on_to_the_byte(installation: Installation):
    fleet, machine, now = installation.fleet, installation.machine, installation.seen["at"] + 100
    before = {user["id"]: user["bytes_down"] for user in installation.seen["users"]}
    fleet.sample()
    assert {user.id: user.bytes_down for user in fleet.users()} == before, "nothing was moved meanwhile"
    running = {name: box for name, box in machine.boxes.items() if box.state == "running" and machine.texts[name]}
    for number, (name, box) in enumerate(running.items(), start=1):
        grow(machine, name, 1000 * number)
        before[box.workload.user_id] += 1000 * number
    fleet.reconciler.clock = lambda: now
    fleet.sample()
    uses = fleet.ledger.traffic.last_uses()
    installation.again().sample()
    assert {user.id: user.bytes_down for user in fleet.users()} == before
    assert {link.name for link in all_links(fleet.config()) if uses.get(link.id) == now} == running.keys()


def test_the_last_reading_of_a_run_of_then_is_of_its_link_though_the_user_has_another_by_now(
        installation: Installation):
    fleet, machine = installation.fleet, installation.machine
    alice = fleet.user("Alice")
    link, = (link for link in all_links(fleet.config()) if link.user.id == alice.id and not link.until)
    grow(machine, "mtg-proxy-2443", 4321)
    after = fleet.rotate("Alice")
    assert after.bytes_down == alice.bytes_down + 4321 and after.link_last_used is None
    assert fleet.ledger.traffic.last_uses()[link.id] == installation.seen["at"] + 5
    assert machine.boxes["mtg-proxy-2443"].workload.links != (link.id,)
    machine.texts["mtg-proxy-2443"] = machine.texts["mtg-proxy-2443"].replace("4321", "1")
    fleet.sample()
    assert fleet.user("Alice").link_last_used
