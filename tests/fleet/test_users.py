"""Changes to users: what is accepted, and what is refused with nothing changed."""

from __future__ import annotations

import pytest

from app.config.model import Config, Leftover
from app.control.errors import Refused
from app.messages import Problem
from app.mtproto.secret import Secret
from app.rules import users


def by_nginx(port: int) -> Problem:
    return Problem("port.taken", {"port": port, "owner": "nginx, pid 1"})


def world(port_taken=lambda port: None, refuse_domain=lambda config, domain, user: None) -> users.Checks:
    """Where nothing stands in the way, unless told otherwise."""
    return users.Checks(port_taken, refuse_domain, lambda port: not port_taken(port))


def add(config: Config, name: str = "Alice", **changes):
    return users.add(config, {"name": name, **changes}, True, world())


def change(config: Config, user, **changes):
    users.change(config, user, changes, world())


def test_a_new_user_has_an_id_a_secret_a_port_and_a_domain():
    config = Config(proxy_port=3000)
    user = add(config)
    secret = Secret.parse(user.secret)
    assert (user.port, user.enabled, secret.kind, secret.domain) == (3000, True, "faketls",
                                                                    config.fake_tls_domain)
    assert len(user.id) == 8 and config.users == [user]


def test_ports_of_other_users_and_other_programs_are_passed_over():
    config = Config(proxy_port=3000)
    taken = lambda port: by_nginx(port) if port == 3001 else None  # noqa: E731
    ports = [users.add(config, {"name": name}, True, world(taken)).port for name in "abc"]
    assert ports == [3000, 3002, 3003]


def test_whose_the_ports_are_is_asked_for_what_is_told_only():
    config, asked = Config(proxy_port=65000), []

    def owner(port):
        asked.append(port)
        return by_nginx(port)

    busy = users.Checks(owner, lambda config, domain, user: None, lambda port: port >= 65200)
    assert (users.add(config, {"name": "a"}, True, busy).port, asked) == (65200, [])
    full = users.Checks(owner, lambda config, domain, user: None, lambda port: False)
    with pytest.raises(Refused, match="nginx, pid 1"):
        users.add(config, {"name": "b"}, True, full)
    assert asked == [65535]


def test_a_freed_port_is_used_again_and_nobody_elses_moves():
    config = Config()
    first, second = add(config, "a"), add(config, "b")
    config.users.remove(first)
    third = add(config, "c")
    assert (second.port, third.port) == (2444, 2443)
    assert third.id != first.id and third.secret != first.secret


@pytest.mark.parametrize("name", ["", "   ", "x" * 300, "a\nb", "a\x00b", "\u202eevil", "ALICE"])
def test_a_bad_or_taken_name_is_refused(name):
    config = Config()
    add(config, "Alice")
    before = config.model_copy(deep=True)
    with pytest.raises(Refused) as refused:
        add(config, name)
    assert refused.value.field == "name" and str(refused.value)
    assert config == before


def test_names_are_trimmed_and_may_be_in_any_language():
    assert add(Config(), "  Бабушка 👵 ").name == "Бабушка 👵"


def test_an_id_of_another_user_is_no_name():
    config = Config()
    with pytest.raises(Refused):
        add(config, add(config, "Alice").id)


@pytest.mark.parametrize("field, value", [
    ("limit_gb", "-1"), ("limit_gb", "much"), ("limit_gb", "nan"), ("limit_gb", "1e3"), ("limit_gb", "1000001"),
    ("speed_mbps", "-0.5"), ("speed_mbps", "fast"), ("speed_mbps", "inf"),
    ("expires", "yesterday"), ("expires", "2020-01-01"), ("expires", "31.12.2030"),
    ("domain", "no dots"), ("domain", "http://example.com"), ("domain", "1.2.3.4"), ("domain", "x" * 300 + ".com"),
    ("port", "0"), ("port", "65536"), ("port", "http"), ("port", "2444"),
    ("secret", "ee00"), ("secret", "xyz"), ("note", "x" * 1001), ("colour", "colour"),
])
def test_a_value_that_is_not_allowed_is_refused_naming_its_field(field, value):
    config = Config()
    user = add(config, "Alice")
    add(config, "Bob")
    with pytest.raises(Refused) as refused:
        change(config, user, **{field: value})
    assert refused.value.field == field
    assert field in ("note", "secret") or value[:30] in str(refused.value)


def test_a_limit_may_be_set_and_cleared_again():
    config = Config()
    user = add(config, "Alice", limit_gb="1,5", speed_mbps="2.5", expires="2999-12-31")
    assert (user.traffic_limit_gb, user.throttle_speed_mbps, user.expires_at.year) == (1.5, 2.5, 3000)
    change(config, user, limit_gb="", speed_mbps="0", expires="never")
    assert (user.traffic_limit_gb, user.throttle_speed_mbps, user.expires_at) == (0, 0, None)


