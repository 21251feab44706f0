"""The ledger: each byte counted once, records that survive, and a file whose loss is bearable."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger import database, events
from app.ledger.ledger import Ledger
from app.ledger.traffic import Reading
from app.messages import Problem, text


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


def reading(down: int, run: str = "1", user: str = "alice", link: str = "a link", up: int = 0) -> Reading:
    return Reading(user, link, run, down, up, fronted=0, connections=1)


def down(ledger: Ledger, user: str = "alice") -> int:
    return ledger.traffic.totals()[user].down


def test_a_counter_that_grows_is_counted_once(ledger):
    for value in (0, 100, 100, 250):
        ledger.traffic.account([reading(value)])
    assert down(ledger) == 250


def test_a_restarted_engine_counts_from_zero_and_nothing_is_lost(ledger):
    ledger.traffic.account([reading(100, run="1")])
    ledger.traffic.account([reading(100, run="2")])
    ledger.traffic.account([reading(30, run="3")])
    assert down(ledger) == 230


def test_a_counter_that_shrinks_without_a_restart_is_a_fresh_one(ledger):
    ledger.traffic.account([reading(100)])
    ledger.traffic.account([reading(40)])
    assert down(ledger) == 140


def test_a_new_user_on_a_freed_port_inherits_nothing(ledger):
    ledger.traffic.account([reading(100, run="1", user="alice")])
    ledger.traffic.account([reading(0, run="2", user="bob")])
    assert down(ledger, "bob") == 0 and down(ledger) == 100


def test_a_forgotten_user_has_no_total(ledger):
    ledger.traffic.account([reading(100)])
    ledger.traffic.forget("alice")
    assert ledger.traffic.totals() == {}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**9)), max_size=30))
@settings(max_examples=50, deadline=None)
def test_the_total_is_what_was_moved_whatever_restarts_come_between(moves):
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        ledger, value, run, moved = Ledger(folder), 0, 0, 0
        for restart, amount in moves:
            if restart:
                value, run = 0, run + 1
            value, moved = value + amount, moved + amount
            ledger.traffic.account([reading(value, run=str(run))])
        assert not moves or down(ledger) == moved


def test_a_transaction_that_fails_counts_nothing(ledger):
    ledger.traffic.account([reading(100)])
    with pytest.raises(sqlite3.Error):
        ledger.traffic.account([reading(200), reading(5, user=None)])
    assert down(ledger) == 100


def test_writers_in_several_threads_lose_nothing(ledger, monkeypatch):
    monkeypatch.setattr(database, "WAIT", 120.0)  # a slow disk is no loss
    def work(user: str) -> None:
        for value in range(1, 51):
            ledger.traffic.account([reading(value, user=user, link=user)])
            ledger.events.record("cli", "tick", user)

    threads = [threading.Thread(target=work, args=(f"u{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {u: t.down for u, t in ledger.traffic.totals().items()} == {f"u{n}": 50 for n in range(4)}
    assert len(ledger.events.recent(1000)) == 200


def test_a_damaged_file_is_put_aside_and_begun_anew(tmp_path):
    path = tmp_path / "panel.db"
    path.write_bytes(b"this is no database" * 100)
    assert Ledger(tmp_path).traffic.totals() == {}
    aside = list(tmp_path.glob("panel.db.broken-*"))
    assert len(aside) == 1 and aside[0].read_bytes().startswith(b"this is no")


def test_measurements_survive_a_restart_and_are_private(ledger, tmp_path):
    ledger.traffic.account([reading(100)])
    assert down(Ledger(tmp_path)) == 100
    assert (tmp_path / "panel.db").stat().st_mode & 0o777 == 0o600


def test_the_newest_events_come_first(ledger):
    for number in range(5):
        ledger.events.record("cli", "user.added", f"u{number}")
    assert [e.subject for e in ledger.events.recent(2)] == ["u4", "u3"]


def test_a_bucket_takes_so_many_attempts_in_a_window(ledger):
    for _ in range(3):
        assert ledger.buckets.take({"login/1": 3}).wait == 0
    assert 0 < ledger.buckets.take({"login/1": 3}).wait <= 300
    assert ledger.buckets.take({"login/2": 3}).wait == 0
    ledger.buckets.clear("login/1")
    assert ledger.buckets.take({"login/1": 3}).wait == 0


def test_marks_are_told_by_their_prefix_alone_and_for_a_while(ledger):
    for name in ("try/Anna", "try/Ben", "try/Ben", "try", "trz/Carol", "login/try/Dave"):
        ledger.buckets.mark(name)
    assert ledger.buckets.marked("try/") == {"Anna", "Ben"}
    with ledger.database.transaction() as db:
        db.execute("UPDATE attempts SET at = at - 301 WHERE bucket = 'try/Ben'")
    assert ledger.buckets.marked("try/") == {"Anna"}


def test_an_attempt_is_counted_in_all_its_buckets_or_in_none(ledger):
    assert ledger.buckets.take({"a": 1, "b": 5}).wait == 0
    for _ in range(9):
        assert ledger.buckets.take({"a": 1, "b": 5}).wait > 0
    for _ in range(4):
        assert ledger.buckets.take({"b": 5}).wait == 0
    assert ledger.buckets.take({"b": 5}).wait > 0


def test_an_attempt_that_was_none_is_given_back_and_no_other(ledger):
    first, second = ledger.buckets.take({"a": 2}), ledger.buckets.take({"a": 2})
    assert ledger.buckets.take({"a": 2}).wait > 0
    ledger.buckets.give_back(second)
    assert ledger.buckets.take({"a": 2}).wait == 0 and ledger.buckets.take({"a": 2}).wait > 0
    assert first.at <= second.at


def test_clearing_a_bucket_clears_those_under_it_and_no_neighbour(ledger):
    for bucket in ("login/ab", "login/ab/x", "login/abc", "login/a%"):
        ledger.buckets.take({bucket: 1})
    ledger.buckets.clear("login/ab")
    free = [bucket for bucket in ("login/ab", "login/ab/x", "login/abc", "login/a%")
            if not ledger.buckets.take({bucket: 1}).wait]
    assert free == ["login/ab", "login/ab/x"]


def test_old_attempts_leave_the_window(ledger, monkeypatch):
    ledger.buckets.take({"b": 1})
    monkeypatch.setattr("app.ledger.buckets.WINDOW", 0.01)
    time.sleep(0.05)
    assert ledger.buckets.take({"b": 1}).wait == 0


def test_attempts_at_the_same_time_are_no_more_than_allowed(ledger, monkeypatch):
    monkeypatch.setattr("app.ledger.fallback.PATIENCE", 120.0)
    with ThreadPoolExecutor(16) as pool:
        places = list(pool.map(lambda _: ledger.buckets.take({"b": 5}), range(64)))
    assert sum(place.wait == 0 for place in places) == 5


def test_a_locked_database_delays_no_audit_record_into_a_failure(ledger, monkeypatch):
    ledger.database.query("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(ledger.database.path)
    other.execute("BEGIN IMMEDIATE")
    ledger.events.record("cli", "user.added")
    other.rollback()
    assert ledger.events.recent() == []


def test_problems_and_throttles_are_remembered_until_cleared(ledger):
    w = ledger.workloads
    busy = Problem("port.taken", {"port": 2443, "owner": Problem("port.owner_hidden")})
    assert w.set_problem("p", busy) and w.problems() == {"p": busy}
    assert not w.set_problem("p", busy) and w.set_problem("p", text("other"))
    assert w.problems() == {"p": text("other")}
    assert w.clear_problem("p") and not w.clear_problem("p")
    w.set_throttle("p", 1000)
    assert w.throttles() == {"p": 1000}
    w.set_throttle("p", None)
    assert w.throttles() == {}


@pytest.mark.parametrize("table", ["traffic", "points", "counters", "events"])
def test_a_file_that_is_damaged_inside_costs_history_and_keeps_nobody_from_going_on(ledger, tmp_path, table):
    ledger.traffic.account([reading(100)])
    ledger.events.record("cli", "user.added")
    elsewhere = Ledger(tmp_path)  # as in another process
    assert down(elsewhere) == 100
    query = ledger.database.query
    page = query("SELECT rootpage FROM sqlite_master WHERE name = ?", table)[0][0]
    query("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / "panel.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x55" * 4096)
    again = Ledger(tmp_path)
    for attempt in range(2):  # one of them may find it out
        with again.database.best_effort("traffic"):
            again.traffic.account([reading(100 + attempt)])
        again.events.record("cli", "user.added")
    assert down(again) == 101 and again.events.recent()
    assert list(tmp_path.glob("panel.db.broken-*"))
    elsewhere.traffic.account([reading(140)])
    assert down(again) == 140, "who had the old file open writes to the new one, too"


def test_an_attempt_noted_by_a_clock_that_was_a_year_ahead_keeps_nobody_out_for_a_year(ledger, monkeypatch):
    real = time.time
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: real() + 365 * 86400)
        ledger.buckets.take({"login/1": 1})
        assert ledger.buckets.take({"login/1": 1}).wait > 0
    assert ledger.buckets.take({"login/1": 1}).wait == 0


def test_a_file_that_somebody_removed_is_begun_anew_by_all_threads(ledger, tmp_path):
    """Each thread has a connection of its own: one that kept the lost file would not see the others' sessions."""
    ledger.events.record("cli", "before")
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"panel.db{end}").unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as pool:
        token = pool.submit(ledger.sessions.begin, "ada", "stamp", "192.0.2.1").result()
    assert ledger.sessions.find(token).admin == "ada"
    assert [event.action for event in ledger.events.recent()] == []


