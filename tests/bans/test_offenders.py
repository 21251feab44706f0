"""Who is written down for fail2ban: those that keep coming with wrong keys, and nobody who is known as good."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.bans.log import OffendersLog
from app.bans.offences import FLOOD, TOO_OFTEN, WRONG_KEY
from app.control import offenders
from app.control.offenders import Offenders
from app.engines.base import Visitors
from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg as MtgEngine
from app.ledger.good_places import KEPT
from app.ledger.ledger import Ledger
from app.runtimes.scrape import ScrapeFailure
from tests.bans.test_visits import Mtg
from tests.support.fleet import Fleet
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import Machine, MemoryRuntime

MALLORY, ANNA = "203.0.113.7", "198.51.100.1"


class World:
    """A fleet with Anna's proxy, bans switched on, and what its engine would answer. told: to the next look."""

    def __init__(self, fleet: Fleet, machine: Machine, monkeypatch) -> None:
        self.fleet, self.machine, self.told = fleet, machine, Visitors()
        self.asked = 0
        self.fleet.add_user("Anna")
        self.fleet.set_settings({"bans": True})
        monkeypatch.setattr(offenders, "scrape", self._answer)
        monkeypatch.setattr(Builtin, "visitors", lambda _, answer: self.told)
        self.watch = Offenders(self.fleet)
        self.watch.look()

    def _answer(self, address: str, path: str, timeout: float, headers: object) -> str:
        self.asked += 1
        if self.told is None:
            raise ScrapeFailure("scrape.cut_short", address=address)
        return ""

    def turn_away(self, address: str, count: int, reason: str = WRONG_KEY) -> None:
        """So many more."""
        before = dict(self.told.turned_away)
        before[address, reason] = before.get((address, reason), 0) + count
        self.told = Visitors(before, self.told.good)

    def look(self, seconds: float = 10) -> list[tuple[str, str]]:
        """(address, reason) of the lines that this look has added."""
        known = len(self.written())
        self.machine.pass_time(seconds)
        self.watch.look()
        return [(each.place, each.reason) for each in self.written()[known:]]

    def written(self) -> list:
        return list(OffendersLog(self.fleet.data_dir / "logs").read())


@pytest.fixture
def world(fleet, machine, monkeypatch) -> World:
    return World(fleet, machine, monkeypatch)


def test_each_offence_is_one_line_with_the_port_that_was_tried(world: World) -> None:
    world.turn_away(MALLORY, 6)
    assert world.look() == [(MALLORY, WRONG_KEY)] * 6
    assert {each.port for each in world.written()} == {world.fleet.user("Anna").port}
    assert world.look() == [], "each once"
    world.turn_away(MALLORY, 1)
    assert world.look() == [(MALLORY, WRONG_KEY)]


def test_a_counter_that_begins_anew_is_counted_from_zero(world: World) -> None:
    world.turn_away(MALLORY, 6)
    world.look()
    world.told = Visitors({(MALLORY, WRONG_KEY): 2})
    assert len(world.look()) == 2


def test_what_was_counted_before_the_panel_was_started_anew_is_not_written_twice(world: World) -> None:
    world.turn_away(MALLORY, 6)
    world.look()
    world.machine.pass_time(60)
    world.watch = Offenders(world.fleet)
    assert world.look() == []
    world.turn_away(MALLORY, 1)
    assert world.look() == [(MALLORY, WRONG_KEY)]


def test_a_good_session_of_the_last_day_speaks_for_its_address_across_restarts(world: World) -> None:
    world.told = Visitors({}, [ANNA])
    world.look()
    world.told = Visitors()
    world.watch = Offenders(world.fleet)
    world.look()
    world.turn_away(ANNA, 9)
    world.turn_away(MALLORY, 1)
    assert world.look() == [(MALLORY, WRONG_KEY)]
    world.machine.pass_time(KEPT)
    world.turn_away(ANNA, 1)
    assert world.look() == [(ANNA, WRONG_KEY)], "a day later it does not"


def test_one_good_client_speaks_for_all_behind_its_address_in_the_same_look(world: World) -> None:
    world.told = Visitors({(ANNA, WRONG_KEY): 9, (MALLORY, WRONG_KEY): 1}, [f"::ffff:{ANNA}"])
    assert world.look() == [(MALLORY, WRONG_KEY)]


