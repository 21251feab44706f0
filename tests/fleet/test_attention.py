"""Who needs attention: each user once, under the reason that comes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.control import attention, listing, roster, snapshot
from app.ledger.traffic import Reading
from app.lib.kept import Kept
from app.messages import text
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet

GB = 1024**3


def found(fleet: Fleet, **sees: object) -> dict[str, list[str]]:
    """sees: what else there is to be seen, as in Snapshot."""
    rows = roster.rows(replace(snapshot.take(fleet), made=Kept(), **sees))
    groups = attention.groups(rows)
    assert sum(group.count for group in groups) == listing.counts(rows)["attention"], "one number, wherever it stands"
    return {group.reason: [row.name for row in group.first] for group in groups}


def used(fleet: Fleet, user: str, gigabytes: float) -> None:
    fleet.ledger.traffic.account([Reading(user, f"link of {user}", user, int(gigabytes * GB), 0, 0, 1)])


def test_nobody_needs_attention_where_all_is_well(fleet: Fleet) -> None:
    assert found(fleet) == {}
    fleet.add_user("Alice")
    assert found(fleet) == {}, "whoever was added now has not had the time to use the link"


def test_each_reason_has_its_users_and_a_user_the_first_of_theirs(fleet: Fleet, machine) -> None:
    soon = f"{fleet.reconciler.now() + timedelta(days=2):%Y-%m-%d}"
    blocked = fleet.add_user("Blocked", limit_gb="1", at_limit="block", expires=soon)
    slowed = fleet.add_user("Slowed", limit_gb="1", speed_mbps="2")
    over = fleet.add_user("Over", limit_gb="1", speed_mbps="none")
    fleet.add_user("Ends soon", expires=soon)
    fleet.add_user("Ends later", expires="2099-01-31")
    fleet.disable(fleet.add_user("Disabled", expires=soon).id)
    machine.fail("start", "mtg-proxy-2449", "port 2449 is taken")
    failing = fleet.add_user("Failing", expires=soon)
    assert failing.port == 2449
    for user in (blocked, slowed, over):
        machine.metrics(f"mtg-proxy-{user.port}", metrics(down=2 * GB, connections=1))
    fleet.reconciler.sampler.take() if hasattr(fleet.reconciler.sampler, "take") else None
    fleet.status(max_age=0)
    fleet.reconcile()
    assert found(fleet) == {"failing": ["Failing"], "blocked": ["Blocked"], "slowed": ["Slowed"], "over": ["Over"],
                            "expiring": ["Ends soon"]}


def test_who_never_used_the_link_is_named_after_a_day(fleet: Fleet) -> None:
    alice, bob = fleet.add_user("Alice"), fleet.add_user("Bob")
    used(fleet, bob.id, 1)
    sight = snapshot.take(fleet)
    tomorrow = sight.now + timedelta(days=1, hours=1)
    groups = attention.groups(roster.rows(replace(sight, now=tomorrow, made=Kept())))
    assert [(group.reason, [row.id for row in group.first]) for group in groups] == [("never", [alice.id])]


def test_a_domain_to_which_nobody_is_passed_on_is_a_reason(fleet: Fleet) -> None:
    fleet.add_user("Alice", domain="www.example.org")
    fleet.add_user("Bob", domain="www.example.com")
    assert found(fleet, closed_covers={"www.example.org": text("it leads here")}) == {"domain": ["Alice"]}


def test_of_many_the_first_are_shown_and_all_are_counted(fleet: Fleet) -> None:
    soon = f"{fleet.reconciler.now() + timedelta(days=2):%Y-%m-%d}"
    for number in range(5):
        fleet.add_user(f"User {number}", expires=soon)
    group, = attention.groups(roster.rows(snapshot.take(fleet)))
    assert group.count == 5 and [row.name for row in group.first] == ["User 0", "User 1", "User 2"]
