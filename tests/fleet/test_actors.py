"""Actors: who may do what is decided by the action itself, whoever calls it."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

from app.accounts.actor import CLI, PANEL, Actor, NotAllowed, Right
from app.actions import admins, certificates, debug_logs, proxies, renewal, settings, traffic, updates, users
from app.config.model import Admin
from app.messages import Problem
from tests.support.fleet import Fleet

#: Anna may change settings, Bob may not, and nobody knows who Eve is.
ANNA = Actor.of_admin("web", Admin(username="anna", password_hash="", sudo=True))
BOB = Actor.of_admin("web", Admin(username="bob", password_hash="", sudo=False))
EVE = Actor("web", Right.NONE)

#: What only who may change settings may do, and what every admin may, each with arguments that would change something.
SUDO = {
    admins.create_admin: ("carol", "a long enough one"), admins.set_password: ("admin",),
    admins.set_sudo: ("admin", True), admins.remove_admin: ("admin",),
    settings.set_settings: ({"server_domain": "proxy.example"},),
    settings.check_domains: (["127.0.0.1"],), certificates.renew_certificates: (), updates.ask: (),
    debug_logs.begin: ("telemt",), debug_logs.end: ("telemt",)}
USERS = {
    users.add_user: ("Dora",), users.update_user: ("Alice", {"note": "x"}), users.disable: ("Alice",),
    users.enable: ("Alice",), users.rotate: ("Alice",), traffic.reset_traffic: (), proxies.stop_all: (),
    proxies.start_all: (), proxies.restart: (), proxies.reconcile: (), proxies.stop_everything: (),
    renewal.renew: (), users.remove: ("Alice",)}


def public(module: ModuleType) -> set[object]:
    return {each for name, each in inspect.getmembers(module, inspect.isfunction)
            if each.__module__ == module.__name__ and not name.startswith("_")}


def everything(fleet: Fleet) -> tuple[object, ...]:
    return (fleet.file.path.read_bytes(), fleet.runtime.observe(), fleet.ledger.events.recent(100),
            fleet.ledger.traffic.totals())


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    fleet.add_user("Alice")
    return fleet


def test_every_action_takes_an_actor_but_the_one_that_finds_out_who_somebody_is():
    actions = set().union(*(map(public, (
        admins, certificates, debug_logs, proxies, renewal, settings, traffic, updates, users))))
    others = {admins.check_login, renewal.outdated, updates.told}
    assert actions == {*SUDO, *USERS, *others}
    for action in actions - others:
        assert list(inspect.signature(action).parameters)[:2] == ["system", "actor"]


@pytest.mark.parametrize("action", [*SUDO, *USERS], ids=lambda action: action.__name__)
def test_an_actor_without_any_right_changes_nothing(fleet, action):
    before = everything(fleet)
    with pytest.raises(NotAllowed) as refused:
        action(fleet, EVE, *{**SUDO, **USERS}[action])
    assert refused.value.problems == (
        Problem("actor.not_sudo" if action in SUDO else "actor.no_admin", {"name": "web"}),)
    assert everything(fleet) == before


@pytest.mark.parametrize("action", SUDO, ids=lambda action: action.__name__)
def test_an_admin_who_may_not_change_settings_changes_none(fleet, action):
    before = everything(fleet)
    with pytest.raises(NotAllowed) as refused:
        action(fleet, BOB, *SUDO[action])
    assert refused.value.problems == (Problem("actor.not_sudo", {"name": "bob"}),)
    assert everything(fleet) == before


def test_every_admin_may_do_everything_to_users_and_their_proxies(fleet):
    for action, arguments in USERS.items():
        action(fleet, BOB, *arguments)
    done = {(event.action, event.actor) for event in fleet.events()}
    assert {("user.added", "admin:bob"), ("user.removed", "admin:bob"), ("proxies.stopped", "admin:bob")} <= done


def test_the_audit_log_names_the_admin_or_the_way_in(fleet):
    for actor in (ANNA, CLI, PANEL):
        settings.set_settings(fleet, actor, {"server_domain": "proxy.example"})
    assert [event.actor for event in fleet.events(limit=3)] == ["panel", "cli", "admin:anna"]
