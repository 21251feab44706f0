"""Limits and cycles in the declaration: old files mean what they meant, and "none" can be said."""

from __future__ import annotations

import json

import pytest

from app.config import values
from app.config.model import InvalidConfig, dump, load

USER = {"name": "Alice", "id": "a1b2c3d4", "port": 2443,
        "secret": "ee" + "11" * 16 + b"www.example.com".hex()}


def test_a_user_of_an_older_file_uses_everything_that_is_set_for_all():
    user = load({"users": [{**USER, "traffic_limit_gb": 0, "throttle_speed_mbps": 0}]}).users[0]
    assert (user.traffic_limit_gb, user.throttle_speed_mbps) == (0, 0)
    assert (user.at_limit, user.reset_cycle, user.expires_after_days) == ("", "", 0)


def test_none_is_null_in_the_file_and_survives_it():
    config = load({"users": [{**USER, "traffic_limit_gb": None, "throttle_speed_mbps": None}]})
    again = load(json.loads(json.dumps(dump(config))))
    assert again == config and again.users[0].traffic_limit_gb is None


def test_a_limit_for_all_may_be_taken_back_with_the_word_none():
    assert load({"traffic_limit_gb": "none"}).traffic_limit_gb == 0


@pytest.mark.parametrize("text, written, meant", [
    ("never", "never", ("never", 0)), ("Daily", "daily", ("daily", 0)),
    ("weekly", "weekly monday", ("weekly", 0)),
    ("weekly sun", "weekly sunday", ("weekly", 6)), ("WEEKLY Friday", "weekly friday", ("weekly", 4)),
    ("monthly", "monthly 1", ("monthly", 1)), ("monthly 31", "monthly 31", ("monthly", 31)),
    ("monthly  05", "monthly 5", ("monthly", 5)),
])
def test_a_reset_cycle_is_read_and_written_in_one_way(text, written, meant):
    assert values.parse_cycle(text) == meant
    assert load({"reset_cycle": text}).reset_cycle == written == values.cycle(written)


@pytest.mark.parametrize("text", ["", "often", "weekly 1", "weekly moon", "monthly 0", "monthly 32",
                                  "monthly -1", "daily 3", "never 1", "monthly 1 2", "monthly ²"])
def test_what_is_no_reset_cycle_is_refused_with_what_is(text):
    with pytest.raises(InvalidConfig, match="reset_cycle: .* allowed: never, daily"):
        load({"reset_cycle": text})


@pytest.mark.parametrize("field, value, words", [
    ("traffic_limit_gb", -1, "none (null in the file) no limit"), ("at_limit", "kill", "throttle, block"),
    ("reset_cycle", "yearly", "empty for the default"), ("expires_after_days", -1, "0 to 36,500"),
    ("expires_after_days", True, "0 to 36,500")])
def test_a_users_field_that_breaks_a_rule_is_told(field, value, words):
    with pytest.raises(InvalidConfig) as refused:
        load({"users": [{**USER, field: value}]})
    assert field in str(refused.value) and words in str(refused.value)


@pytest.mark.parametrize("value", [0, 3601, 1.5, "soon"])
def test_a_tick_that_is_too_short_or_too_long_is_refused(value):
    with pytest.raises(InvalidConfig, match="monitor_seconds"):
        load({"monitor_seconds": value})