@pytest.mark.parametrize("field", ["limit_gb", "speed_mbps"])
def test_a_comma_that_may_divide_thousands_is_not_taken_for_a_decimal_one(field):
    config = Config()
    user = add(config)
    with pytest.raises(Refused, match="'1,500' can be read in two ways: write 1500 or 1.500") as refused:
        change(config, user, **{field: "1,500"})
    assert refused.value.field == field
    change(config, user, limit_gb="0,125", speed_mbps="1500,5")
    assert (user.traffic_limit_gb, user.throttle_speed_mbps) == (0.125, 1500.5)


def test_another_domain_keeps_the_key_and_another_secret_changes_it():
    config = Config()
    user = add(config)
    key = Secret.parse(user.secret).key
    change(config, user, domain="WWW.Example.com")
    assert Secret.parse(user.secret) == Secret("faketls", key, "www.example.com")
    users.rotate(user)
    assert Secret.parse(user.secret).key != key
    assert user.fake_tls_domain == Secret.parse(user.secret).domain == "www.example.com"


def test_users_are_found_by_id_and_by_name():
    config = Config()
    alice = add(config, "Alice")
    assert users.find(config, alice.id) is alice is users.find(config, "Alice")
    with pytest.raises(Refused, match="no user 'Bob'"):
        users.find(config, "Bob")


def test_a_name_that_two_users_of_an_old_file_have_is_refused_with_their_ids():
    config = Config()
    first, second = add(config, "a"), add(config, "b")
    first.name = second.name = "Phone"
    with pytest.raises(Refused, match=f"{first.id}, {second.id}"):
        users.find(config, "Phone")
    assert users.find(config, second.id) is second


def test_a_port_that_another_program_has_is_refused_in_its_words():
    config = Config()
    user = add(config)
    with pytest.raises(Refused, match="nginx"):
        users.change(config, user, {"port": "3000"}, world(by_nginx))
    assert user.port == 2443


def test_when_no_port_is_left_that_is_said():
    with pytest.raises(Refused, match="no port is free from 65535"):
        users.add(Config(proxy_port=65535), {"name": "a"}, True, world(by_nginx))


@pytest.mark.parametrize("field, value", [
    ("at_limit", "kill"), ("reset_cycle", "often"), ("reset_cycle", "monthly 32"), ("limit_gb", "null"),
    ("expires_after_days", "-1"), ("expires_after_days", "1.5"), ("expires_after_days", "36501")])
def test_a_value_of_limits_that_is_not_allowed_is_refused_naming_its_field(field, value):
    config = Config()
    user = add(config)
    before = user.model_copy(deep=True)
    with pytest.raises(Refused) as refused:
        change(config, user, **{field: value})
    assert refused.value.field == field and value in str(refused.value)
    assert user == before


def test_none_is_a_choice_of_its_own_and_empty_is_what_is_set_for_all():
    config = Config()
    user = add(config, limit_gb="None", speed_mbps="none", at_limit="block", reset_cycle="Weekly Tue")
    assert (user.traffic_limit_gb, user.throttle_speed_mbps) == (None, None)
    assert (user.at_limit, user.reset_cycle) == ("block", "weekly tuesday")
    change(config, user, limit_gb="", speed_mbps="0", at_limit="", reset_cycle="")
    assert (user.traffic_limit_gb, user.throttle_speed_mbps) == (0, 0)
    assert user.at_limit == user.reset_cycle == ""


@pytest.mark.parametrize("domain", ["www.google.com:443", "localhost", "WWW.Example.com", "a_b.example.com"])
def test_a_secret_with_an_odd_domain_is_taken_and_stops_nobody_elses_change(fleet, domain):
    secret = Secret("faketls", b"k" * 16, domain)
    bob = fleet.add_user("Bob")
    assert fleet.update_user(bob.id, {"secret": secret.hex}).domain == domain
    fleet.add_user("Alice")
    assert f"secret={secret.hex}" in fleet.user(bob.id).tg_link
    assert fleet.rotate(bob.id).domain == domain
    fleet.set_settings({"traffic_limit_gb": "5"})


def test_a_name_is_found_however_its_letters_were_put_together(fleet):
    rene = fleet.add_user("Rene\u0301")
    assert rene.name == "René" and fleet.user("Rene\u0301").id == fleet.user("René").id == rene.id
    with pytest.raises(Refused, match="already"):
        fleet.add_user("RENÉ")


def test_what_was_left_out_of_a_user_is_settled_by_setting_it(fleet):
    bob = fleet.add_user("Bob")
    with fleet.file.edit() as config:
        config.not_understood = [Leftover(field="traffic_limit_gb", user=bob.id, value="much", reason="much")]
    assert fleet.status().problems
    fleet.update_user(bob.id, {"limit_gb": ""})
    assert not fleet.status().problems
