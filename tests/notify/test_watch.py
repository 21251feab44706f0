"""What people are told, when, and how often: each cause once."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from app.ledger.history import HOUR
from app.ledger.letters import Letter
from app.lib.zone import server_zone
from app.messages import Problem
from app.notify.causes import HOLDS, SETTLES
from app.notify.senders import boxes
from app.rules.limits import GB
from tests.notify.conftest import Post
from tests.support.fleet import Fleet


def use(fleet: Fleet, name: str, gb: float) -> None:
    """The user has moved so much in this period."""
    user = fleet.user(name)
    with fleet.ledger.database.transaction() as db:
        db.execute("INSERT INTO traffic (user_id, down) VALUES (?, 0) ON CONFLICT DO NOTHING", (user.id,))
        db.execute("UPDATE traffic SET down = reset_down + ? WHERE user_id = ?", (int(gb * GB), user.id))


class TestLimits:
    def test_each_mark_is_told_once_and_a_restart_tells_none_again(self, fleet: Fleet, post: Post) -> None:
        fleet.add_user("Ann", limit_gb="10")
        said = []
        for gb in (5, 8, 8.5, 9.6, 10, 11):
            use(fleet, "Ann", gb)
            said += post.look()
            post.restart()
            assert post.look() == []
        assert ["80%" in said[0], "95%" in said[1], "has reached the traffic limit of 10 GB" in said[2]] == [True] * 3
        assert len(said) == 3

    def test_a_jump_over_marks_is_one_message_for_who_wants_any_of_them(self, fleet: Fleet, post: Post) -> None:
        with fleet.file.edit() as config:
            config.notifications[0].events = ["limit_80"]
        fleet.add_user("Ann", limit_gb="10")
        use(fleet, "Ann", 12)
        said, = post.look()
        assert "has reached" in said

    def test_a_raised_limit_and_a_new_period_are_told_again(self, fleet: Fleet, post: Post) -> None:
        fleet.add_user("Ann", limit_gb="10")
        use(fleet, "Ann", 10)
        assert len(post.look()) == 1
        fleet.update_user("Ann", {"limit_gb": "20"})
        assert post.look() == []
        use(fleet, "Ann", 20)
        assert len(post.look()) == 1
        fleet.reset_traffic("Ann")
        assert post.look() == []
        use(fleet, "Ann", 20)
        assert len(post.look()) == 1

    def test_a_thousand_at_once_are_one_message(self, fleet: Fleet, post: Post) -> None:
        with fleet.file.edit() as config:
            from app.config.model import User

            for number in range(1000):
                config.users.append(User(id=f"u{number}", name=f"User {number}", secret=f"{number:032x}",
                                         port=3000 + number, traffic_limit_gb=1, enabled=True))
        with fleet.ledger.database.transaction() as db:
            db.executemany("INSERT INTO traffic (user_id, down) VALUES (?, ?)",
                           [(f"u{number}", 2 * GB) for number in range(1000)])
        said, = post.look()
        assert "and 990 more" in said and len(said) < 3500
        assert post.look() == []


class TestTimes:
    def test_the_end_of_access_is_told_before_and_after(self, fleet: Fleet, post: Post) -> None:
        at = datetime.now().astimezone() + timedelta(days=2)
        fleet.add_user("Ann", expires=f"{at:%Y-%m-%dT%H:%M}")
        assert "access ends on" in post.look()[0]
        fleet.reconciler.clock = lambda: at.timestamp() + 60
        assert "access has ended" in post.look()[0]
        post.restart()
        # Back before it, and there again: a clock that is set says nothing new.
        fleet.reconciler.clock = lambda: at.timestamp() - 86400
        assert post.look() == []
        fleet.reconciler.clock = lambda: at.timestamp() + 60
        assert post.look() == []
        later = datetime.now().astimezone() + timedelta(days=1)
        with fleet.file.edit() as config:
            config.users[0].expires_at = later
        fleet.reconciler.clock = lambda: later.timestamp() - 60
        assert len(post.look()) == 1, "another end is told again"

    def test_what_stood_before_there_was_a_channel_is_not_told(self, fleet: Fleet, post: Post) -> None:
        fleet.add_user("Ann", limit_gb="1")
        use(fleet, "Ann", 2)
        with fleet.file.edit() as config:
            config.notifications[0].enabled = False
        assert post.look() == []
        with fleet.file.edit() as config:
            config.notifications[0].enabled = True
        assert post.look() == [] == post.look()


    def test_what_a_clock_that_was_years_ahead_has_told_is_told_when_it_is_so(self, fleet: Fleet, post: Post) -> None:
        at = datetime.now().astimezone() + timedelta(days=60)
        fleet.add_user("Ann", expires=f"{at:%Y-%m-%dT%H:%M}")
        assert post.look() == []
        fleet.reconciler.clock = lambda: at.timestamp() + 10 * 365 * 86400
        assert "Ann: access has ended" in str(post.look())
        fleet.reconciler.clock = lambda: at.timestamp() - 50 * 86400
        assert post.look() == []
        fleet.reconciler.clock = lambda: at.timestamp() - 86400
        assert "Ann" in str(post.look()), "it ends soon"
        fleet.reconciler.clock = lambda: at.timestamp() + 60
        assert "Ann: access has ended" in str(post.look()) and post.look() == []

    def test_what_waits_is_not_too_old_by_a_clock_that_has_just_been_set(self, fleet: Fleet, post: Post) -> None:
        """As after the start of a machine without a battery: what was noted then seems to be of 1996."""
        right = fleet.reconciler.clock() - post.now
        post.sink.answer = lambda request: (500, {}, b"")
        fleet.reconciler.clock = lambda: right - 30 * 365 * 86400 + post.now
        box, = boxes(fleet.config().notifications[0])
        fleet.ledger.letters.note({}, [], [Letter(box, "update", Problem("notice.test", {"name": "x"}),
                                                  fleet.reconciler.clock())], 0)
        post.restart()
        post.look()
        fleet.reconciler.clock = lambda: right + post.now
        for _ in range(10):
            post.look(300)
            assert fleet.ledger.letters.boxes_with_letters() == [box]
        post.look(1000)
        assert fleet.ledger.letters.boxes_with_letters() == [], "the clock has gone on for an hour"


class TestTrouble:
    def test_a_restart_is_none_and_one_that_lasts_is_told_and_its_end_too(self, fleet: Fleet, post: Post) -> None:
        fleet.add_user("Ann")
        name = next(iter(fleet.reconciler.runtime.observe())).name
        fleet.ledger.workloads.set_problem(name, Problem("text", {"text": "ended"}))
        assert post.look() == [] == post.look(HOLDS / 2)
        assert "the proxy does not work" in post.look(HOLDS)[0]
        post.restart()
        assert post.look() == [] == post.look(HOLDS + 1)
        fleet.ledger.workloads.clear_problem(name)
        assert post.look() == [] == post.look(SETTLES / 2)
        assert "the proxy works again" in post.look(SETTLES)[0]
        assert post.look() == [] == post.look(SETTLES)

    @pytest.mark.parametrize("step", [20, 61, 400])
    def test_a_proxy_that_comes_and_goes_for_a_day_is_no_flood(self, fleet: Fleet, post: Post, step: int) -> None:
        fleet.add_user("Ann")
        name = next(iter(fleet.reconciler.runtime.observe())).name
        said = 0
        for turn in range(86400 // step // 10):
            if turn % 2:
                fleet.ledger.workloads.clear_problem(name)
            else:
                fleet.ledger.workloads.set_problem(name, Problem("text", {"text": "ended"}))
            said += len(post.look(step))
        assert said <= 12

    def test_who_is_locked_out_has_no_proxy_that_works_again(self, fleet: Fleet, post: Post) -> None:
        fleet.add_user("Ann")
        name = next(iter(fleet.reconciler.runtime.observe())).name
        fleet.ledger.workloads.set_problem(name, Problem("text", {"text": "ended"}))
        post.look()
        assert len(post.look(HOLDS)) == 1
        fleet.disable("Ann")
        assert post.look() == [] == post.look(SETTLES + 1)

    def test_a_domain_and_a_certificate_are_told_with_the_reason(self, fleet: Fleet, post: Post) -> None:
        fleet.ledger.strangers.set_cover("cover.example", Problem("cover.inside", {"addresses": ["127.0.0.1"]}))
        fleet.ledger.certificates.failed("panel", ["p.example"], Problem("text", {"text": "no answer"}), 1)
        post.look()
        said, = post.look(HOLDS)
        assert "cover.example leads to 127.0.0.1" in said and "no answer" in said
        fleet.ledger.strangers.set_cover("cover.example", None)
        post.look()
        assert "passed on to cover.example again" in post.look(SETTLES)[0]

    def test_a_new_version_is_told_once(self, fleet: Fleet, post: Post) -> None:
        told = {"installed": "v1", "newest": "v2", "at": 1, "result": ""}
        (fleet.data_dir / "update.json").write_text(json.dumps(told))
        assert "version v2 is available" in post.look()[0]
        assert post.look() == []
        (fleet.data_dir / "update.json").write_text(json.dumps(told | {"newest": "v3"}))
        assert "v3" in post.look()[0]


class TestDigest:
    def test_it_is_sent_at_its_hour_once_a_day_whatever_the_clock_does(self, fleet: Fleet, post: Post) -> None:
        day = datetime(2027, 3, 3, tzinfo=server_zone())

        def at(days: float, hour: float) -> list[str]:
            fleet.reconciler.clock = lambda: (day + timedelta(days=days, hours=hour)).timestamp()
            post.restart()
            return post.look()

        with fleet.file.edit() as config:
            config.notifications[0].digest = "daily"
        fleet.add_user("Ann")
        assert at(0, 10) == [], "the first one is the next one"
        assert at(1, 8.9) == []
        said, = at(1, 9.1)
        assert "Traffic in 24 hours: 0 MB" in said and "Nobody is blocked" in said
        assert at(1, 23) == []
        assert at(1, 8) == [] == at(1, 9.2), "set back by an hour, it has been sent"
        assert at(0, 12) == [] == at(1, 12)
        assert len(at(2, 15)) == 1, "a panel that was off sends it late"
        assert len(at(9, 9)) == 1, "one for all the days that it was off"
        assert at(1000, 9) != [] and at(10, 9) == [], "by a clock that was wrong for years"
        assert len(at(11, 9)) == 1

    def test_it_tells_who_moved_most_who_is_blocked_and_what_was_before(self, fleet: Fleet, post: Post) -> None:
        with fleet.file.edit() as config:
            config.notifications[0].digest, config.notifications[0].events = "daily", []
        fleet.add_user("Ann <b>", limit_gb="1", at_limit="block")
        fleet.add_user("Bob")
        now = datetime(2027, 3, 3, 9, 30, tzinfo=server_zone())
        fleet.reconciler.clock = lambda: (now - timedelta(days=1)).timestamp()
        post.look()
        from app.ledger import history

        with fleet.ledger.database.transaction() as db:
            for hours, name, gb in ((2, "Ann <b>", 3), (5, "Bob", 1), (30, "Bob", 2)):
                history.add(db, (now - timedelta(hours=hours)).timestamp(), {fleet.user(name).id: (gb * GB, 0)})
        use(fleet, "Ann <b>", 3)
        fleet.reconciler.clock = now.timestamp
        said, = post.look()
        assert "24 hours: 4.0 GB. The 24 hours before: 2.0 GB" in said
        assert "Most traffic: Ann <b> 3.0 GB; Bob 1.0 GB." in said and "Blocked at the limit: Ann <b>." in said
        assert HOUR == 3600


def test_the_channel_s_language_is_spoken(fleet: Fleet, post: Post) -> None:
    with fleet.file.edit() as config:
        config.notifications[0].language = "ru"
    fleet.add_user("Ann", limit_gb="10")
    use(fleet, "Ann", 10)
    assert "достигнут лимит трафика 10 ГБ" in post.look()[0]


def test_what_is_told_and_what_waits_is_bounded(fleet: Fleet, post: Post) -> None:
    from app.ledger.letters import MOST, Letter

    post.sink.stop()
    fleet.ledger.letters.note({}, [], [Letter(fleet.config().notifications[0].id, "update", Problem("bot.yes"), 2e9)
                                       for _ in range(MOST + 50)], 1.0)
    box, = fleet.ledger.letters.boxes_with_letters()
    assert len(fleet.ledger.letters.waiting(box)) == MOST and fleet.ledger.letters.states()[box].lost == 50
    fleet.add_user("Ann", limit_gb="1")
    use(fleet, "Ann", 2)
    post.look()
    fleet.remove("Ann", for_good=True)
    post.look()
    assert set(fleet.ledger.letters.told()) <= {("", "")}
