"""telemt serves many users in one process: the stand-in always, and the real one where TELEMT_BIN names it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.accounts.actor import CLI
from app.actions import debug_logs
from app.control import views
from app.control.moving import Moving
from app.control.probing import try_link
from app.control.views import UserView
from app.engines.base import Counters
from app.engines.builtin import Builtin
from app.engines.telemt import api, live
from app.engines.telemt.engine import NAME
from app.lib import portmap
from app.messages import Problem
from app.mtproto.faketls_client import AnswerError
from app.mtproto.links import parse_link, tg_link
from app.mtproto.secret import FAKETLS, Secret
from app.rules.links import all_links
from app.runtimes import ports
from app.runtimes.base import RUNNING, Workload
from tests.support.cover import Cover
from tests.support.dc import DataCenter
from tests.support.docker_lab import eventually
from tests.support.stream import BackgroundStream, Stream, StreamBroken, trouble
from tests.support.telemt_lab import PROGRAMS, Stage, program

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=PROGRAMS)
def stage(request: pytest.FixtureRequest, tmp_path: Path, dc: DataCenter, cover: Cover) -> Iterator[Stage]:
    stage = Stage.local(tmp_path, program(request.param, tmp_path), dc, cover)
    yield stage
    stage.close()


def test_whoever_is_disabled_rotated_or_removed_is_cut_off_at_once_and_nobody_else_notices(stage: Stage) -> None:
    fleet = stage.fleet
    alice, bob, carol, dora = (fleet.add_user(name) for name in ("Alice", "Bob", "Carol", "Dora"))
    run = stage.run
    hers, his, carols, doras = (stage.connect(user) for user in (alice, bob, carol, dora))
    old = stage.link(bob)

    fleet.disable("Carol")
    assert stage.is_cut_off(carols)
    rotated = fleet.rotate("Bob")
    assert stage.is_cut_off(his)
    fleet.remove("Dora")
    assert stage.is_cut_off(doras)

    assert trouble(old) and trouble(stage.link(carol)) and trouble(stage.link(dora))
    assert not trouble(stage.link(rotated))
    assert not trouble(stage.link(fleet.enable("Carol")))
    assert stage.lives(hers)
    assert stage.run == run
    assert [outcome for outcome in fleet.reconcile() if outcome.action != "serve"] == [], "nothing is left to do"


def test_what_was_turned_away_is_shown_with_its_cause(stage: Stage) -> None:
    fleet = stage.fleet
    alice = fleet.add_user("Alice")
    assert fleet.status(max_age=0).bad == []
    right = parse_link(alice.tg_link).secret
    wrong = Secret(FAKETLS, bytes(16), right.domain)
    for _ in range(3):
        assert trouble(tg_link("127.0.0.1", stage.port, wrong))

    def counted() -> bool:
        return sum(bad.day for bad in fleet.status(max_age=0).bad) >= 3

    eventually(counted, "three are counted")
    bad, = views.status(fleet).bad
    assert (bad.engine, bad.reason, bad.what.code) == ("telemt", "tls_handshake_bad_client", "bad.no_key")
    assert bad.day == bad.month and bad.todo.code == "bad.no_key.do"


def test_each_is_billed_what_they_moved_through_a_kill_a_reset_and_a_rotation(stage: Stage) -> None:
    fleet, do = stage.fleet, stage.clients.do
    alice, bob = fleet.add_user("Alice"), fleet.add_user("Bob")
    for size, user in ((300_000, alice), (100_000, bob)):
        do(stage.connect(user).download(size))
    sessions = stage.dc.sessions

    def moved(first: int) -> tuple[int, int]:
        # Those without a header are telemt's own, which tries which way is open.
        used = [session for session in sessions[first:] if session.bytes_in]
        return sum(s.bytes_out for s in used), sum(s.bytes_in - 64 for s in used)

    def billed() -> tuple[int, int]:
        fleet.sample()
        return (sum(user.bytes_down for user in fleet.users()), sum(user.bytes_up for user in fleet.users()))

    eventually(lambda: billed() == moved(0), f"billed {billed()}, moved {moved(0)}")
    fleet.sample()
    assert fleet.user("Alice").bytes_down > fleet.user("Bob").bytes_down > 100_000

    pid = int(stage.run.split("-")[0])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: stage.runtime.observe()[0].state != RUNNING, "it is gone")
    fleet.reconcile()
    do(stage.connect(alice).download(50_000))
    fleet.update_user("Alice", {"name": "Alicia"})
    rotated = fleet.rotate("Alicia")
    do(stage.connect(rotated).upload(70_000))
    eventually(lambda: billed() == moved(0), f"billed {billed()}, moved {moved(0)}")
    fleet.reset_traffic("Alicia")
    assert fleet.ledger.traffic.totals()[alice.id].period == 0
    before = len(sessions)
    do(stage.connect(rotated).download(10_000))
    eventually(lambda: fleet.sample() or fleet.ledger.traffic.totals()[alice.id].period == sum(moved(before)),
               "what came since the reset counts")


def test_a_try_of_the_panel_is_neither_billed_nor_a_use_of_the_link(stage: Stage) -> None:
    fleet = stage.fleet
    fleet.add_user("Alice")
    for _ in range(2):
        try_link(fleet, fleet.user("Alice"), "127.0.0.1")
        fleet.sample()
    alice = fleet.user("Alice")
    assert (alice.bytes_down, alice.bytes_up, alice.last_seen) == (0, 0, None)


def test_a_speed_limit_holds_for_sessions_that_ran_before_it_is_read_back_and_lifted(stage: Stage) -> None:
    fleet, do = stage.fleet, stage.clients.do
    alice, bob = fleet.add_user("Alice", limit_gb="0.0000001", speed_mbps="4"), fleet.add_user("Bob")
    run, hers, his = stage.run, stage.connect(alice), stage.connect(bob)
    do(hers.download(1_000_000))
    fleet.sample()
    fleet.reconcile()
    assert (fleet.user("Alice").throttled_bps, fleet.user("Bob").throttled_bps) == (4_000_000, None)
    assert stage.is_cut_off(hers), "it would have kept its speed"
    hers = stage.connect(alice)
    began = time.monotonic()
    do(hers.download(1_500_000))
    assert 8 * 1_500_000 / (time.monotonic() - began) < 6_000_000
    assert stage.lives(his)
    fleet.reset_traffic("Alice")
    assert fleet.user("Alice").throttled_bps is None
    assert stage.is_cut_off(hers)
    assert stage.run == run


def test_a_file_that_was_changed_by_hand_is_put_right(stage: Stage) -> None:
    fleet = stage.fleet
    alice, bob = fleet.add_user("Alice"), fleet.add_user("Bob")
    run, hers = stage.run, stage.connect(alice)
    file = _file(stage)
    right = file.read_text()

    file.write_text("\n".join(line for line in right.splitlines()
                              if not line.startswith(next(iter(live.parse(right).users)))) + "\n")
    eventually(lambda: trouble(stage.link(alice)) or trouble(stage.link(bob)), "the edit is taken over")
    fleet.reconcile()
    assert file.read_text() == right
    assert not trouble(stage.link(alice)) and not trouble(stage.link(bob)), "at once"
    file.write_text("this is [no TOML")
    time.sleep(0.3)
    assert stage.lives(hers)
    his = stage.connect(bob)
    fleet.remove("Bob")
    assert stage.is_cut_off(his)
    assert stage.lives(hers)
    carol = fleet.add_user("Carol")
    assert not trouble(stage.link(carol))
    assert stage.run == run


def test_no_link_is_in_its_log_whatever_its_level_is(stage: Stage) -> None:
    fleet = stage.fleet
    fleet.add_user("Alice")
    file, log = _file(stage), stage.runtime._folder(NAME).path / "proxy.log"
    file.write_text(file.read_text().replace('log_level = "normal"', 'log_level = "debug"'))
    eventually(lambda: "reload: log_level:" in log.read_text(), "the edit is taken over")
    fleet.add_user("Bob")
    fleet.reconcile()
    eventually(lambda: "telemt::links" in log.read_text(), "RUST_LOG holds no more: it tells links")
    fleet.rotate("Bob")
    fleet.disable("Alice")
    fleet.enable("Alice")
    text = log.read_text()
    keys = [parse_link(user.tg_link).secret.key.hex() for user in fleet.users()]
    assert not any(key in text for key in keys)
    assert "secret=ee" in text and "secret=ee" not in stage.runtime.logs(NAME), "even those of nobody are not shown"


def test_a_debug_log_tells_why_nobody_is_disconnected_and_no_secret_is_in_it(stage: Stage) -> None:
    fleet = stage.fleet
    alice = fleet.add_user("Alice")
    run, hers, log = stage.run, stage.connect(alice), stage.runtime._folder(NAME).path / "proxy.log"
    wrong = tg_link("127.0.0.1", stage.port, Secret.generate(fleet.config().fake_tls_domain))
    debug_logs.begin(fleet, CLI, "telemt")
    bob = fleet.add_user("Bob")
    assert trouble(wrong) and not trouble(stage.link(bob))
    eventually(lambda: "TLS handshake validation failed" in log.read_text(), "the cause is logged")
    explained = [stage.engine.explain(line) for line in stage.runtime.logs(NAME).splitlines()]
    assert Problem("bad.no_key") in [found[0] for found in explained if found]

    debug_logs.end(fleet, CLI, "telemt")
    before = log.read_text().count("DEBUG")
    carol = fleet.add_user("Carol")
    assert trouble(wrong) and not trouble(stage.link(carol))
    assert log.read_text().count("DEBUG") == before
    assert "telemt::links" in log.read_text(), "RUST_LOG holds no more"
    assert not any(parse_link(user.tg_link).secret.key.hex() in log.read_text() for user in fleet.users())
    assert stage.lives(hers) and stage.run == run


def test_a_debug_log_goes_on_after_a_restart_and_still_has_no_secret_in_it(stage: Stage) -> None:
    fleet = stage.fleet
    fleet.add_user("Alice")
    log = stage.runtime._folder(NAME).path / "proxy.log"
    wrong = tg_link("127.0.0.1", stage.port, Secret.generate(fleet.config().fake_tls_domain))
    debug_logs.begin(fleet, CLI, "telemt")
    stage.runtime.stop(NAME)
    fleet.reconcile()
    before = log.read_text().count("no matching user")
    bob = fleet.add_user("Bob")
    assert trouble(wrong) and not trouble(stage.link(bob))
    eventually(lambda: log.read_text().count("no matching user") > before, "the cause is logged as before")
    fleet.reconcile()
    told = log.read_text().count("reload: log_level:")
    fleet.reconcile()
    assert log.read_text().count("reload: log_level:") == told, "it is told once"
    assert not any(parse_link(user.tg_link).secret.key.hex() in log.read_text() for user in fleet.users())


def test_a_stranger_who_was_added_by_hand_is_cut_off_and_served_no_more(stage: Stage) -> None:
    alice = stage.fleet.add_user("Alice")
    hers, file = stage.connect(alice), _file(stage)
    mallory, key = "0123456789ab", "5" * 32
    right = file.read_text()
    file.write_text(right.replace("[access.users]\n", f'[access.users]\n{mallory} = "{key}"\n'))
    link = tg_link("127.0.0.1", stage.port, Secret(FAKETLS, bytes.fromhex(key), stage.fleet.config().fake_tls_domain))
    eventually(lambda: not trouble(link), "the edit is taken over")
    theirs = stage.clients.do(Stream.open(link))
    stage.clients.do(theirs.req_pq())
    stage.fleet.reconcile()
    assert stage.is_cut_off(theirs)
    assert trouble(link)
    assert stage.lives(hers)


def test_of_a_further_address_nobody_is_let_in_until_a_place_is_free(stage: Stage) -> None:
    alice = stage.fleet.add_user("Alice", max_unique_ips="2")
    first, second = stage.connect(alice, "127.0.0.2"), stage.connect(alice, "127.0.0.3")
    eventually(lambda: _reading(stage).addresses == 2, "both are counted")
    stage.fleet.sample()
    assert [(user.addresses, user.most_addresses) for user in stage.fleet.users()] == [(2, 2)]
    assert not _passes(stage, alice, "127.0.0.4")

    stage.fleet.sample()
    (before,) = stage.fleet.users()
    assert [one.address for one in before.connected] == ["127.0.0.2", "127.0.0.3"] and before.connected[0].since
    stage.fleet.sample()
    assert stage.fleet.user("Alice").connected == before.connected, "since they were first seen"
    assert not any(b"127.0.0.2" in file.read_bytes() for file in stage.fleet.data_dir.glob("panel.db*")), "nowhere"

    def refused() -> int:
        stage.fleet.sample()
        return stage.fleet.user("Alice").refused_addresses_day

    eventually(refused, "it is counted")
    counted = refused()
    assert refused() == counted == stage.runtime.logs(NAME).count("IP limit exceeded"), "once each"
    (told_of,) = [bad for bad in stage.fleet.status(max_age=0).bad if bad.reason == "unique_ips"]
    assert (told_of.day, told_of.what.code) == (counted, "bad.too_many_addresses")
    stage.connect(alice, "127.0.0.3")
    stage.clients.do(first.close())
    eventually(lambda: _passes(stage, alice, "127.0.0.4"), "the place is free")
    stage.fleet.sample()
    assert "127.0.0.2" not in [one.address for one in stage.fleet.user("Alice").connected]
    assert stage.lives(second)


def test_the_api_is_closed_without_the_key_and_changes_nothing_with_it(stage: Stage) -> None:
    stage.fleet.add_user("Alice")
    stage.connect(stage.fleet.user("Alice"))
    at = ports.split(stage.runtime.place(stage.port, "127.0.0.1").metrics)[0]
    key = api.auth_header(stage.fleet.config().secret_key)

    def ask(method: str, path: str, header: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(at, portmap.API, timeout=30)
        try:
            connection.request(method, path, headers={"Authorization": header} if header else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    assert ask("GET", "/v1/health", key)[0] == 200
    assert ask("GET", "/v1/health", "")[0] in (401, 403)
    addresses = "/v1/stats/users/active-ips"
    assert ask("GET", addresses, "Bearer wrong")[0] in (401, 403)
    assert ask("DELETE", "/v1/users/x", key)[0] == 403
    status, answer = ask("GET", addresses, key)
    assert (status, [user["active_ips"] for user in json.loads(answer)["data"]]) == (200, [["127.0.0.1"]])


def test_strangers_see_the_cover_and_are_counted_by_the_reason(stage: Stage) -> None:
    stage.fleet.add_user("Alice")
    with socket.create_connection(("127.0.0.1", stage.port), timeout=60) as prober:
        prober.sendall(b"GET / HTTP/1.1\r\nHost: " + stage.fleet.config().fake_tls_domain.encode() + b"\r\n\r\n")
        assert prober.recv(100)
    wrong = tg_link("127.0.0.1", stage.port, Secret.generate(stage.fleet.config().fake_tls_domain))
    assert trouble(wrong)
    eventually(lambda: stage.engine.bad(_metrics(stage)).get("tls_handshake_bad_client"), "it is counted")


def test_a_stranger_s_stream_lives_through_a_hundred_changes_of_others(stage: Stage) -> None:
    fleet, run = stage.fleet, ""
    alice, bob = fleet.add_user("Alice"), fleet.add_user("Bob")
    with BackgroundStream(stage.link(alice), piece=50_000, pause=0.05) as hers:
        run = stage.run
        for number in range(25):
            fleet.disable("Bob")
            fleet.enable("Bob")
            fleet.rotate("Bob")
            (fleet.add_user if number % 2 == 0 else fleet.remove)(f"User {number // 2}")
        assert not trouble(stage.link(fleet.user("Bob"))) and trouble(stage.link(bob))
        report = hers.finish()
    assert not report.broken and report.rounds > 5
    assert stage.run == run
    assert live.parse(_file(stage).read_text()).disabled == []
    written = stage.runtime.logs(NAME, 10_000)
    assert written and not any(link.secret.key.hex() in written for link in all_links(fleet.config()))


def test_users_of_another_engine_are_moved_here_and_back_and_keep_their_keys_and_their_bill(stage: Stage) -> None:
    fleet = stage.fleet
    fleet.engines["builtin"] = Builtin()
    fleet.set_settings({"engine": "builtin", "move_changes_links": True})
    users, moving = [fleet.add_user(name) for name in ("Alice", "Bob")], Moving(fleet)
    for user in users:
        download(stage, user)
    for engine in ("telemt", "builtin", "telemt"):
        fleet.set_settings({"engine": engine})
        moving.step(respect_backoff=False)
        assert {each.engine for each in stage.runtime.observe() if each.state == RUNNING} == {engine}
        for user in fleet.users():
            download(stage, user)
    fleet.sample()
    assert [user.secret for user in fleet.config().users] == [parse_link(user.tg_link).secret.hex for user in users]
    assert all(abs(user.bytes_down - 400_000) < 4_000 for user in fleet.users())


def download(stage: Stage, user: UserView) -> None:
    """100 kB, by the link that the user has, here."""
    link = parse_link(user.tg_link)
    stream = stage.clients.do(Stream.open(tg_link("127.0.0.1", link.port, link.secret)))
    stage.clients.do(stream.download(100_000))
    stage.clients.do(stream.close())


def test_many_users_are_added_one_by_one_to_one_process(stage: Stage) -> None:
    count, took = int(os.environ.get("TELEMT_USERS") or 30), []
    stranger = stage.connect(stage.fleet.add_user("Stranger"))
    run, updating = stage.run, stage.fleet.reconciler.updating
    update = updating.update

    def timed(workload: Workload) -> None:
        began = time.monotonic()
        update(workload)
        took.append(time.monotonic() - began)

    updating.update = timed
    for number in range(count):
        stage.fleet.add_user(f"User {number}")
    assert not trouble(stage.link(stage.fleet.user(f"User {count - 1}")))
    assert stage.lives(stranger)
    assert (stage.run, len(stage.runtime.observe()), len(took)) == (run, 1, count)
    status = Path(f"/proc/{run.split('-')[0]}/status").read_text()
    print(f"first ten {statistics.median(took[:10]):.3f} s, last ten {statistics.median(took[-10:]):.3f} s,",
          next(line for line in status.splitlines() if line.startswith("VmRSS")))


def _file(stage: Stage) -> Path:
    return stage.runtime._folder(NAME).path / live.FILE


def _metrics(stage: Stage) -> str:
    sample = stage.runtime.sample(NAME)
    return sample.text if sample else ""


def _reading(stage: Stage) -> Counters:
    (reading,) = stage.engine.readings((), _metrics(stage)).values()
    return reading


def _passes(stage: Stage, user: UserView, source: str) -> bool:
    try:
        stage.connect(user, source)
    except (OSError, StreamBroken, AnswerError, TimeoutError):
        return False
    return True
