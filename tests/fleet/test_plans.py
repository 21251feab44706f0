"""Plans: sets of limits that users have by name. What a user leaves empty is the plan's, then the settings'."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.model import Config, Plan, User, dump, load
from app.control.errors import Refused
from app.mtproto.secret import Secret
from app.rules import limits, plans

SECRET = Secret.generate("www.example.com").hex
OWN_NUMBER = st.one_of(st.none(), st.just(0), st.integers(1, 100))
OWN_CHOICE = {"at_limit": st.sampled_from(["", "throttle", "block"]),
              "reset_cycle": st.sampled_from(["", "daily", "monthly 3"])}
LIMITS = {"traffic_limit_gb": OWN_NUMBER, "throttle_speed_mbps": OWN_NUMBER, "max_unique_ips": OWN_NUMBER, **OWN_CHOICE}


def applied(user: User, config: Config) -> tuple[object, ...]:
    return (limits.limit_gb(user, config), limits.speed_mbps(user, config), limits.max_unique_ips(user, config),
            limits.at_limit(user, config), limits.reset_cycle(user, config))


@given(own=st.fixed_dictionaries(LIMITS), planned=st.fixed_dictionaries(LIMITS))
@settings(deadline=None)
def test_what_a_user_leaves_empty_is_the_plans_and_then_the_settings(own, planned) -> None:
    config = Config(traffic_limit_gb=7, throttle_speed_mbps=3, max_unique_ips=9, reset_cycle="weekly monday")
    user = User(id="alice", name="Alice", secret=SECRET, port=2443, plan="Family", **own)
    config.users, config.plans = [user], [Plan(id="p1", name="Family", **planned)]
    whole = dict(zip(LIMITS, (7, 3, 9, "throttle", "weekly monday"), strict=True))
    expected = [next((each for each in (own[key], planned[key], whole[key]) if each is None or each), 0) or 0
                for key in LIMITS]
    assert list(applied(user, config)) == expected
    # Nothing changes for who has a plan that is removed.
    plans.remove(config, config.plans[0])
    assert (user.plan, config.plans, list(applied(user, config))) == ("", [], expected)


def test_a_change_of_a_plan_is_a_change_for_everybody_who_has_it(fleet) -> None:
    fleet.add_plan("Family", limit_gb="5", at_limit="block")
    for name in ("Alice", "Bob"):
        fleet.add_user(name, plan="family")
    fleet.add_user("Carol")
    changed = fleet.change_plan("Family", {"limit_gb": "8", "name": "Family & friends"})
    assert (changed.users, changed.limit_gb) == (2, 8)
    assert [(u.name, u.more["plan"], u.limit_gb, u.at_limit) for u in fleet.users()] == [
        ("Alice", "Family & friends", 8, "block"), ("Bob", "Family & friends", 8, "block"),
        ("Carol", "", 0, "throttle")]
    assert [event.done for event in fleet.events("Family & friends")] == ["plan changed"]


def test_who_is_added_with_a_plan_has_its_days_from_the_first_use_unless_an_expiry_was_typed(fleet) -> None:
    fleet.add_plan("Month", expires_after_days="30")
    assert fleet.add_user("Alice", plan="Month").expires_after_days == 30
    assert fleet.add_user("Bob", plan="Month", expires_after_days="5").expires_after_days == 5
    assert fleet.add_user("Carol", plan="Month", expires="2199-01-01").expires_after_days == 0
    assert fleet.add_user("Dave", plan="Month", expires="never").expires_after_days == 0
    fleet.add_user("Erin")
    assert fleet.update_user("Erin", {"plan": "Month"}).expires_after_days == 0


@pytest.mark.parametrize(("changes", "code"), [
    ({"name": ""}, "name.missing"), ({"name": "FAMILY"}, "plan.exists"), ({"limit_gb": "-1"}, "user.limit"),
    ({"at_limit": "explode"}, "user.at_limit"), ({"reset_cycle": "yearly"}, "cycle.unknown"),
    ({"expires_after_days": "36501"}, "user.days"), ({"max_unique_ips": "many"}, "config.at"),
    ({"colour": "red"}, "plan.no_field")])
def test_what_is_not_allowed_is_refused_and_nothing_is_saved(fleet, changes, code) -> None:
    fleet.add_plan("Family", limit_gb="5")
    fleet.add_plan("Guests")
    before = dump(fleet.config())
    with pytest.raises(Refused) as refusal:
        fleet.change_plan("Guests", changes)
    assert refusal.value.code == code and dump(fleet.config()) == before
    if "name" not in changes:
        with pytest.raises(Refused):
            fleet.add_plan("Another", **changes)
        assert dump(fleet.config()) == before


def test_a_plan_that_is_not_there_is_refused_for_a_user_with_those_that_are(fleet) -> None:
    with pytest.raises(Refused, match="no other one yet"):
        fleet.add_user("Alice", plan="Gold")
    fleet.add_plan("Family")
    with pytest.raises(Refused, match="there are: Family"):
        fleet.add_user("Alice", plan="Gold")
    assert fleet.users() == []


def test_a_file_that_names_a_plan_nobody_has_declared_loads_and_says_so() -> None:
    file = {"users": [{"name": "Alice", "secret": SECRET, "port": 2443, "plan": "Gold"}], "traffic_limit_gb": 4}
    config = load(file)
    assert limits.limit_gb(config.users[0], config) == 4
    assert [note.code for note in config.notes()] == ["config.unknown_plan"]
    assert load(json.loads(json.dumps(dump(config)))) == config


def test_plans_written_by_hand_get_ids_and_none_is_there_twice() -> None:
    assert len({plan.id for plan in load({"plans": [{"name": "A"}, {"name": "B"}]}).plans} - {""}) == 2
    with pytest.raises(ValueError, match="two plans have one name"):
        load({"plans": [{"name": "A"}, {"name": "a"}]})
    assert load({"plans": None}).plans == []


def test_there_are_not_more_plans_than_anybody_can_choose_from() -> None:
    config = Config()
    for number in range(plans.MOST):
        plans.add(config, {"name": f"Plan {number}"})
    with pytest.raises(Refused, match="remove one"):
        plans.add(config, {"name": "One more"})