def test_an_ipv6_customer_is_one_however_many_addresses_they_use(world: World) -> None:
    for number in range(1, 6):
        world.turn_away(f"2001:db8:1:2::{number}", 1)
    assert world.look() == [("2001:db8:1:2::", WRONG_KEY)] * 5
    world.told = Visitors(world.told.turned_away, ["2001:db8:1:2::77"])
    world.look()
    world.turn_away("2001:db8:1:2::6", 1)
    assert world.look() == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "172.28.0.5", "192.168.1.1", "100.64.3.4", "fe80::1",
                                     "::1", "fd00::1", "::ffff:10.0.0.1", "169.254.1.1", "0.0.0.0", "no address"])
def test_nobody_inside_is_written_down(world: World, address: str) -> None:
    world.turn_away(address, 9)
    assert world.look() == []


def test_the_server_itself_and_whoever_the_settings_name_are_spared(world: World) -> None:
    world.fleet.set_settings({"server_ip": "203.0.113.200", "ban_never": "198.51.100.0/24 2001:db8:5::/48"})
    for address in ("203.0.113.200", ANNA, "2001:db8:5:1::1", MALLORY):
        world.turn_away(address, 6)
    assert set(world.look()) == {(MALLORY, WRONG_KEY)}


def test_where_somebody_is_logged_in_to_the_panel_nobody_is_written_down(world: World) -> None:
    world.fleet.ledger.sessions.begin("admin", "stamp", MALLORY)
    world.turn_away(MALLORY, 9)
    assert world.look() == []


def refuse(world: World, at: float, *lines: str) -> None:
    """As host/fail2ban/mtproto-bans writes it at the end of a minute."""
    (world.fleet.data_dir / "bans/refused").write_text("\n".join([f"mtproto-refused 1 {int(at)}", *lines]) + "\n")


def test_whom_the_firewall_refused_is_one_offence_a_minute_and_the_same_people_are_spared(world: World) -> None:
    world.fleet.set_settings({"ban_never": "203.0.113.8"})
    world.fleet.ledger.sessions.begin("admin", "stamp", "203.0.113.9")
    world.told = Visitors({}, [ANNA])
    world.look()
    refuse(world, world.machine.now() + 60, f"{MALLORY} 8543", f"{MALLORY} 8544", "2001:db8:1:2::5 8543",
           "2001:db8:1:2::6 8543", f"{ANNA} 8543", "203.0.113.8 8543", "203.0.113.9 8543", "172.28.0.9 8543",
           "rubbish", "1.2.3 8543", "8543")
    assert world.look(60) == [(MALLORY, TOO_OFTEN), ("2001:db8:1:2::", TOO_OFTEN)]
    assert world.look() == [], "each minute once"
    refuse(world, world.machine.now() + 60, f"{MALLORY} 8543")
    assert world.look(60) == [(MALLORY, TOO_OFTEN)]
    # A panel that was started anew does not know whether that is written down already.
    world.watch = Offenders(world.fleet)
    assert world.look() == []
    for text in ("", "mtproto-refused 2 1\n", "mtproto-refused 1 x\n203.0.113.7 1\n", "\0" * 99):
        (world.fleet.data_dir / "bans/refused").write_text(text)
        assert world.look() == []


def test_a_million_strangers_are_bounded_work_and_a_bounded_file(world: World, monkeypatch) -> None:
    monkeypatch.setattr(offenders, "MOST_OF_ALL", 50)
    counts = {(f"203.{n >> 8 & 255}.{n & 255}.9", WRONG_KEY): 1000 for n in range(300)}
    world.told = Visitors(counts)
    lines = world.look()
    assert len(lines) == 50
    assert max(lines.count(line) for line in lines) <= offenders.MOST_OF_ONE


def test_switched_off_nothing_is_asked_and_nothing_written(world: World) -> None:
    world.fleet.set_settings({"bans": False})
    asked = world.asked
    world.turn_away(MALLORY, 6)
    assert (world.look(), world.asked) == ([], asked)
    world.fleet.set_settings({"bans": True})
    world.look()
    assert world.written() == [], "what was counted while they were off is no offence of now"


def test_an_engine_that_does_not_answer_is_asked_again(world: World) -> None:
    world.turn_away(MALLORY, 6)
    told, world.told = world.told, None
    assert world.look() == []
    world.told = told
    assert len(world.look()) == 6


