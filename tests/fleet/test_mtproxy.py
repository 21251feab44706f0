"""Users of MTProxy: who is restarted by what, what is read of them, and how Telegram's files are kept new."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.accounts.actor import CLI
from app.actions import mtproxy
from app.control import mtproxy_views, passes, preview, telegram_files
from app.control.errors import Refused
from app.control.monitor import Monitor
from app.control.moving import Moving
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.engines.mtproxy.engine import MtproxyImage
from app.engines.mtproxy.telegram_files import Store
from app.engines.telemt.engine import Telemt
from app.lib.filelock import FileLock
from app.mtproto.links import parse_link
from app.runtimes.base import Place, RuntimeFailure
from tests.engines.test_mtproxy import CONF, SECRET, STATS
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime
from tests.support.sinks import Socks

FIRST, SECOND = "mtg-proxy-mtproxy", "mtg-proxy-mtproxy-2"


class Publishing(MemoryRuntime):
    """As Docker, says where the machine has a workload's port."""

    def place(self, port: int, bind: str) -> Place:
        return replace(super().place(port, bind), publish=f":{port}")


class Telegram:
    """Stands in for core.telegram.org. answers: what it says, by path; asked: what it was asked for."""

    def __init__(self) -> None:
        self.answers = {"/getProxySecret": SECRET, "/getProxyConfig": CONF}
        self.status = 200
        self.asked: list[str] = []
        telegram = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                telegram.asked.append(self.path)
                body = telegram.answers[self.path]
                self.send_response(telegram.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    there = Telegram()
    yield there
    there.close()


@pytest.fixture
def fleet(tmp_path: Path, machine: Machine, telegram: Telegram) -> Fleet:
    fleet = Fleet(tmp_path, Publishing(machine), by_name(Builtin(), MtproxyImage(Store(tmp_path / "mtproxy"))))
    fleet.set_settings({"engine": "mtproxy", "server_ip": "203.0.113.7", "mtproxy_files_url": telegram.url})
    return fleet


@pytest.fixture
def served(fleet: Fleet) -> Fleet:
    """The same, with Telegram's files."""
    kept = telegram_files.store(fleet)
    assert kept
    kept.keep(SECRET, CONF)
    return fleet


def replaced(machine: Machine) -> list[str]:
    return [name for verb, name in machine.calls if verb == "create"]


def test_a_new_user_gets_a_padded_secret_unless_a_domain_is_asked_for(served: Fleet) -> None:
    assert parse_link(served.add_user("Alice").tg_link).secret.kind == "padded"
    bob = served.add_user("Bob", domain="www.example.com")
    assert parse_link(bob.tg_link).secret.domain == "www.example.com"
    assert served.add_user("Carol", engine="builtin").secret.startswith("ee")
    assert (served.user("Alice").link_port, bob.link_port) == (8543, 8544)


def test_seventeen_users_are_served_by_two_containers(served: Fleet, machine: Machine) -> None:
    for number in range(17):
        served.add_user(f"user {number}")
    assert sorted(machine.boxes) == [FIRST, SECOND]
    assert [user.state for user in served.users()] == ["running"] * 17
    assert {user.link_port for user in served.users()} == {8543, 8544}
    machine.calls.clear()
    served.remove("user 16")
    assert sorted(machine.boxes) == [FIRST] and not replaced(machine)


def test_on_port_443_they_are_reached_past_nginx_on_the_same_port_without_a_domain(served: Fleet,
                                                                                  machine: Machine) -> None:
    served.add_user("Alice")
    before = machine.boxes[FIRST].workload
    with served.file.edit() as config:
        config.port_443_mode = True
    passes.reconcile(served)
    assert machine.boxes[FIRST].workload.spec == before.spec and before.place.publish
    alice = served.user("Alice")
    assert (alice.state, alice.link_port) == ("running", 8543)


def test_whoever_is_disabled_loses_access_by_a_restart_of_their_container_alone(served: Fleet,
                                                                                machine: Machine) -> None:
    for number in range(17):
        served.add_user(f"user {number}")
    machine.calls.clear()
    served.disable("user 3")
    assert replaced(machine) == [FIRST]
    assert len(machine.boxes[FIRST].workload.links) == 15
    served.enable("user 3")
    assert served.user("user 3").link_port == 8543


def test_a_restart_is_announced_with_the_number_of_users_before_it_is_done(served: Fleet) -> None:
    for name in ("Alice", "Bob", "Carol"):
        served.add_user(name)
    assert preview.of_user(served, served.user("Bob").id).users == 2
    assert preview.of_new_user(served, {"engine": ""}).users == 3, "the new one is nobody yet"
    assert preview.of_new_user(served, {"engine": "builtin"}).users == 0
    assert preview.of_new_user(served, {"engine": "mtproxy", "domain": "www.example.com"}).users == 0
    assert preview.of_settings(served, {"mtproxy_workers": "3"}).users == 3


def test_twenty_users_added_one_after_the_other_are_one_restart(served: Fleet, machine: Machine) -> None:
    served.add_user("first")
    machine.calls.clear()
    with FileLock(served.data_dir / "monitor.lock") as monitor:  # what is left for later is done by somebody
        assert monitor.try_take()
        for number in range(15):
            served.add_user(f"user {number}")
        assert not replaced(machine) and not served.reconciler.collecting.is_due()
        deadline = time.monotonic() + 30
        while not served.reconciler.collecting.is_due():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        passes.reconcile(served, respect_backoff=True)
        assert replaced(machine) == [FIRST] and len(machine.boxes[FIRST].workload.links) == 16
        assert not served.reconciler.collecting.is_due()


def test_what_a_command_has_left_for_later_is_done_by_the_monitor_of_the_panel(served: Fleet, machine: Machine,
                                                                              tmp_path: Path) -> None:
    served.add_user("first")
    monitor = Monitor(served, tick=600).start()
    try:
        _until(lambda: served.reconciler.collecting._passed is not None)
        command = Fleet(tmp_path, Publishing(machine), served.engines)
        machine.calls.clear()
        for name in ("Alice", "Bob"):
            command.add_user(name)
        _until(lambda: len(machine.boxes[FIRST].workload.links) == 3)
        assert replaced(machine) == [FIRST]
    finally:
        monitor.stop()


def test_without_a_monitor_nothing_is_left_for_later(served: Fleet, machine: Machine) -> None:
    served.add_user("Alice")
    served.add_user("Bob")
    assert len(machine.boxes[FIRST].workload.links) == 2


def test_the_only_user_of_a_container_has_an_estimate_and_of_two_nothing_is_made_up(served: Fleet,
                                                                                    machine: Machine) -> None:
    served.add_user("Alice")
    machine.metrics(FIRST, STATS)
    served.sample()
    alice = served.user("Alice")
    assert (alice.bytes_down, alice.bytes_up, alice.connections, alice.estimated) == (450, 450, 3, True)
    served.add_user("Bob")
    machine.metrics(FIRST, STATS.replace("1000", "999999"))
    served.sample()
    alice, bob = served.user("Alice"), served.user("Bob")
    assert (alice.bytes_down, bob.bytes_down, bob.estimated) == (450, 0, False)
    assert [hint.code for hint in bob.hints] == ["mtproxy.own_share"]


def test_a_user_without_telegrams_files_is_told_so_and_served_once_they_are_there(fleet: Fleet,
                                                                                 telegram: Telegram) -> None:
    alice = fleet.add_user("Alice")
    assert alice.state == "failed" and "MTProxy needs two files from Telegram" in alice.reason
    telegram_files.Renewal(fleet).step()
    assert telegram.asked == ["/getProxySecret", "/getProxyConfig"]
    assert fleet.user("Alice").state == "running"


def test_telegram_is_not_asked_while_nobody_uses_mtproxy(fleet: Fleet, telegram: Telegram) -> None:
    fleet.set_settings({"engine": "builtin"})
    fleet.add_user("Alice")
    telegram_files.Renewal(fleet).step()
    assert telegram.asked == [] and telegram_files.problem(fleet, fleet.config()) is None


def test_the_files_are_got_once_a_day_and_the_same_ones_restart_nobody(served: Fleet, machine: Machine,
                                                                      telegram: Telegram) -> None:
    served.add_user("Alice")
    renewal, now = telegram_files.Renewal(served), time.time()
    renewal.step()
    assert telegram.asked == []
    served.reconciler.clock = lambda: now + 25 * 3600
    machine.calls.clear()
    renewal.step()
    assert len(telegram.asked) == 2 and not replaced(machine)
    telegram.answers["/getProxyConfig"] = CONF + b"proxy_for 2 149.154.175.99:8888;\n"
    served.reconciler.clock = lambda: now + 50 * 3600
    renewal.step()
    assert replaced(machine) == [FIRST]
    assert [event.action for event in served.events(limit=3)].count("mtproxy.files") == 1


@pytest.mark.parametrize("bad", [b"<html>blocked by your provider</html>", b"", CONF[:-20], b"x" * 100_000])
def test_the_last_good_files_serve_while_the_site_answers_something_else(served: Fleet, telegram: Telegram,
                                                                        bad: bytes) -> None:
    served.add_user("Alice")
    renewal, now = telegram_files.Renewal(served), time.time()
    telegram.answers["/getProxyConfig"] = bad
    served.reconciler.clock = lambda: now + 25 * 3600
    renewal.step()
    assert served.user("Alice").state == "running"
    assert not [each for each in served.status().problems if each.code.startswith("mtproxy")], "not worth a word yet"
    served.reconciler.clock = lambda: now + 73 * 3600
    assert any("those of 3 days ago stay in use" in each for each in served.status().problems)
    asked = len(telegram.asked)
    renewal.step()
    renewal.step()
    assert len(telegram.asked) == asked + 2, "after a failure there is a pause"


def test_an_error_of_the_site_is_told_where_there_are_no_files_yet(fleet: Fleet, telegram: Telegram) -> None:
    fleet.add_user("Alice")
    telegram.status = 502
    telegram_files.Renewal(fleet).step()
    assert any("answers with the status 502" in each for each in fleet.status().problems)
    fleet.set_settings({"mtproxy_files_url": "http://127.0.0.1:1"})
    telegram_files.Renewal(fleet).step()
    assert any("can't be downloaded: " in each for each in fleet.status().problems)


def test_the_files_come_through_the_socks5_server_which_looks_up_the_name(fleet: Fleet, telegram: Telegram) -> None:
    socks = Socks({"core.telegram.org": telegram.server.server_port}, ("user", "pass"))
    try:
        fleet.set_settings({"mtproxy_files_url": "http://core.telegram.org", "upstream_socks5": socks.address})
        fleet.add_user("Alice")
        telegram_files.Renewal(fleet).step()
        assert socks.asked == ["core.telegram.org"] * 2
        assert fleet.user("Alice").state == "running" and mtproxy_views.files_age(fleet) is not None
    finally:
        socks.stop()


def test_a_socks5_server_that_is_away_is_told_and_the_last_good_files_serve(served: Fleet, telegram: Telegram) -> None:
    served.set_settings({"mtproxy_files_url": "http://core.telegram.org",
                         "upstream_socks5": "user:hunter2@127.0.0.1:1"})
    served.add_user("Alice")
    served.reconciler.clock = lambda: time.time() + 80 * 3600
    telegram_files.Renewal(served).step()
    assert served.user("Alice").state == "running" and telegram.asked == []
    (told,) = [each for each in served.status().problems if "stay in use" in each]
    assert "hunter2" not in told
    assert mtproxy_views.files_age(served) > 79 * 3600


def test_files_given_by_hand_serve_at_once_and_bad_ones_are_refused_and_change_nothing(fleet: Fleet,
                                                                                      telegram: Telegram) -> None:
    fleet.add_user("Alice")
    with pytest.raises(Refused, match="cut short"):
        mtproxy.give_files(fleet, CLI, SECRET, CONF[:200])
    assert fleet.user("Alice").state == "failed"
    mtproxy.give_files(fleet, CLI, SECRET, CONF)
    assert fleet.user("Alice").state == "running" and telegram.asked == []


def test_a_port_of_a_user_or_of_another_program_is_refused_and_a_new_user_is_given_none_of_its_ports(
        served: Fleet, machine: Machine) -> None:
    served.add_user("Alice")
    dora = served.add_user("Dora", engine="builtin")
    machine.taken[9443] = "nginx"
    for port, why in ((dora.port, "Dora"), (9443, "nginx")):
        with pytest.raises(Refused, match=why):
            served.set_settings({"mtproxy_first_port": str(port)})
    assert served.user("Alice").link_port == 8543
    served.set_settings({"mtproxy_first_port": "8544", "proxy_port": "8544"})
    assert served.user("Alice").link_port == 8544
    assert served.add_user("Emil", engine="builtin").port == 8546, "8545 is that of the next container"


def test_telemt_is_not_given_the_port_of_a_container_nor_the_other_way_round(served: Fleet, machine: Machine) -> None:
    served = Fleet(served.data_dir, Publishing(machine), by_name(*served.engines.values(), Telemt("/bin/true")))
    served.set_settings({"mtproxy_first_port": "8443"})
    assert served.add_user("Alice").link_port == 8443, "it is telemt's only while telemt serves somebody"
    with pytest.raises(Refused, match="would both have port 8443"):
        served.add_user("Tom", engine="telemt")
    served.set_settings({"shared_port": "9443"})
    served.add_user("Tom", engine="telemt")
    with pytest.raises(Refused, match="port 9443"):
        served.set_settings({"mtproxy_first_port": "9443"})
    assert served.user("Alice").link_port == 8443


def test_users_of_another_engine_are_moved_with_their_key_once_a_trial_has_worked(served: Fleet,
                                                                                 machine: Machine) -> None:
    for name in ("Alice", "Bob"):
        served.add_user(name, engine="builtin")
    keys = {name: served.user(name).secret for name in ("Alice", "Bob")}
    tried: list[str] = []
    moving = Moving(served, lambda link, config: tried.append(link.secret.hex))
    served.update_user("Alice", {"engine": "mtproxy"})
    moving.step()
    assert served.user("Alice").served_by == "builtin", "the port in the link would change"
    served.set_settings({"move_changes_links": "true"})
    served.update_user("Bob", {"engine": "mtproxy"})
    moving.step()
    assert sorted(tried) == sorted(keys.values())
    assert {user.name: (user.served_by, user.secret, user.state) for user in served.users()} == {
        name: ("mtproxy", key, "running") for name, key in keys.items()}
    assert sorted(machine.boxes) == [FIRST] and "-D" in machine.boxes[FIRST].workload.files["arguments"]
    served.update_user("Bob", {"engine": "builtin"})
    moving.step()
    assert (served.user("Bob").served_by, served.user("Alice").state) == ("builtin", "running")
    assert len(machine.boxes[FIRST].workload.links) == 1


# Files for other programs

def exported(fleet: Fleet) -> list[tuple[str, bool]]:
    document = json.loads((fleet.data_dir / "mtproxy/mtproxy_secrets.json").read_text())
    return [(entry["name"], entry["active"]) for entry in document["secrets"]]


def test_the_file_of_secrets_follows_every_change_whoever_made_it(served: Fleet) -> None:
    assert not (served.data_dir / "mtproxy/mtproxy_secrets.json").exists(), "MTProxy has no users yet"
    served.add_user("Alice")
    served.add_user("Bob")
    served.add_user("Dora", engine="builtin")
    path = served.data_dir / "mtproxy/mtproxy_secrets.json"
    assert exported(served) == [("Alice", True), ("Bob", True)] and path.stat().st_mode & 0o777 == 0o600
    served.disable("Bob")
    assert exported(served) == [("Alice", True), ("Bob", False)]
    served.update_user("Bob", {"name": "Robert"})
    assert exported(served)[1] == ("Robert", False)
    served.rotate("Alice")
    assert served.user("Alice").secret in path.read_text()
    served.remove("Robert")
    assert exported(served) == [("Alice", True)]
    with served.file.edit() as config:  # as by a hand
        config.users[0].name = "Alicia"
    passes.reconcile(served, respect_backoff=True)
    assert exported(served) == [("Alicia", True)]
    before = path.stat()
    served.set_settings({"server_ip": "203.0.113.9"})
    assert path.stat().st_mtime_ns == before.st_mtime_ns, "it says nothing new"


def test_the_file_of_secrets_follows_while_docker_does_not_answer(served: Fleet,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    served.add_user("Alice")

    def silent(*_: object) -> None:
        raise RuntimeFailure("docker.unreachable", reason="refused")

    monkeypatch.setattr(served.runtime, "observe", silent)
    served.disable("Alice")
    assert exported(served) == [("Alice", False)]


def test_links_and_qr_codes_follow_in_the_background(served: Fleet) -> None:
    alice = served.add_user("Alice")
    served.mtproxy_export.follow_links()
    folder = served.data_dir / "mtproxy/links"
    assert (folder / alice.id / "mtproxy_link.txt").read_text() == alice.tg_link + "\n"
    served.set_settings({"server_ip": "203.0.113.9"})
    served.mtproxy_export.follow_links()
    assert (folder / alice.id / "mtproxy_link.txt").read_text() == served.user("Alice").tg_link + "\n"
    served.remove("Alice")
    served.mtproxy_export.follow_links()
    assert list(folder.iterdir()) == []


def test_an_older_declaration_is_never_written_last(served: Fleet, tmp_path: Path, machine: Machine) -> None:
    served.add_user("Alice")
    late = Fleet(tmp_path, Publishing(machine), served.engines)
    reads = iter([late.declaration.last_good()])
    late.mtproxy_export._read = lambda: next(reads, None) or late.declaration.last_good()
    served.disable("Alice")
    late.mtproxy_export.follow_secrets()
    assert exported(served) == [("Alice", False)]


def test_a_file_of_secrets_that_can_not_be_written_is_told_and_stops_nobody(served: Fleet) -> None:
    served.add_user("Alice")
    path = served.data_dir / "mtproxy/mtproxy_secrets.json"
    path.unlink()
    path.mkdir()
    served.add_user("Bob")
    assert served.user("Bob").state == "running"
    assert any("mtproxy can't be written" in each for each in served.status().problems)
    path.rmdir()
    passes.reconcile(served)
    assert exported(served) == [("Alice", True), ("Bob", True)]
    assert not [each for each in served.status().problems if "can't be written" in each]


def _until(so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
