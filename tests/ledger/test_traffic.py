"""Periods, history and late readings: exact over resets, restarts, full disks and clocks that jump."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from app.ledger import history
from app.ledger.history import DAY, HOUR, TEN_SECONDS, Point
from app.ledger.ledger import Ledger
from app.ledger.migrations import STEPS
from app.ledger.refusals import Count, Refused
from app.ledger.traffic import KEPT_RUNS, NOISE, Due, Reading
from app.messages import text

NOON = datetime(2027, 3, 10, 12).timestamp()


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


def reading(down: int, up: int = 0, user: str = "alice", run: str = "1", connections: int = 0,
            fronted: int = 0, late: bool = False) -> Reading:
    return Reading(user, f"link of {user}", run, down, up, fronted, connections, late)


def total(ledger: Ledger, user: str = "alice"):
    return ledger.traffic.totals()[user]


def test_a_file_of_the_first_version_keeps_its_totals_and_its_baselines(tmp_path):
    with sqlite3.connect(tmp_path / "panel.db") as db:
        db.executescript(STEPS[0] + "PRAGMA user_version = 1;")
        db.execute("INSERT INTO traffic VALUES ('alice', 1000, 50, 7, 2, 123.0)")
        db.execute("INSERT INTO baselines VALUES ('proxy of alice', '1', 900, 40, 7)")
    db.close()
    ledger = Ledger(tmp_path)
    ledger.traffic.name_links(lambda: {"proxy of alice": ("link of alice", "alice")})
    ledger.traffic.account([reading(950, 40, fronted=8)], NOON)
    after = total(ledger)
    assert (after.down, after.up, after.fronted) == (1050, 50, 8)
    assert (after.period_down, after.period_up, after.reset_at) == (1050, 50, 0)
    assert Ledger(tmp_path).traffic.totals() == ledger.traffic.totals()


def test_a_reset_begins_a_period_keeps_the_total_and_nothing_comes_back(ledger):
    ledger.traffic.account([reading(100, 10)], NOON)
    ledger.traffic.reset(["alice"], NOON + 5)
    assert (total(ledger).period, total(ledger).down, total(ledger).reset_at) == (0, 100, NOON + 5)
    ledger.traffic.account([reading(100, 10)], NOON + 10)
    assert total(ledger).period == 0
    ledger.traffic.account([reading(130, 15)], NOON + 20)
    after = total(ledger)
    assert (after.period_down, after.period_up, after.down, after.up) == (30, 5, 130, 15)


def test_a_user_who_was_never_sampled_can_be_reset(ledger):
    ledger.traffic.reset(["alice"], NOON)
    assert (total(ledger).period, total(ledger).reset_at) == (0, NOON)


def test_a_due_reset_is_carried_out_by_one_of_two_who_decided_upon_it(ledger):
    ledger.traffic.account([reading(100)], NOON)
    assert ledger.traffic.carry_out([Due("alice", "daily", 0.0, NOON + 10, False)], NOON) == []
    assert total(ledger).period == 100
    due = Due("alice", "daily", NOON + 10, NOON + 86410, True)
    assert ledger.traffic.carry_out([due], NOON + 11) == ["alice"]
    ledger.traffic.account([reading(107)], NOON + 12)
    assert ledger.traffic.carry_out([due], NOON + 13) == []
    assert (total(ledger).period, total(ledger).next_reset, total(ledger).cycle) == (7, NOON + 86410, "daily")


def test_the_speed_is_that_between_the_last_two_samples(ledger):
    ledger.traffic.account([reading(1_000_000)], NOON)
    assert total(ledger).down_rate == 0
    ledger.traffic.account([reading(1_000_500, 100)], NOON + 10)
    assert (total(ledger).down_rate, total(ledger).up_rate) == (50, 10)
    ledger.traffic.account([reading(1_000_500, 100)], NOON + 20)
    assert total(ledger).down_rate == 0


def test_last_seen_is_when_a_session_was_open_or_moved_something(ledger):
    ledger.traffic.account([reading(0)], NOON)
    assert total(ledger).last_seen == 0
    assert ledger.traffic.account([reading(0, connections=1)], NOON + 10) == {"alice"}
    assert ledger.traffic.account([reading(5)], NOON + 20) == {"alice"}
    assert ledger.traffic.account([reading(5, fronted=9)], NOON + 30) == set()
    assert (total(ledger).last_seen, total(ledger).fronted) == (NOON + 20, 9)


def test_a_clock_that_is_set_back_counts_nothing_twice_and_loses_nothing(ledger):
    for at, value in ((NOON, 100), (NOON + 10, 150), (NOON - 3600, 175), (NOON - 3590, 200)):
        ledger.traffic.account([reading(value)], at)
    assert total(ledger).down == 200
    for step in (TEN_SECONDS, HOUR, DAY):
        assert sum(p.down for p in ledger.traffic.history("alice", NOON - 7200, step)) == 200


def test_a_late_reading_of_an_earlier_run_is_exact(ledger):
    ledger.traffic.account([reading(100, run="1")], NOON)
    ledger.traffic.account([reading(7, run="2")], NOON)
    ledger.traffic.account([reading(130, run="1", late=True), reading(9, run="2")], NOON)
    assert total(ledger).down == 139


def test_a_late_reading_that_somebody_else_has_counted_since_adds_nothing(ledger):
    ledger.traffic.account([reading(150)], NOON)
    ledger.traffic.account([reading(100, late=True)], NOON)
    ledger.traffic.account([reading(160)], NOON)
    assert total(ledger).down == 160


def test_old_runs_are_forgotten(ledger):
    for run in range(20):
        ledger.traffic.account([reading(10, run=str(run))], NOON)
    assert total(ledger).down == 200
    runs = [row["run"] for row in ledger.database.query("SELECT run FROM counters ORDER BY rowid")]
    assert runs == [str(n) for n in range(20 - KEPT_RUNS, 20)]


def test_points_add_up_to_what_was_moved_for_a_user_and_for_all(ledger):
    ledger.traffic.account([reading(100, 10), reading(5, user="bob")], NOON)
    ledger.traffic.account([reading(150, 20), reading(5, user="bob")], NOON + 3)
    ledger.traffic.account([reading(160, 20), reading(9, user="bob")], NOON + 3600)
    hour, day = history.begin(NOON, HOUR), history.begin(NOON, DAY)
    assert ledger.traffic.history("alice", NOON, HOUR) == [Point(hour, 150, 20), Point(hour + 3600, 10, 0)]
    assert ledger.traffic.history("bob", NOON, HOUR) == [Point(hour, 5, 0), Point(hour + 3600, 4, 0)]
    assert ledger.traffic.history(None, NOON, DAY) == [Point(day, 169, 20)]
    assert ledger.traffic.history("nobody", NOON, DAY) == []
    assert ledger.traffic.sums(NOON, HOUR) == {"alice": (160, 20), "bob": (9, 0)}
    assert ledger.traffic.sums(NOON + 3600, HOUR) == {"alice": (10, 0), "bob": (4, 0)}


def test_a_day_begins_at_the_servers_midnight(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        begin = history.begin(NOON, DAY)
        assert datetime.fromtimestamp(begin).strftime("%H:%M:%S") == "00:00:00"
        assert 0 <= NOON - begin < DAY
    finally:
        monkeypatch.undo()
        time.tzset()


def believe(ledger: Ledger, until: float) -> None:
    """As if the clock had gone on until then, and others had said that it is right."""
    ledger.latest.look(until, True)
    ledger.latest._noted_at = None


def test_a_clock_far_ahead_for_a_moment_takes_no_history(ledger):
    ledger.traffic.account([reading(100)], NOON)
    believe(ledger, NOON)
    ledger.traffic.account([reading(101)], NOON + 20 * 366 * DAY)
    ledger.traffic.account([reading(102)], NOON + 10)
    for step in (TEN_SECONDS, HOUR, DAY):
        assert ledger.traffic.history("alice", NOON, step)[0].down >= 100


def test_a_damaged_row_of_the_latest_time_stops_no_account(ledger):
    with ledger.database.transaction() as db:
        db.execute("INSERT INTO latest_time VALUES ('x', 'a', 'b', 'soon', 'c')")
    ledger.traffic.account([reading(100)], NOON)
    assert total(ledger).down == 100


def test_history_prunes_itself_and_totals_stay(ledger):
    ledger.traffic.account([reading(100)], NOON)

    def points(step: int) -> int:
        return len(ledger.traffic.history("alice", 0, step))

    for later, left in ((7300, (0, 1, 1)), (91 * DAY, (0, 0, 1)), (733 * DAY, (0, 0, 0))):
        believe(ledger, NOON + later)
        ledger.traffic.account([reading(100)], NOON + later)
        assert (points(TEN_SECONDS), points(HOUR), points(DAY)) == left
    assert total(ledger).down == 100
    assert ledger.database.query("SELECT count(*) AS n FROM points")[0]["n"] == 0


def test_a_forgotten_user_leaves_no_history_and_a_later_one_inherits_none(ledger):
    ledger.traffic.account([reading(100)], NOON)
    ledger.traffic.forget("alice")
    ledger.traffic.account([reading(1, user="bob")], NOON)
    assert ledger.traffic.history("alice", NOON, HOUR) == []
    assert [p.down for p in ledger.traffic.history("bob", NOON, HOUR)] == [1]
    assert [p.down for p in ledger.traffic.history(None, NOON, HOUR)] == [101]


def test_totals_and_history_are_written_together_or_not_at_all(ledger):
    ledger.traffic.account([reading(100)], NOON)
    pages = ledger.database.query("PRAGMA page_count")[0][0]
    ledger.database.query(f"PRAGMA max_page_count = {pages}")
    many = [reading(10**6, user=f"user {n}") for n in range(2000)]
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            ledger.traffic.account([reading(150), *many], NOON + 10)
        assert total(ledger).down == 100 and len(ledger.traffic.totals()) == 1
    ledger.database.query("PRAGMA max_page_count = 1000000")
    ledger.traffic.account([reading(170)], NOON + 20)
    assert total(ledger).down == 170
    assert [p.down for p in ledger.traffic.history("alice", NOON, HOUR)] == [170]


def test_a_database_that_others_lock_is_written_when_it_is_free_again(ledger):
    ledger.traffic.account([reading(100)], NOON)
    ledger.database.query("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(ledger.database.path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ledger.traffic.account([reading(150)], NOON)
    assert total(ledger).down == 100
    other.rollback()
    other.close()
    ledger.traffic.account([reading(160)], NOON)
    assert total(ledger).down == 160


def test_a_file_is_imported_once(ledger):
    ledger.traffic.account([reading(100)], NOON)
    assert ledger.traffic.import_once("traffic.json", {"alice": (10, 5), "bob": (1, 2)})
    assert not ledger.traffic.import_once("traffic.json", {"alice": (10, 5)})
    assert (total(ledger).down, total(ledger).up, total(ledger, "bob").down) == (110, 5, 1)


@pytest.mark.parametrize("seconds, step", [
    (60, TEN_SECONDS), (2 * HOUR, TEN_SECONDS), (2 * HOUR + 1, HOUR), (90 * DAY, HOUR), (91 * DAY, DAY),
    (9999 * DAY, DAY)])
def test_the_finest_step_that_reaches_back_far_enough_is_chosen(seconds, step):
    assert history.finest(seconds) == step


def estimate(down: int, up: int, **options: object) -> Reading:
    return replace(reading(down, up, **options), estimated=True)


def test_an_estimate_is_marked_since_its_first_reading_and_in_the_period(ledger):
    ledger.traffic.account([reading(100)], NOON)
    before = total(ledger)
    assert (before.estimated_since, before.period_estimated, before.estimating) == (0, 0, 0)
    for at, value in ((NOON + 10, 500_000), (NOON + 20, 700_000)):
        ledger.traffic.account([estimate(value, value, run="2")], at)
    after = total(ledger)
    assert (after.down, after.up) == (700_100, 700_000)
    assert (after.estimated_since, after.period_estimated, after.estimating) == (NOON + 10, 1, 1)
    ledger.traffic.account([reading(50, run="3")], NOON + 30)
    assert (total(ledger).period_estimated, total(ledger).estimating) == (1, 0)
    ledger.traffic.reset(["alice"], NOON + 40)
    assert (total(ledger).estimated_since, total(ledger).period_estimated) == (NOON + 10, 0)


def test_a_reset_of_a_user_who_is_being_estimated_begins_an_estimated_period(ledger):
    ledger.traffic.account([estimate(500_000, 500_000)], NOON)
    ledger.traffic.reset(["alice"], NOON + 5)
    assert (total(ledger).period, total(ledger).period_estimated) == (0, 1)


def test_a_run_whose_own_counters_were_read_once_takes_no_estimate(ledger):
    ledger.traffic.account([reading(100, connections=2)], NOON)
    before = total(ledger)
    for late in (False, True):
        assert ledger.traffic.account([estimate(900_000, 900_000, late=late)], NOON + 10) == set()
        assert total(ledger) == before
    ledger.traffic.account([reading(160)], NOON + 20)
    assert (total(ledger).down, total(ledger).estimated_since) == (160, 0)


@pytest.mark.parametrize("exact, whole", [((900_000, 300_000), 1_200_000), ((300_000, 100_000), 1_000_000)],
                         ids=["more than estimated", "less than estimated"])
def test_counters_that_come_late_count_only_what_the_estimate_has_not(ledger, exact, whole):
    ledger.traffic.account([estimate(500_000, 500_000)], NOON)
    ledger.traffic.account([reading(*exact)], NOON + 10)
    assert total(ledger).down + total(ledger).up == whole
    ledger.traffic.account([estimate(800_000, 800_000)], NOON + 20)  # silent for a moment
    ledger.traffic.account([reading(exact[0] + 50, exact[1])], NOON + 30)
    assert total(ledger).down + total(ledger).up == whole + 50


def test_an_estimate_over_restarts_counts_each_run_once(ledger):
    for run, value in (("1", 100_000), ("1", 300_000), ("2", 50_000), ("2", 50_000), ("1", 300_000)):
        ledger.traffic.account([estimate(value, value, run=run)], NOON)
    assert (total(ledger).down, total(ledger).up) == (350_000, 350_000)


def test_what_scanners_move_in_an_estimate_is_no_use(ledger):
    assert ledger.traffic.account([estimate(NOISE // 2, NOISE // 2)], NOON) == set()
    assert total(ledger).last_seen == 0
    assert ledger.traffic.account([estimate(NOISE, NOISE + 1)], NOON + 10) == {"alice"}
    assert total(ledger).last_seen == NOON + 10


def test_several_links_of_one_user_add_up_in_connections_and_speed(ledger):
    def both(first: int, second: int, at: float) -> None:
        ledger.traffic.account([Reading("alice", "new link", "1", first, 10, 1, 2),
                                Reading("alice", "old link", "7", second, 20, 4, 3),
                                Reading("bob", "bob's", "1", 5, 5, 0, 1)], at)

    both(1000, 2000, NOON)
    both(1500, 4500, NOON + 10)
    after = total(ledger)
    assert (after.down, after.up, after.fronted, after.connections) == (6000, 30, 5, 5)
    assert (after.down_rate, after.up_rate) == (300, 0)
    assert total(ledger, "bob").connections == 1


def test_two_links_that_one_workload_serves_are_each_billed_exactly(ledger):
    def both(alices: int, bobs: int, at: float) -> None:
        ledger.traffic.account([Reading("alice", "link of alice", "1", alices, 0, 0, 0),
                                Reading("bob", "link of bob", "1", bobs, 0, 0, 0)], at)

    both(900, 1900, NOON)
    both(1000, 2000, NOON + 10)
    assert (total(ledger).down, total(ledger, "bob").down) == (1000, 2000)
    assert ledger.traffic.last_uses() == {"link of alice": NOON + 10, "link of bob": NOON + 10}


def test_the_last_use_is_known_for_each_link_and_probes_are_none(ledger):
    ledger.traffic.account([Reading("alice", "new link", "1", 0, 0, 0, 0),
                            Reading("alice", "old link", "7", 9, 0, 0, 0)], NOON)
    assert ledger.traffic.last_uses() == {"old link": NOON}
    ledger.traffic.account([Reading("alice", "new link", "1", 0, 0, 0, 1),
                            Reading("alice", "old link", "7", 9, 0, 5, 0)], NOON + 10)
    assert ledger.traffic.last_uses() == {"old link": NOON, "new link": NOON + 10}
    ledger.traffic.forget("alice")
    assert Ledger(ledger.database.path.parent).traffic.last_uses() == {}


def test_a_file_of_the_third_version_keeps_its_baselines_which_are_no_estimates(tmp_path):
    with sqlite3.connect(tmp_path / "panel.db") as db:
        db.executescript("".join(STEPS[:3]) + "PRAGMA user_version = 3;")
        db.execute("INSERT INTO traffic (user_id, down) VALUES ('alice', 100)")
        db.execute("INSERT INTO counters VALUES ('proxy of alice', '1', 100, 0, 0)")
    db.close()
    ledger = Ledger(tmp_path)
    ledger.traffic.name_links(lambda: {"proxy of alice": ("link of alice", "alice")})
    ledger.traffic.account([estimate(900_000, 900_000)], NOON)
    ledger.traffic.account([reading(130)], NOON)
    assert (total(ledger).down, total(ledger).estimated_since) == (130, 0)


@pytest.fixture
def seventh(tmp_path) -> Path:
    """A folder with a file of the seventh version, which knew workloads by their names, and no links."""
    with sqlite3.connect(tmp_path / "panel.db") as db:
        db.executescript("".join(STEPS[:7]) + "PRAGMA user_version = 7;")
        db.execute("INSERT INTO traffic (user_id, down, last_seen) VALUES ('alice', 1000, 50), ('bob', 70, 60)")
        db.execute("INSERT INTO counters VALUES ('proxy', 'run 3', 100, 0, 0, 0), ('bobs', 'run 4', 70, 0, 0, 0), "
                   "('gone', 'run 5', 9, 0, 0, 0)")
        db.execute("INSERT INTO link_uses VALUES ('proxy', 50), ('bobs', 61), ('gone', 5)")
        db.execute("INSERT INTO refusals (user_id, wrong_clock) VALUES ('alice', 7)")
        db.execute("INSERT INTO refusal_counters VALUES ('proxy', 'run 3', 7, 0, 0)")
        db.execute("INSERT INTO slow VALUES ('proxy', 'run 3', 'its nginx was down')")
    db.close()
    return tmp_path


NAMED = {"proxy": ("link of alice", "alice"), "bobs": ("link of bob", "bob")}


def test_what_was_noted_by_workload_becomes_that_of_its_link(seventh):
    ledger = Ledger(seventh)
    for _ in range(2):
        ledger.traffic.name_links(lambda: NAMED)
    assert ledger.traffic.last_uses() == {"link of alice": 50}, "bob's port was used by somebody else"
    assert ledger.workloads.slow() == {("link of alice", "run 3"): text("its nginx was down")}
    ledger.traffic.account([reading(130, run="run 3"), reading(75, user="bob", run="run 4")], NOON)
    assert (total(ledger).down, total(ledger, "bob").down) == (1030, 75)
    ledger.refusals.account([Count("alice", "link of alice", "run 3", Refused(wrong_clock=9))], NOON)
    assert ledger.refusals.totals()["alice"].wrong_clock == 9


@pytest.mark.parametrize("named", [True, False], ids=["named", "not named yet"])
def test_a_run_from_before_links_had_ids_is_counted_on_whatever_link_it_is_taken_for(seventh, named):
    ledger = Ledger(seventh)
    if named:
        ledger.traffic.name_links(lambda: NAMED)
    for down, guess in ((110, "link of alice"), (125, "a link that she got since"), (130, "proxy")):
        ledger.traffic.account([replace(reading(down, run="run 3"), link=guess, guessed=True)], NOON)
        ledger.refusals.account([Count("alice", guess, "run 3", Refused(wrong_clock=8), guessed=True)], NOON)
    ledger.traffic.account([replace(reading(12, run="run 5"), link="gone", guessed=True)], NOON)
    assert total(ledger).down == 1000 + 30 + 3
    assert ledger.refusals.totals()["alice"].wrong_clock == 8


def test_a_forgotten_users_links_leave_nothing(ledger):
    ledger.traffic.account([reading(100), reading(5, user="bob")], NOON)
    ledger.traffic.forget("alice")
    assert ledger.traffic.last_uses() == {"link of bob": NOON}
    assert [row["link"] for row in ledger.database.query("SELECT link FROM counters")] == ["link of bob"]


def test_a_day_whose_midnight_the_clocks_show_twice_has_one_beginning(monkeypatch, ledger):
    monkeypatch.setenv("TZ", "America/Havana")
    time.tzset()
    try:
        midnight = int(datetime(2026, 11, 1).timestamp())
        for value, later in enumerate((0, 3600 + 60, 7200), start=1):  # the second one at 00:01 again
            ledger.traffic.account([reading(value * 100)], midnight + later)
        assert ledger.traffic.history("alice", midnight, DAY) == [Point(midnight, 300, 0)]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_addresses_of_a_users_links_are_those_of_the_last_sample_and_unknown_where_nobody_tells(ledger) -> None:
    def reading(link: str, addresses: int | None, late: bool = False) -> Reading:
        return Reading("alice", link, link, 1, 1, 0, 1, late=late, addresses=addresses)

    for readings, shown in (([reading("new", 2), reading("old", 1)], 3), ([reading("new", 0)], 0),
                            ([reading("new", None)], None), ([reading("new", 2), reading("old", 7, late=True)], 2)):
        ledger.traffic.account(readings, NOON)
        assert ledger.traffic.totals()["alice"].addresses == shown
