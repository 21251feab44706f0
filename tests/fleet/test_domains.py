"""Which SNI domain a user gets, and which nobody can have."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from app.config import model
from app.config.model import Config, OldLink, User
from app.control.errors import Refused
from app.mtproto.secret import Secret
from app.rules import domains

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def user(name: str, domain: str, port: int, **fields) -> User:
    return User(id=f"id-{port}", name=name, port=port, secret=Secret.generate(domain).hex, created_at=NOW, **fields)


def filled(**settings) -> Config:
    """Users have every domain of the pool."""
    config = Config(domain_pool=["a.example", "b.example"], fake_tls_domain="a.example", **settings)
    config.users = [user("A", "a.example", 1), user("B", "b.example", 2)]
    return config


def test_users_get_domains_of_their_own_until_the_pool_is_empty():
    config = Config()
    for port in range(1, 40):
        config.users.append(user(f"u{port}", domains.pick(config, NOW), port))
    given = [each.fake_tls_domain for each in config.users]
    pool = {config.fake_tls_domain, *model.DOMAIN_POOL}
    assert given[0] == config.fake_tls_domain
    assert set(given) == pool
    assert len(set(given[:len(pool)])) == len(pool)


def test_an_empty_pool_is_refused_on_port_443_where_nobody_can_share():
    assert domains.pick(filled(), NOW) == "a.example"
    with pytest.raises(Refused, match="every one of the 2 domains"):
        domains.pick(filled(port_443_mode=True), NOW)


def test_with_a_pinned_cover_everybody_gets_the_domain_it_has_a_certificate_for():
    config = Config(domain_fronting_ip="127.0.0.1", fake_tls_domain="cover.example.com")
    config.users = [user("A", "cover.example.com", 1)]
    assert domains.pick(config, NOW) == "cover.example.com"


@pytest.mark.parametrize("mode", [True, False])
def test_under_a_domain_of_ones_own_every_name_is_random_and_new(mode):
    config = Config(sni_mode="own", sni_base_domain="example.com", port_443_mode=mode)
    names = set()
    for port in range(1, 60):
        names.add(name := domains.pick(config, NOW))
        config.users.append(user(f"u{port}", name, port))
        label, _, base = name.partition(".")
        assert base == "example.com" and label.isalpha() and label.islower()
    assert len(names) == 59


def test_the_panels_name_is_nobodys():
    config = filled(panel_domain="panel.example")
    assert domains.conflict(config, "panel.example", None, NOW).code == "domain.of_panel"


def test_on_port_443_a_domain_has_one_user():
    config = filled(port_443_mode=True)
    assert domains.conflict(config, "b.example", config.users[0], NOW).params["name"] == "B"
    assert domains.conflict(config, "a.example", config.users[0], NOW) is None
    assert domains.conflict(config, "c.example", None, NOW) is None
    assert domains.conflict(filled(), "b.example", None, NOW) is None, "ports tell these two apart"


def test_an_old_link_that_still_works_keeps_its_domain_from_others():
    config = filled(port_443_mode=True)
    config.users[0].old_links = [OldLink(secret=Secret.generate("old.example").hex, replaced_at=NOW,
                                         until=NOW + timedelta(days=1))]
    assert domains.conflict(config, "old.example", None, NOW).params["name"] == "A"
    assert domains.conflict(config, "old.example", config.users[0], NOW) is None
    assert domains.conflict(config, "old.example", None, NOW + timedelta(days=1)) is None


def test_own_names_are_the_base_and_what_users_have_below_it():
    config = Config(sni_base_domain="mine.example")
    config.users = [user("A", "a.mine.example", 1), user("B", "notmine.example", 2), user("C", "c.mine.example", 3)]
    assert domains.own_names(config, NOW) == ("mine.example", "a.mine.example", "c.mine.example")
    config.sni_base_domain = ""
    assert domains.own_names(config, NOW) == ()