def test_ten_thousand_failed_logins_push_nothing_else_out_of_the_audit_log(ledger, monkeypatch):
    monkeypatch.setattr(events, "KEPT", 50)
    monkeypatch.setattr(events, "FAILURES_KEPT", 20)
    for number in range(50):
        ledger.events.record("cli", "user.added", f"u{number}")
    for number in range(300):  # from a new address each time
        ledger.events.record_failed_login("admin", f"198.51.100.{number}")
    for _ in range(300):
        ledger.events.record_failed_login("admin", "203.0.113.9")
    told = ledger.events.recent(1000)
    assert sum(event.action == "user.added" for event in told) == 50
    failed = [event.detail for event in told if event.action == "login.failed"]
    assert len(failed) == 20 and failed[0] == "from 203.0.113.9, 300 times in 1 min"


def test_failed_logins_of_another_hour_or_another_place_are_entries_of_their_own(ledger, monkeypatch):
    ledger.events.record_failed_login("admin", "192.0.2.1")
    ledger.events.record_failed_login("admin", "192.0.2.2")
    ledger.events.record_failed_login("bob", "192.0.2.1")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3700)
    ledger.events.record_failed_login("admin", "192.0.2.1")
    assert [(event.subject, event.detail) for event in ledger.events.recent()] == [
        ("admin", "from 192.0.2.1"), ("bob", "from 192.0.2.1"), ("admin", "from 192.0.2.2"),
        ("admin", "from 192.0.2.1")]
    assert len(ledger.events.recent(subject="bob")) == 1


