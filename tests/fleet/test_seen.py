"""What somebody saw before they changed it: versions for programs, fields as they were shown for people."""

from __future__ import annotations

import pytest

from app.config.model import SETTINGS, Config, OldLink, Plan, User, load
from app.config.values import now
from app.control.errors import Refused
from app.mtproto.secret import Secret
from app.rules import seen

SECRET = Secret.generate("www.example.com").hex


def alice(**changes: object) -> User:
    return User.model_validate({"id": "alice", "name": "Alice", "secret": SECRET, "port": 2443,
                                "created_at": "2026-01-01T00:00:00+00:00", **changes})


def test_a_version_stays_as_long_as_nobody_changes_anything_and_differs_after_any_change():
    first = seen.version(alice())
    assert seen.version(alice()) == first
    for change in ({"name": "Alicia"}, {"enabled": False}, {"traffic_limit_gb": 5}, {"traffic_limit_gb": None},
                   {"note": "عليرضا"}, {"secret": Secret.generate("www.example.com").hex}, {"share_token": "a" * 22}):
        assert seen.version(alice(**change)) != first, change


def test_an_old_link_that_ends_by_itself_is_nobodys_change():
    old = OldLink(secret=SECRET, replaced_at=now(), until=now())
    assert seen.version(alice(old_links=[old])) == seen.version(alice())


def test_the_settings_have_a_version_that_users_have_no_part_in():
    config = load({"users": []})
    first = seen.version(config, SETTINGS)
    config.users.append(alice())
    assert seen.version(config, SETTINGS) == first
    config.traffic_limit_gb = 5
    assert seen.version(config, SETTINGS) != first


def test_what_is_not_the_version_that_was_read_is_refused():
    user = alice()
    seen.refuse_outdated(user, ["another", seen.version(user)])
    with pytest.raises(seen.Outdated, match="Alice was changed by somebody else") as refused:
        seen.refuse_outdated(user, ["another"])
    assert refused.value.code == "stale.version"
    with pytest.raises(seen.Outdated, match="the settings were changed"):
        seen.refuse_outdated(Config(), [], SETTINGS)
    with pytest.raises(seen.Outdated):
        seen.refuse_outdated(Plan(id="p1", name="Family"), [])


@pytest.mark.parametrize("typed, now_, told", [
    ({"note": "x"}, {"note": "", "limit": "50"}, []),                      # only the one was changed by each: merged
    ({"limit": "70"}, {"note": "", "limit": "50"}, ["limit"]),             # both, to something else
    ({"limit": "50"}, {"note": "", "limit": "50"}, []),                    # both, to the same
    ({"limit": "70", "note": "x"}, {"note": "y", "limit": "50"}, ["limit", "note"]),
    ({"limit": "a, b"}, {"note": "", "limit": "a\nb"}, []),                # the same words, typed in another way
])
def test_a_field_that_both_changed_is_told_and_one_that_one_of_both_changed_is_merged(typed, now_, told):
    shown = {"note": "", "limit": ""}
    try:
        seen.refuse_stale(shown, typed, now_)
    except Refused as refused:
        assert sorted(problem.field for problem in refused.problems) == told
        assert "from 'empty' to" in str(refused)
    else:
        assert told == []


def test_of_fields_that_say_one_thing_a_change_to_one_is_a_change_to_all():
    shown, now_ = {"date": "", "days": ""}, {"date": "2090-01-31", "days": ""}
    with pytest.raises(Refused) as refused:
        seen.refuse_stale(shown, {"days": "30"}, now_, together=("date", "days"))
    assert refused.value.field == "date"
