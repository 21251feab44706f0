"""Actors: who may do what is decided by the action itself, whoever calls it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType
from unittest.mock import Mock

import pytest

import app.actions
from app.accounts.actor import CLI, PANEL, Actor, NotAllowed, Right
from app.accounts.logins import Place
from app.actions import (
    admins,
    certificates,
    debug_logs,
    many,
    plans,
    proxies,
    renewal,
    settings,
    share,
    traffic,
    updates,
    users,
)
from app.config.model import Admin
from app.messages import Problem
from tests.support.fleet import Fleet

#: Anna is an owner, Bob an operator, Vera a viewer, and nobody knows who Eve is.
ANNA = Actor.of_admin("web", Admin(username="anna", password_hash="", role="owner"))
BOB = Actor.of_admin("web", Admin(username="bob", password_hash="", role="operator"))
VERA = Actor.of_admin("web", Admin(username="vera", password_hash="", role="viewer"))
EVE = Actor("web", Right.NONE)

#: What only an owner may do, and what an operator may, too, each with arguments that would change something.
SUDO = {
    admins.create_admin: ("carol", "a long enough one"), admins.set_password: ("admin",),
    admins.set_role: ("admin", "owner"), admins.remove_admin: ("admin",),
    settings.set_settings: ({"server_domain": "proxy.example"},),
    settings.check_domains: (["127.0.0.1"],), certificates.renew_certificates: (), updates.ask: (),
    debug_logs.begin: ("telemt",), debug_logs.end: ("telemt",), proxies.stop_all: (), proxies.start_all: (),
    proxies.stop_everything: (), renewal.renew: (), admins.keep_first_password: ()}
USERS = {
    users.add_user: ("Dora",), users.update_user: ("Alice", {"note": "x"}), users.disable: ("Alice",),
    users.enable: ("Alice",), users.rotate: ("Alice",), traffic.reset_traffic: (),
    proxies.restart: ("Alice",), proxies.reconcile: (), plans.add_plan: ("Month",),
    plans.change_plan: ("Month", {"limit_gb": "5"}),
    plans.remove_plan: ("Month",), share.make_page: ("Alice",), share.renew_page: ("Alice",),
    share.remove_page: ("Alice",), many.add_many: (["Frank"], {}), users.remove: ("Alice",), users.restore: ("Alice",),
    users.forget: ("Gone",)}
#: The same; what they do is tried in web/test_account and web/test_users_many.
FURTHER = {many.change_many: ([], "disable", "", None),
           many.undo: (None, None)}
#: What everybody who has logged in may do, to their own account.
OWN = {admins.set_own_password: ("a", "b", Place("127.0.0.1"))}


def public(module: ModuleType) -> set[object]:
    return {each for name, each in inspect.getmembers(module, inspect.isfunction)
            if each.__module__ == module.__name__ and not name.startswith("_")}


def everything(fleet: Fleet) -> tuple[object, ...]:
    return (fleet.file.path.read_bytes(), fleet.runtime.observe(), fleet.ledger.events.recent(100),
            fleet.ledger.traffic.totals())


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    fleet.add_user("Alice")
    fleet.add_user("Gone")
    fleet.remove("Gone")
    return fleet


def test_every_action_takes_an_actor_but_the_one_that_finds_out_who_somebody_is():
    actions = set().union(*(map(public, (
        admins, certificates, debug_logs, many, plans, proxies, renewal, settings, share, traffic, updates, users))))
    # They read, or are a guard; and who has the address of their own page may renew their link, where that is allowed.
    others = {admins.check_login, renewal.outdated, updates.told, users.checks_of, users.unchecked, many.check,
              share.renew_link}
    assert actions == {*SUDO, *USERS, *FURTHER, *OWN, *others}
    for action in actions - others:
        assert list(inspect.signature(action).parameters)[:2] == ["system", "actor"]


class Asked(Exception):
    """right: what was asked for before anything else was looked at."""

    def __init__(self, right: Right) -> None:
        self.right = right


class Asking(Actor):
    """Tells what is asked of it."""

    def require(self, right: Right) -> None:
        raise Asked(right)


def actions_of(holder: object) -> Iterator[tuple[str, Callable[..., object]]]:
    """What takes an actor, in a module and its classes."""
    for name, each in inspect.getmembers(holder):
        if name.startswith("_") or getattr(each, "__module__", "") != getattr(holder, "__module__", holder.__name__):
            continue
        if inspect.isclass(each):
            yield from ((f"{name}.{inner}", function) for inner, function in actions_of(each))
        elif inspect.isfunction(each) and "actor" in inspect.signature(each).parameters:
            yield name, each


def test_every_action_of_today_and_tomorrow_asks_for_a_right_before_it_looks_at_anything():
    """Given nothing but somebody who asks; so a new module, function or method is covered the day it is there."""
    found = {}
    for module in pkgutil.iter_modules(app.actions.__path__, "app.actions."):
        for name, action in actions_of(importlib.import_module(module.name)):
            given = {key: Asking("web", Right.NONE) if key == "actor" else Mock() if key == "self" else None
                     for key, parameter in inspect.signature(action).parameters.items()
                     if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD}
            with pytest.raises(Asked) as asked:
                action(**given)
            found[f"{module.name.removeprefix('app.actions.')}.{name}"] = asked.value.right
    assert len(found) > 40
    assert {name for name, right in found.items() if right < Right.USERS} == {
        "admins.set_own_password", "factors.set_up", "factors.remove", "factors.renew_codes",
        "factors.begin_passkey", "factors.add_passkey", "factors.remove_passkey", "factors.prove",
        "tokens.create_token", "tokens.remove_token", "tokens.every_token"}
    assert {name.split(".")[0] for name, right in found.items() if right is Right.SUDO} >= {
        "admins", "backups", "certificates", "debug_logs", "proxies", "renewal", "settings", "updates"}


@pytest.mark.parametrize("action", [*SUDO, *USERS, *FURTHER, *OWN], ids=lambda action: action.__name__)
def test_an_actor_without_any_right_changes_nothing(fleet, action):
    before = everything(fleet)
    with pytest.raises(NotAllowed) as refused:
        action(fleet, EVE, *{**SUDO, **USERS, **FURTHER, **OWN}[action])
    assert refused.value.problems == (
        Problem("actor.not_sudo" if action in SUDO else "actor.no_admin", {"name": "web"}),)
    assert everything(fleet) == before


@pytest.mark.parametrize("action", [*SUDO, *USERS, *FURTHER], ids=lambda action: action.__name__)
def test_a_viewer_changes_nothing(fleet, action):
    before = everything(fleet)
    with pytest.raises(NotAllowed) as refused:
        action(fleet, VERA, *{**SUDO, **USERS, **FURTHER}[action])
    assert refused.value.problems == (
        Problem("actor.not_sudo" if action in SUDO else "actor.viewer", {"name": "vera"}),)
    assert everything(fleet) == before


def test_an_operator_restarts_one_proxy_but_not_all(fleet):
    proxies.restart(fleet, BOB, "Alice")
    with pytest.raises(NotAllowed):
        proxies.restart(fleet, BOB)
    proxies.restart(fleet, ANNA)


@pytest.mark.parametrize("action", SUDO, ids=lambda action: action.__name__)
def test_an_operator_changes_no_settings_and_stops_nobody(fleet, action):
    before = everything(fleet)
    with pytest.raises(NotAllowed) as refused:
        action(fleet, BOB, *SUDO[action])
    assert refused.value.problems == (Problem("actor.not_sudo", {"name": "bob"}),)
    assert everything(fleet) == before


def test_an_operator_may_do_everything_to_users_and_their_proxies(fleet):
    for action, arguments in USERS.items():
        action(fleet, BOB, *arguments)
    done = {(event.action, event.actor) for event in fleet.events()}
    assert {("user.added", "admin:bob"), ("user.removed", "admin:bob"), ("proxy.restarted", "admin:bob")} <= done


def test_the_audit_log_names_the_admin_or_the_way_in(fleet):
    for actor in (ANNA, CLI, PANEL):
        settings.set_settings(fleet, actor, {"server_domain": "proxy.example"})
    assert [event.actor for event in fleet.events(limit=3)] == ["panel", "cli", "admin:anna"]
