"""A change of domain on port 443: the old link works beside the new one for a while, and then no more."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from app.config.model import Config, User
from app.control.desired import desired
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.messages import Problem
from app.mtproto.secret import Secret
from app.rules import users
from app.rules.links import links, replace_domain
from tests.fleet.test_plan import Places
from tests.fleet.test_users import world

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def declared(**settings) -> Config:
    config = Config(**{"port_443_mode": True, "domain_grace_days": 7, **settings})
    config.users = [User(id="a1", name="Alice", port=2443, secret=Secret.generate("one.example").hex)]
    return config


def change(config: Config, domain: str, at: datetime = NOW) -> None:
    user = config.users[0]
    replace_domain(user, config, Secret.parse(user.secret).with_domain(domain), at)


def found(config: Config, at: datetime = NOW) -> list[str]:
    return [link.domain for link in links(config.users[0], config, at)]


def wanted(config: Config, at: datetime = NOW):
    return desired(config, {}, at, by_name(Builtin()), Places())


def test_the_key_stays_and_the_old_link_works_until_the_grace_period_is_over():
    config = declared()
    key = Secret.parse(config.users[0].secret).key
    change(config, "two.example")
    today, old = links(config.users[0], config, NOW)
    assert (today.secret.key, today.domain, today.until) == (key, "two.example", None)
    assert (old.secret.key, old.domain, old.until) == (key, "one.example", NOW + timedelta(days=7))
    assert found(config, NOW + timedelta(days=7)) == ["two.example"]


def test_each_link_has_a_workload_and_a_route_of_its_own():
    config = declared()
    change(config, "two.example")
    outcome = wanted(config)
    names = {domain: backend.partition(":")[0] for domain, backend in outcome.routes.items()}
    assert names["two.example"] == "mtg-proxy-2443" and names["one.example"].startswith("mtg-proxy-2443-")
    assert set(outcome.workloads) == set(names.values())
    for domain, name in names.items():
        assert Secret.parse(config.users[0].secret).with_domain(domain).hex in \
            outcome.workloads[name].files["config.toml"]
    assert not any(workload.place.publish for workload in outcome.workloads.values())
    assert list(wanted(config, NOW + timedelta(days=8)).workloads) == ["mtg-proxy-2443"]


def test_a_second_change_leaves_the_first_old_link_its_time():
    config = declared()
    change(config, "two.example")
    before = wanted(config)
    change(config, "three.example", NOW + timedelta(days=1))
    assert found(config, NOW + timedelta(days=1)) == ["three.example", "one.example", "two.example"]
    first = before.routes["one.example"].partition(":")[0]
    assert wanted(config).workloads[first].spec == before.workloads[first].spec, "its connections stay"
    assert found(config, NOW + timedelta(days=7, hours=1)) == ["three.example", "two.example"]


def test_back_to_the_old_domain_is_the_old_link_again():
    config = declared()
    before = config.users[0].secret
    change(config, "two.example")
    change(config, "one.example")
    assert config.users[0].secret == before
    assert found(config) == ["one.example", "two.example"]


def test_without_a_grace_period_or_on_ports_of_their_own_the_old_link_ends_at_once():
    for settings in ({"domain_grace_days": 0}, {"port_443_mode": False}):
        config = declared(**settings)
        change(config, "two.example")
        assert found(config) == ["two.example"]


def test_a_new_key_ends_every_link_from_before():
    config = declared()
    change(config, "two.example")
    users.rotate(config.users[0])
    assert found(config) == ["two.example"] and not config.users[0].old_links
    change(config, "three.example")
    users.change(config, config.users[0], {"secret": Secret.generate("four.example").hex}, world())
    assert found(config) == ["four.example"]


def test_a_disabled_user_keeps_every_workload_stopped_and_has_no_route():
    config = declared()
    change(config, "two.example")
    config.users[0].enabled = False
    outcome = wanted(config)
    assert not outcome.workloads and not outcome.routes and len(outcome.suspended) == 2


def test_a_domain_that_two_users_have_in_a_file_edited_by_hand_serves_the_first():
    config = declared()
    config.users.append(User(id="b2", name="Bob", port=2444, secret=Secret.generate("one.example").hex))
    outcome = wanted(config)
    assert outcome.routes == {"one.example": "mtg-proxy-2443:2443"}
    assert outcome.refused["mtg-proxy-2444"] == Problem(
        "domain.of_user", {"domain": "one.example", "name": "Alice"}, "domain")


def test_a_secret_without_a_domain_can_not_be_told_apart_on_port_443():
    config = declared()
    config.users[0].secret = "11" * 16
    assert wanted(config).refused["mtg-proxy-2443"] == Problem("user.no_domain")