def test_a_folder_that_takes_no_writes_is_no_trouble_of_the_proxies(world: World, caplog) -> None:
    logs = world.fleet.data_dir / "logs"
    for path in logs.iterdir():
        path.unlink()
    logs.rmdir()
    logs.write_text("a file where the folder should be")
    world.turn_away(MALLORY, 6)
    world.machine.pass_time(10)
    world.watch.look()
    world.watch.look()
    assert len([record for record in caplog.records if "offenders.log" in record.getMessage()]) == 1


def test_the_ledger_does_not_say_where_good_clients_are(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.good_places.note([ANNA], "secret", 1000.0)
    assert ledger.good_places.among([ANNA, MALLORY], "secret", 1001.0) == {ANNA}
    assert ledger.good_places.among([ANNA], "another", 1001.0) == set()
    rows = ledger.database.query("SELECT * FROM good_places")
    assert ANNA not in str([tuple(row) for row in rows])


def test_no_more_good_addresses_are_kept_than_there_is_room_for(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("app.ledger.good_places.MOST", 5)
    ledger = Ledger(tmp_path)
    for number in range(10):
        ledger.good_places.note([f"203.0.113.{number}"], "secret", 1000.0 + number)
    assert ledger.good_places.among([f"203.0.113.{n}" for n in range(10)], "secret", 1020.0) == {
        f"203.0.113.{n}" for n in range(5, 10)}


class Logs:
    """A fleet of mtg: what it says is in its log."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.machine, self.edge, self.mtg = machine, MemoryEdge(), Mtg()
        self.mtg.at = machine.now()
        self.fleet = Fleet(folder, MemoryRuntime(machine), MtgEngine("/usr/bin/mtg"), edge=self.edge)
        self.fleet.reconciler.clock = machine.now
        self.fleet.add_user("Anna")
        self.fleet.set_settings({"bans": True, "server_ip": "203.0.113.200"})
        self.name = f"mtg-proxy-{self.fleet.user('Anna').port}"
        self.watch = Offenders(self.fleet)
        self.look()

    def look(self, fronted: int = 0, moved: int = 0) -> list[tuple[str, int, str]]:
        known = len(self.written())
        self.machine.pass_time(10)
        self.machine.boxes[self.name].log[:] = self.mtg.lines
        labels = 'telegram_ip="192.0.2.1",dc="2",direction="to_client"'
        self.machine.texts[self.name] = (f"mtg_domain_fronting {fronted}\n"
                                         f"mtg_telegram_traffic{{{labels}}} {moved}\n")
        self.fleet.sample()
        self.watch.look()
        return [(each.place, each.port, each.reason) for each in self.written()[known:]]

    def written(self) -> list:
        return list(OffendersLog(self.fleet.data_dir / "logs").read())


@pytest.fixture
def logs(tmp_path, machine) -> Logs:
    return Logs(tmp_path, machine)


def test_mtg_is_made_to_name_addresses_only_while_bans_are_on(logs: Logs) -> None:
    def config() -> str:
        return logs.machine.boxes[logs.name].workload.files["config.toml"]

    assert "debug = true" in config()
    logs.fleet.set_settings({"bans": False})
    assert "debug" not in config()


def test_a_log_of_mtg_is_read_when_its_counters_say_so_and_each_line_once(logs: Logs) -> None:
    logs.mtg.at = logs.machine.now()
    for _ in range(6):
        logs.mtg.turn_away(MALLORY)
    assert logs.look(fronted=0) == [], "nothing has changed, and nothing is read"
    port = logs.fleet.user("Anna").port
    assert logs.look(fronted=6) == [(MALLORY, port, WRONG_KEY)] * 6
    logs.mtg.turn_away(MALLORY)
    assert logs.look(fronted=7) == [(MALLORY, port, WRONG_KEY)]


def test_a_session_in_a_log_speaks_for_its_address_too(logs: Logs) -> None:
    logs.mtg.at = logs.machine.now()
    logs.mtg.end(logs.mtg.start(ANNA), "relay")
    for address in (ANNA, ANNA, MALLORY):
        logs.mtg.at += 1
        logs.mtg.turn_away(address)
    assert [place for place, _, _ in logs.look(fronted=3, moved=9)] == [MALLORY]


def test_on_port_443_that_is_the_port_and_whoever_floods_nginx_is_written_down(logs: Logs) -> None:
    logs.fleet.set_settings({"port_443_mode": True})
    assert logs.edge.site.names_refused
    logs.edge.flooding = {MALLORY: 3, "172.28.0.9": 5, "rubbish": 1}
    assert logs.look() == [(MALLORY, 443, FLOOD)] * 3
    logs.edge.gone = True
    assert logs.look() == []
