"""Deleted users: kept for 30 days, restored with the link that people have, forgotten in time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.config.model import Config, dump, load
from app.control import passes
from app.control.errors import Refused
from app.rules import trash, users
from tests.fleet.conftest import metrics
from tests.fleet.test_users import add, by_nginx, world

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def test_a_restored_user_is_as_before_with_the_same_link_and_traffic(fleet, machine) -> None:
    before = fleet.add_user("Alice", limit_gb="5", note="sister", tags="family")
    machine.metrics(f"mtg-proxy-{before.port}", metrics(down=7_000_000))
    fleet.sample()
    fleet.remove("Alice")
    assert (fleet.users(), [one.name for one in fleet.deleted()]) == ([], ["Alice"])
    after, changed = fleet.restore("Alice")
    assert changed == [] and fleet.deleted() == []
    assert (after.id, after.tg_link, after.limit_gb, after.note, after.more["tags"], after.state) == (
        before.id, before.tg_link, 5, "sister", ["family"], "running")
    assert after.bytes_down == 7_000_000
    assert [event.done for event in fleet.events("Alice")][:2] == ["user restored", "user removed"]


def test_a_new_user_gets_neither_the_port_nor_the_domain_of_one_who_may_be_restored() -> None:
    config = Config(domain_pool=["www.example.org", "www.example.net"], fake_tls_domain="www.example.com")
    alice = add(config)
    trash.discard(config, alice, NOW)
    bob = add(config, "Bob")
    assert bob.port != alice.port and bob.fake_tls_domain != alice.fake_tls_domain
    add(config, "Carol")
    # Better that domain than none.
    assert add(config, "Dave").fake_tls_domain == alice.fake_tls_domain


def test_what_somebody_else_has_by_now_is_said() -> None:
    config = Config()
    alice = add(config)
    trash.discard(config, alice, NOW)
    users.add(config, {"name": "alice"}, True, world())
    config.users[0].port = alice.port
    user, changed = trash.restore(config, config.deleted_users[0], world(), NOW)
    assert (user.name, user.secret) == ("Alice (2)", alice.secret) and user.port != alice.port
    assert [problem.code for problem in changed] == ["restored.name", "restored.port"]


def test_a_port_that_a_program_has_taken_is_another_one() -> None:
    config = Config()
    trash.discard(config, alice := add(config), NOW)
    taken = lambda port: by_nginx(port) if port == alice.port else None  # noqa: E731
    user, changed = trash.restore(config, config.deleted_users[0], world(taken), NOW)
    assert user.port != alice.port and [problem.code for problem in changed] == ["restored.port"]


def test_a_domain_that_somebody_has_now_is_another_one_and_the_key_stays() -> None:
    config = Config(port_443_mode=True)
    alice = add(config)
    trash.discard(config, alice, NOW)
    add(config, "Bob", domain=alice.fake_tls_domain)
    user, changed = trash.restore(config, config.deleted_users[0], world(), NOW)
    assert user.fake_tls_domain != alice.fake_tls_domain and user.secret[2:34] == alice.secret[2:34]
    assert [problem.code for problem in changed] == ["restored.domain"]


def test_a_secret_that_somebody_brought_along_meanwhile_is_theirs(fleet) -> None:
    link = fleet.add_user("Alice").tg_link
    fleet.remove("Alice")
    fleet.add_user("Bob", link=link)
    with pytest.raises(Refused, match="belongs to 'Bob'"):
        fleet.restore("Alice")
    assert [one.name for one in fleet.deleted()] == ["Alice"]


def test_of_two_with_one_name_the_last_comes_back_first(fleet) -> None:
    first = fleet.add_user("Alice").id
    fleet.remove("Alice")
    second = fleet.add_user("Alice").id
    fleet.remove("Alice")
    assert [one.id for one in fleet.deleted()] == [second, first]
    assert fleet.restore("alice")[0].id == second
    with pytest.raises(Refused, match="no deleted user 'Bob'"):
        fleet.restore("Bob")
    assert fleet.restore(first)[0].name == "Alice (2)"


def test_after_30_days_they_are_forgotten_with_what_was_counted_and_not_before(fleet, monkeypatch) -> None:
    for name in ("Alice", "Bob"):
        fleet.add_user(name)
    ids = [user.id for user in fleet.users()]
    fleet.remove("Alice")
    start = datetime.now().astimezone()
    monkeypatch.setattr(fleet.reconciler, "now", lambda: start + timedelta(days=29))
    fleet.remove("Bob")
    passes.forget_deleted(fleet)
    assert len(fleet.deleted()) == 2
    monkeypatch.setattr(fleet.reconciler, "now", lambda: start + timedelta(days=31))
    monkeypatch.setattr(fleet.clock, "problem", lambda: "the clock is wrong")
    passes.forget_deleted(fleet)
    assert len(fleet.deleted()) == 2
    monkeypatch.setattr(fleet.clock, "problem", lambda: None)
    passes.forget_deleted(fleet)
    assert len(fleet.deleted()) == 2, "a clock that nobody knows to be right may have jumped a moment ago"
    monkeypatch.setattr(fleet.clock, "is_right", lambda: True)
    passes.forget_deleted(fleet)
    assert [one.name for one in fleet.deleted()] == ["Bob"]
    assert set(fleet.ledger.traffic.totals()) <= {ids[1]}
    assert fleet.events("Alice")[0].done == "removed for good"


def test_who_is_deleted_for_good_can_not_be_restored(fleet) -> None:
    fleet.add_user("Alice")
    fleet.remove("Alice", for_good=True)
    fleet.add_user("Bob")
    fleet.remove("Bob")
    assert fleet.forget("Bob") == "Bob"
    assert fleet.deleted() == [] and "deleted_users" in json.loads((fleet.data_dir / "config.json").read_text())


def test_only_so_many_are_kept_the_newest(monkeypatch) -> None:
    monkeypatch.setattr(trash, "MOST", 2)
    config, gone = Config(), []
    for name in "abc":
        gone += trash.discard(config, add(config, name), NOW)
    assert ([user.name for user in gone], [user.name for user in config.deleted_users]) == (["a"], ["b", "c"])


def test_the_file_is_read_back_as_it_was_written() -> None:
    config = Config()
    trash.discard(config, add(config, "علی‌رضا"), NOW)
    assert load(json.loads(json.dumps(dump(config)))) == config