def test_another_threads_start_and_another_process_leave_this_ones_file_whole(tmp_path: Path) -> None:
    """A file that is opened past SQLite, and closed, takes the locks of the whole process along: the next one that
    closes it would then delete the log that this one writes to, and what was written last would be gone."""
    ledger = Ledger(tmp_path)
    ledger.events.record("panel", "first")
    thread = threading.Thread(target=lambda: ledger.events.record("panel", "second"))  # with a connection of its own
    thread.start()
    thread.join()
    code = ("import sys; from pathlib import Path; from app.ledger.ledger import Ledger; "
            "Ledger(Path(sys.argv[1])).events.record('cli', 'third')")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)],
                   check=True, timeout=60, cwd=Path(__file__).resolve().parents[2])
    assert (tmp_path / "panel.db-wal").exists()
    ledger.events.record("panel", "fourth")
    assert [event.action for event in Ledger(tmp_path).events.recent()] == ["fourth", "third", "second", "first"]


def test_a_version_is_another_one_after_each_change_of_whoever(ledger, tmp_path):
    before = ledger.database.version()
    assert ledger.database.version() == before and ledger.traffic.totals() == {}, "reading changes nothing"
    ledger.traffic.account([reading(1)])
    here = ledger.database.version()
    assert here != before
    threading.Thread(target=lambda: ledger.traffic.account([reading(2)])).start()
    assert _soon(lambda: ledger.database.version() != here)
    here = ledger.database.version()
    script = "import sys; from app.ledger.ledger import Ledger; Ledger(sys.argv[1]).events.record('cli', 'user.add')"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    elsewhere = ledger.database.version()
    assert elsewhere != here and ledger.database.version() == elsewhere


def test_a_file_in_the_place_of_another_is_another_version(ledger, tmp_path):
    before = ledger.database.version()
    for path in tmp_path.glob("panel.db*"):
        path.unlink()
    assert ledger.database.version() != before
    assert ledger.database.version() == ledger.database.version()


def test_where_no_file_can_be_read_no_version_is_equal_to_another(ledger, tmp_path):
    for path in tmp_path.glob("panel.db*"):
        path.unlink()
    (tmp_path / "panel.db").mkdir()
    assert ledger.database.version() != ledger.database.version()


def _soon(test) -> bool:
    ends = time.monotonic() + 10
    while not (found := test()) and time.monotonic() < ends:
        time.sleep(0.01)
    return found
