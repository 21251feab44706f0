"""What the panel asks of the server's firewall: the file that host/firewall.sh reads follows the declaration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.config.model import Config
from app.engines.builtin import Builtin
from app.host import firewall
from app.host.firewall import Opening
from app.runtimes.base import Place, Workload
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime


class Publishing(MemoryRuntime):
    """As Docker, says where the machine has a workload's port."""

    def place(self, port: int, bind: str) -> Place:
        return replace(super().place(port, bind), publish=f"{bind}:{port}")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path, Publishing(Machine()), Builtin())


def told(fleet: Fleet) -> list[str]:
    return (fleet.data_dir / firewall.FILE).read_text().splitlines()[1:]


def test_the_ports_of_whoever_is_served_are_asked_for_and_of_nobody_else(fleet: Fleet) -> None:
    anna, bob = fleet.add_user("Anna"), fleet.add_user("Bob")
    assert told(fleet) == [f"port {anna.port}", f"port {bob.port}"]
    fleet.disable(bob.id)
    assert told(fleet) == [f"port {anna.port}"]
    fleet.stop_all()
    assert told(fleet) == []
    fleet.start_all()
    fleet.enable(bob.id)
    fleet.remove(anna.id)
    assert told(fleet) == [f"port {bob.port}"]


def test_what_listens_on_this_machine_only_is_opened_for_nobody(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    for address in ("127.0.0.1", "::1"):
        fleet.set_settings({"proxy_bind": address})
        assert told(fleet) == []
    fleet.set_settings({"proxy_bind": "192.0.2.7"})
    assert told(fleet) == ["port 2443"]


def test_a_limit_is_told_with_the_port_and_zero_is_none(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    fleet.set_settings({"new_per_minute": 30})
    assert told(fleet) == ["port 2443 limit 30"]
    fleet.set_settings({"new_per_minute": 0})
    assert told(fleet) == ["port 2443"]


def test_whom_limits_refuse_is_asked_for_while_there_are_bans_and_limits(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    fleet.set_settings({"bans": True})
    assert told(fleet) == ["port 2443"]
    fleet.set_settings({"new_per_minute": 30})
    assert told(fleet) == ["port 2443 limit 30", "offences"]
    fleet.set_settings({"bans": False})
    assert told(fleet) == ["port 2443 limit 30"]


def workload(engine: str, port: int, publish: str) -> Workload:
    return Workload(f"mtg-proxy-{port}", "", engine, "", (), {}, port, Place(f"0.0.0.0:{port}", "", publish))


def test_mtproxy_has_a_limit_of_its_own_and_its_ports_are_open_on_port_443_too() -> None:
    config = Config(new_per_minute=30, port_443_mode=True)
    behind_nginx, direct = workload("mtg", 2443, ""), workload("mtproxy", 8543, ":8543")
    assert firewall.wanted(config, [behind_nginx, direct]) == [Opening("8543", 10), Opening("web", 30)]


def test_the_panels_names_need_the_web_and_its_address_a_port_of_its_own() -> None:
    assert firewall.wanted(Config(panel_domain="panel.example.com", new_per_minute=5), []) == [Opening("web")]
    assert firewall.wanted(Config(panel_by_address=True), []) == [Opening("panel")]
    assert firewall.wanted(Config(), []) == []


def test_a_shared_port_is_asked_for_once_and_a_thousand_ports_are_a_line_each(tmp_path: Path) -> None:
    many = [workload("mtg", port, f":{port}") for port in (*range(2443, 3443), 2443)]
    firewall.tell(tmp_path, firewall.wanted(Config(), many))
    assert len((tmp_path / firewall.FILE).read_text().splitlines()) == 1001


def test_the_file_is_written_only_where_it_says_something_else(tmp_path: Path) -> None:
    firewall.tell(tmp_path, [Opening("2443")])
    before = (tmp_path / firewall.FILE).stat()
    firewall.tell(tmp_path, [Opening("2443")])
    assert (tmp_path / firewall.FILE).stat().st_ino == before.st_ino
    firewall.tell(tmp_path, [])
    assert (tmp_path / firewall.FILE).stat().st_ino != before.st_ino


def test_a_disk_that_takes_nothing_keeps_no_proxy_from_starting(fleet: Fleet) -> None:
    (fleet.data_dir / firewall.FILE).mkdir(parents=True)
    fleet.add_user("Anna")
    assert [each.state for each in fleet.runtime.observe()] == ["running"]
