"""Who has the right key and is refused all the same: counted apart, and explained to the operator."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from app.control.monitor import Monitor
from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg
from app.ledger.refusals import Refused
from app.mtproto.faketls_client import client_hello
from tests.fleet.conftest import metrics
from tests.mtproto.parts import without_name
from tests.support.engine import Engine
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime

ALICE = "mtg-proxy-2443"


def counted(clock: int = 0, behind: int = 0, missing: int = 0, other: int = 0) -> str:
    """What the built-in engine serves."""
    return metrics(down=100) + (f"builtin_wrong_clock {clock}\nbuiltin_clock_behind_seconds {behind}\n"
                                f'builtin_wrong_name{{sni="missing"}} {missing}\n'
                                f'builtin_wrong_name{{sni="other"}} {other}\n')


@pytest.fixture
def tick(fleet: Fleet, machine: Machine) -> Callable[[str], None]:
    """Call it with what Alice's engine serves."""
    fleet.add_user("Alice")

    def do(text: str) -> None:
        machine.metrics(ALICE, text)
        Monitor(fleet, 10).tick()

    return do


def test_what_the_engine_sees_is_what_the_panel_counts(start_engine: Callable[..., Engine]) -> None:
    engine, now = start_engine(), time.time()
    hellos = [client_hello(engine.secret, now - 600 - number) for number in range(3)]
    hellos += [without_name(client_hello(engine.secret, now), engine.secret, now),
               client_hello(engine.secret.with_domain("else.example.com"), now),
               client_hello(engine.secret.rotated(), now)]
    for hello in hellos:
        with socket.create_connection((engine.ip, engine.port), timeout=60) as sock:
            sock.sendall(hello)
            assert sock.recv(1), "the cover host answers"
    told = Builtin().counters(engine.metrics())
    assert told.fronted == 1, "the wrong secret alone is a probe"
    assert (told.refused.wrong_clock, told.refused.no_sni, told.refused.other_sni) == (3, 1, 1)
    assert 590 < told.refused.clock_behind < 660 and told.down == told.up == 0


def test_they_are_no_probes_are_not_billed_and_are_explained(
    fleet: Fleet, tick: Callable[[str], None]
) -> None:
    tick(counted(clock=7, behind=600, missing=1))
    view = fleet.user("Alice")
    assert (view.wrong_clock, view.clock_behind_s, view.no_sni, view.other_sni) == (7, 600, 1, 0)
    assert view.probes == 0 and view.bytes_down == 100
    clock, name = view.hints
    assert clock.startswith("7 attempts with the right key") and "600 s behind this server's" in clock
    assert name.startswith("1 attempt with the right key") and "without the domain" in name
    status = fleet.status()
    assert {f"Alice: {clock}", f"Alice: {name}"} <= set(status.notes) and status.problems == []
    tick(counted(clock=8, behind=-400, missing=1, other=2))
    clock, name, other = fleet.user("Alice").hints
    assert "400 s ahead of this server's" in clock and "from before the domain was changed" in other


def test_a_restart_of_the_engine_and_of_the_panel_count_nothing_twice(
    fleet: Fleet, machine: Machine, tick: Callable[[str], None]
) -> None:
    tick(counted(clock=7, missing=2))
    tick(counted(clock=7, missing=2))
    again = Fleet(fleet.data_dir, MemoryRuntime(machine), Builtin())
    Monitor(again, 10).tick()
    assert (again.user("Alice").wrong_clock, again.user("Alice").no_sni) == (7, 2)
    again.restart("Alice")
    tick(counted(clock=1))
    tick(counted(clock=3))
    assert (again.user("Alice").wrong_clock, again.user("Alice").no_sni) == (10, 2)


def test_of_mtg_they_are_not_known_rather_than_zero(
        fleet: Fleet, machine: Machine, tick: Callable[[str], None]) -> None:
    tick(counted(clock=7))
    tick(metrics(down=200))
    view = fleet.user("Alice")
    assert view.wrong_clock is view.clock_behind_s is view.no_sni is view.other_sni is None and view.hints == []
    assert Mtg("/bin/true").counters(metrics()).refused is None
    assert Builtin().counters(counted()).refused == Refused()


def test_old_tries_are_counted_and_not_brought_up_again(
    fleet: Fleet, tick: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tick(counted(clock=7, behind=600))
    now = time.time()
    fleet.reconciler.clock = lambda: now + 2 * 86400
    assert fleet.user("Alice").hints == [] and fleet.user("Alice").wrong_clock == 7


def test_numbers_that_are_none_cost_no_tick_and_a_removed_user_leaves_none(
    fleet: Fleet, tick: Callable[[str], None]
) -> None:
    tick(counted(clock=10 ** 30, behind=-10 ** 30))
    assert fleet.user("Alice").bytes_down == 100 and fleet.user("Alice").wrong_clock == 2 ** 53
    fleet.remove("Alice", for_good=True)
    assert fleet.ledger.refusals.totals() == {}


def test_of_many_users_with_the_same_trouble_the_first_few_are_told(fleet: Fleet, machine: Machine) -> None:
    for number in range(20):
        fleet.add_user(f"User {number}")
        machine.metrics(f"mtg-proxy-{2443 + number}", counted(clock=1, behind=600))
    Monitor(fleet, 10).tick()
    notes = [note for note in fleet.status().notes if "hint." in "".join(note.codes)]
    assert len(notes) == 6 and notes[-1].startswith("15 more")
    assert all(len(view.hints) == 1 for view in fleet.users())
