"""What applies to a user at and before the limit: pure decisions."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.model import Config, User
from app.ledger.traffic import Total
from app.messages import Problem, sentence
from app.rules import limits
from app.rules.limits import GB
from tests.support.problems import codes

NOW = datetime(2027, 1, 15, 12, tzinfo=timezone.utc)
GLOBAL = Config(traffic_limit_gb=10, throttle_speed_mbps=3, at_limit="block", reset_cycle="monthly 1")


def alice(**fields) -> User:
    return User(**{"id": "a1b2c3d4", "name": "Alice", "port": 2443, "created_at": NOW,
                   "secret": "ee" + "11" * 16 + b"www.example.com".hex(), **fields})


def applies(user: User, config: Config = GLOBAL) -> tuple:
    return (limits.limit_gb(user, config), limits.speed_mbps(user, config), limits.at_limit(user, config),
            limits.reset_cycle(user, config))


def test_what_is_set_for_all_applies_until_a_user_has_something_of_their_own():
    assert applies(alice()) == (10, 3, "block", "monthly 1")
    own = {"traffic_limit_gb": 5, "throttle_speed_mbps": 1, "at_limit": "throttle", "reset_cycle": "never"}
    assert applies(alice(**own)) == (5, 1, "throttle", "never")


def test_none_of_a_users_own_overrules_what_is_set_for_all():
    assert applies(alice(traffic_limit_gb=None, throttle_speed_mbps=None))[:2] == (0, 0)
    assert not limits.over_limit(alice(traffic_limit_gb=None), GLOBAL, Total(down=99 * GB))


@pytest.mark.parametrize("percent, mark", [(0, 0), (79.9, 0), (80, 80), (94.9, 80), (95, 95), (99.9, 95),
                                           (100, 100), (300, 100)])
def test_marks_are_set_at_80_95_and_100_percent(percent, mark):
    assert limits.mark(limits.limit_gb(alice(), GLOBAL), Total(down=round(percent / 100 * 10 * GB))) == mark


def test_without_a_limit_there_are_no_marks():
    assert limits.mark(limits.limit_gb(alice(), Config()), Total(down=10 ** 15)) == 0


@given(st.integers(0, 20 * GB), st.integers(0, 20 * GB), st.integers(0, 40 * GB))
def test_only_what_was_moved_since_the_last_reset_counts(before, since, limit):
    total = Total(down=before + since, reset_down=before)
    user = alice(traffic_limit_gb=limit / GB)
    assert limits.over_limit(user, Config(), total) == (0 < limit <= since)
    assert (limits.mark(limits.limit_gb(user, Config()), total) == 100) == limits.over_limit(user, Config(), total)


def story(user: User, config: Config = GLOBAL, **total) -> Problem | None:
    return limits.at_the_limit(user, config, Total(**{"down": 11 * GB, **total}), NOW, timezone.utc)


def test_what_happened_at_the_limit_says_when_it_ends():
    assert sentence(story(alice())) == \
        "used 11.00 of 10 GB: blocked until 2027-02-01 00:00, when the traffic is reset"
    assert sentence(story(alice(at_limit="throttle", reset_cycle="never"))) == \
        "used 11.00 of 10 GB: slowed to 3 Mbit/s until the traffic is reset or the limit is raised"
    assert "limit.not_slowed" in codes(story(alice(at_limit="throttle", throttle_speed_mbps=None)))
    assert story(alice(), down=9 * GB) is None


def test_a_reset_that_was_noted_is_the_one_that_is_told():
    noted = datetime(2027, 1, 20, tzinfo=timezone.utc).timestamp()
    assert "until 2027-01-20" in sentence(story(alice(), cycle="monthly 1", next_reset=noted))
    assert "until 2027-02-01" in sentence(story(alice(), cycle="daily", next_reset=noted))
