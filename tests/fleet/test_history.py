"""The history of a user: their own, whatever they are called, and nobody else's."""

from __future__ import annotations

import time

from app.accounts.actor import CLI
from app.actions.many import Job, change_many
from app.control import views
from app.ledger.ledger import Ledger
from tests.support.fleet import Fleet


def told(fleet: Fleet, user_id: str) -> list[str]:
    """The history of one user, the oldest first."""
    return [event.done for event in views.events(fleet, user_id=user_id)][::-1]


def without_ids(ledger: Ledger) -> None:
    """As if an older version had noted what was noted until now."""
    with ledger.database.transaction() as db:
        db.execute("UPDATE events SET users = NULL")


def test_it_goes_on_when_a_user_is_renamed_and_a_new_one_of_that_name_inherits_nothing(fleet: Fleet) -> None:
    bob = fleet.add_user("Bob", limit_gb="5")
    fleet.update_user("Bob", {"name": "Robert"})
    other = fleet.add_user("Bob")
    fleet.disable("Robert")
    assert told(fleet, bob.id) == ["user added", "user changed", "user disabled"]
    assert told(fleet, other.id) == ["user added"]
    assert [event.subject for event in views.events(fleet, user_id=bob.id)] == ["Robert", "Robert", "Bob"]
    # By a name: whoever has it now.
    assert [event.users for event in fleet.events("Bob")] == [(other.id,)]
    assert len(fleet.events("Robert")) == len(fleet.events(bob.id)) == 3


def test_it_ends_neither_with_a_deletion_nor_with_a_restore(fleet: Fleet) -> None:
    bob = fleet.add_user("Bob")
    fleet.remove("Bob")
    new = fleet.add_user("Bob")
    assert told(fleet, bob.id) == ["user added", "user removed"] and told(fleet, new.id) == ["user added"]
    assert len(fleet.events("Bob")) == 3, "both are called so"
    fleet.restore(bob.id)
    fleet.remove(bob.id, for_good=True)
    assert told(fleet, bob.id) == ["user added", "user removed", "user restored", "user removed"], "and nobody is left"


def test_what_is_done_to_many_and_to_a_plan_is_part_of_it(fleet: Fleet) -> None:
    fleet.add_plan("Family", limit_gb="10")
    ann, bob, carol = (fleet.add_user(name, plan=plan) for name, plan in (
        ("Ann", "Family"), ("Bob", None), ("Carol", None)))
    change_many(fleet, CLI, [ann.id, bob.id], "tag", "work", Job("tag", "work", "cli", 2))
    fleet.change_plan("Family", {"limit_gb": "20"})
    fleet.remove_plan("Family")
    assert told(fleet, ann.id) == ["user added", "users given the tag", "plan changed", "plan removed"]
    assert told(fleet, bob.id) == ["user added", "users given the tag"] and told(fleet, carol.id) == ["user added"]


def test_what_an_older_version_has_noted_is_told_by_the_name_of_its_time_and_no_earlier_than_the_user(
        fleet: Fleet) -> None:
    fleet.add_user("Bob")
    fleet.remove("Bob", for_good=True)
    without_ids(fleet.ledger)
    with fleet.ledger.database.transaction() as db:
        db.execute("UPDATE events SET at = at - 3600")
    bob = fleet.add_user("Bob", note="another one")
    fleet.disable("Bob")
    without_ids(fleet.ledger)
    assert told(fleet, bob.id) == ["user added", "user disabled"]
    assert len(fleet.events("Bob")) == 2 and len(fleet.events()) == 4


def test_a_plan_and_an_admin_of_the_same_name_are_somebody_else(fleet: Fleet) -> None:
    fleet.create_admin("Bob", "correct horse battery")
    fleet.add_plan("Bob")
    bob = fleet.add_user("Bob")
    fleet.ledger.events.record_failed_login("Bob", "192.0.2.1")
    assert told(fleet, bob.id) == ["user added"]
    assert {event.action for event in fleet.events("Bob")} == {
        "user.added", "plan.added", "admin.created", "login.failed"}


def test_a_name_with_an_id_in_it_and_an_id_that_is_nobodys_find_nothing_of_others(fleet: Fleet) -> None:
    bob = fleet.add_user("Bob")
    assert told(fleet, bob.id[:4]) == told(fleet, " ") == told(fleet, "%") == told(fleet, "'") == []
    assert len(fleet.events(f" {bob.id} ")) == 0


def test_it_is_read_in_time_when_thousands_were_changed_at_once(fleet: Fleet) -> None:
    ids = [f"{number:08x}" for number in range(1_000)]
    for _ in range(200):
        fleet.ledger.events.record("cli", "users.enable", "", users=ids)
    began = time.process_time()
    assert len(views.events(fleet, user_id=ids[-1], limit=8)) == 8
    assert time.process_time() - began < 1
