"""Several engines in one installation: each user has their own, and the trouble of one is not everybody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.model import Config, User
from app.control.errors import Refused
from app.engines.base import EngineRefusal, by_name
from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg
from app.runtimes.base import RUNNING
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.support.many import NAME, Many
from tests.support.memory_runtime import Machine, MemoryRuntime


class Telemt(Many):
    """The made-up engine for everybody, under a name that may be chosen."""

    name = "telemt"


class Broken(Mtg):
    """One that can serve nobody here."""

    def workload(self, *_: object, **__: object):  # type: ignore[no-untyped-def]
        raise EngineRefusal("engine.no_mtg")


@pytest.fixture
def fleet(tmp_path: Path, machine: Machine) -> Fleet:
    return Fleet(tmp_path, MemoryRuntime(machine), by_name(Builtin(), Mtg("/usr/bin/mtg"), Telemt()))


def engines(fleet: Fleet) -> dict[str, str]:
    return {each.name: each.engine for each in fleet.runtime.observe() if each.state == RUNNING}


def test_each_user_has_the_engine_of_their_own_or_else_that_of_the_settings(fleet: Fleet) -> None:
    anna, boris = fleet.add_user("Anna"), fleet.add_user("Boris", engine="mtg")
    fleet.add_user("Vera", engine="telemt")
    assert engines(fleet) == {f"mtg-proxy-{anna.port}": "builtin", f"mtg-proxy-{boris.port}": "mtg", NAME: "telemt"}
    assert [user.state for user in fleet.users()] == ["running"] * 3
    assert [user.more["engine"] for user in fleet.users()] == ["", "mtg", "telemt"]


def test_counters_are_read_by_the_engine_that_serves_the_workload(fleet: Fleet, machine: Machine) -> None:
    anna, vera = fleet.add_user("Anna"), fleet.add_user("Vera", engine="telemt")
    (link,) = [link.id for link in fleet.declaration.links().values() if link.user.id == vera.id]
    machine.metrics(f"mtg-proxy-{anna.port}", metrics(7, 1))
    machine.metrics(NAME, f'many_bytes{{link="{link}",direction="down"}} 900\n'
                          f'many_bytes{{link="{link}",direction="up"}} 90\n'
                          f'many_connections{{link="{link}"}} 1\nmany_bits_per_second{{link="{link}"}} 0\n')
    fleet.sample()
    assert [(user.bytes_down, user.bytes_up) for user in fleet.users()] == [(7, 1), (900, 90)]


def test_an_engine_that_can_serve_nobody_is_the_trouble_of_its_own_users(tmp_path: Path, machine: Machine) -> None:
    fleet = Fleet(tmp_path, MemoryRuntime(machine), by_name(Builtin(), Broken()))
    fleet.add_user("Anna")
    fleet.add_user("Boris", engine="mtg")
    fleet.add_user("Vera", engine="telemt")
    anna, boris, vera = fleet.users()
    assert (anna.state, anna.reason) == ("running", "")
    assert boris.state == "failed" and "mtg is not installed here" in boris.reason
    assert vera.state == "failed" and "no engine telemt on this installation; there are builtin, mtg" in vera.reason


def test_a_speed_limit_is_put_on_by_whoever_does_it_for_that_engine(fleet: Fleet, machine: Machine) -> None:
    anna, vera = fleet.add_user("Anna", limit_gb=1), fleet.add_user("Vera", engine="telemt", limit_gb=1)
    (link,) = [link.id for link in fleet.declaration.links().values() if link.user.id == vera.id]
    machine.metrics(f"mtg-proxy-{anna.port}", metrics(2**31))
    machine.metrics(NAME, f'many_bytes{{link="{link}",direction="down"}} {2**31}\n'
                          f'many_bytes{{link="{link}",direction="up"}} 0\n'
                          f'many_connections{{link="{link}"}} 1\nmany_bits_per_second{{link="{link}"}} 1000000\n')
    fleet.sample()
    assert all(outcome.ok for outcome in fleet.reconcile())
    assert [user.throttled_bps for user in fleet.users()] == [1_000_000, 1_000_000]
    assert machine.calls.count(("throttle", f"mtg-proxy-{anna.port}")) == 1
    assert ("throttle", NAME) not in machine.calls and ("update", NAME) in machine.calls


def test_the_workload_of_an_engine_that_is_no_more_is_not_counted_by_another_ones_words(
        tmp_path: Path, machine: Machine) -> None:
    before = Fleet(tmp_path, MemoryRuntime(machine), by_name(Telemt()))
    before.add_user("Vera")
    machine.metrics(NAME, metrics(5, 5))
    after = Fleet(tmp_path, MemoryRuntime(machine), by_name(Builtin()))
    after.sample()
    assert after.user("Vera").bytes_down == 0


def test_an_engine_that_nobody_knows_is_refused_with_those_that_may_be_chosen(fleet: Fleet) -> None:
    with pytest.raises(Refused, match="mtg, telemt, builtin or mtproxy"):
        fleet.set_settings({"engine": "telmet"})
    anna = fleet.add_user("Anna")
    with pytest.raises(Refused, match="mtg, telemt, builtin, mtproxy, or empty"):
        fleet.update_user(anna.id, {"engine": "telmet"})


def test_who_has_chosen_nothing_keeps_what_the_installation_began_with() -> None:
    user = User(name="Anna", port=2443, secret="11" * 16)
    assert (user.engine, Config().engine) == ("", "")


def test_the_links_of_an_engine_for_everybody_carry_its_one_port(fleet: Fleet) -> None:
    vera = fleet.add_user("Vera", engine="telemt")
    assert (vera.link_port, vera.listened_port, vera.served_by) == (8443, 8443, "telemt")
    assert vera.port == 2443, "nobody else gets it meanwhile"


def test_nobody_gets_the_port_of_the_engine_for_everybody(fleet: Fleet) -> None:
    fleet.set_settings({"proxy_port": 8443})
    assert fleet.add_user("Anna").port == 8444
