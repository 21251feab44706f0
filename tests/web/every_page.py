"""Every page that the panel can show, so that tests and pictures can go through all of them.

A page that answers a GET is found in the URL map; one that only a form leads to, or a state of the whole panel, is
named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from playwright.sync_api import Page

from app.accounts import factors
from app.accounts.actor import CLI
from app.actions import share
from app.config.second_factors import Passkey
from app.runtimes.base import RuntimeUnavailable
from app.web.pages.users_list import ACTIONS
from tests.support.fleet import Fleet
from tests.web.routes import every_page
from tests.web.visitor import NAME, PASSWORD, Visitor

#: Names that people have, and that pages must be able to hold.
ODD_NAMES = ("O'Brien <b>\"&\\", "علی‌رضا", "שרה", "🧑‍🚀" * 20, "Zoë Ångström-" + "x" * 40)


@dataclass(frozen=True)
class Shown:
    """One page. name: for its picture. path: where it is. fields: what is sent there by POST, None for a GET.
    stranger: shown to whoever is not logged in."""

    name: str
    path: str
    fields: dict[str, Any] | None = field(default=None)
    stranger: bool = False


def by_get(panel: Flask, fleet: Fleet, admin: Visitor) -> list[Shown]:
    """Every whole page that the URL map leads to, and no part of one."""
    found = []
    for path in every_page(panel, fleet):
        answer = admin.get(path)
        if answer.status_code == 200 and answer.mimetype == "text/html" and "<html" in answer.get_data(as_text=True):
            found.append(Shown(_name(path, fleet), path))
    return found


def further(fleet: Fleet) -> list[Shown]:
    """Pages of a panel with users that no GET of the walk shows: questions, refusals, jobs, errors."""
    users, plans = fleet.users(), fleet.plans()
    ids = [user.id for user in users[:3]]
    wrong = {"name": "", "limit_gb": "a lot", "speed_mbps": "-1", "expires": "2026-02-30", "domain": "no domain!",
             "port": "99999", "tags": "x" * 200, "note": "y" * 2000, "max_unique_ips": "٣٫٥"}
    pages = [Shown(f"users-bulk-{what}", "/users/bulk/ask", {"id": ids, "what": what, "back": "sort=name"})
             for what in ACTIONS if what != "export"]
    pages += [
        Shown("users-bulk-refused", "/users/bulk/do", {"id": ids, "what": "extend", "value": "for ever"}),
        Shown("users-bulk-done", "/users/bulk/do", {"id": ids, "what": "tag", "value": "family"}),
        Shown("users-bulk-failed", "/users/bulk/do", {"id": [*ids, "gone"], "what": "add_traffic", "value": "5"}),
        Shown("users-import-refused", "/users/import", {"names": "A\nA\n" + "x" * 300, "limit_gb": "a lot"}),
        Shown("users-import-done", "/users/import", {"names": "Added together"}),
        Shown("users-new-refused", "/users/new", wrong),
        Shown("users-edit-refused", f"/users/{ids[0]}/edit", wrong),
        Shown("users-nobody-found", "/users?q=nobody+has+this+name"),
        Shown("users-over-the-limit", "/users?filter=over&sort=used"),
        Shown("plans-new-refused", "/plans/new", wrong),
        Shown("admins-refused", "/admins", {"username": "x" * 100, "password": "short"}),
        Shown("admins-remove", "/admins/remove?username=ada"),
        Shown("account-refused", "/account/password", {"current": "wrong", "password": "a", "again": "b"}),
        Shown("account-tokens-refused", "/account/tokens", {"name": "", "scope": "admin", "current": "wrong"}),
        Shown("setup-address-refused", "/setup/address", {"server_ip": "999.1.1.1", "helper_url": "ftp://x"}),
        Shown("setup-address-checked", "/setup/address", {}), Shown("setup-link-tested", "/setup/link", {}),
        Shown("events-of-nobody", "/events?subject=nobody"),
        Shown("logs-of-one", f"/logs?user={ids[0]}&tail=50"),
        Shown("users-tested", f"/users/{ids[0]}/test", {}), Shown("check-done", "/check", {}),
        Shown("not-found", "/nothing/here"), Shown("not-allowed", "/logout"),
        Shown("form-expired", "/users/new", {"name": "Late", "csrf_token": "old"}),
        Shown("form-too-large", "/users/new", {"note": "x" * 70_000}),
        Shown("login", "/login", stranger=True),
        Shown("login-refused", "/login", {"username": "ada", "password": "wrong"}, stranger=True),
        Shown("not-found-for-strangers", "/s/nothing", stranger=True)]
    pages += [Shown("plans-edit-refused", f"/plans/{plans[0].id}", wrong)] if plans else []
    page = share.make_page(fleet, CLI, users[0].id)
    blocked = next((user for user in users if user.state == "blocked"), users[-1])
    pages += [Shown("share", page.path, stranger=True),
              Shown("share-blocked", share.make_page(fleet, CLI, blocked.id).path, stranger=True)]
    return pages


def open_page(window: Page, site: str, shown: Shown) -> None:
    """Go there as a browser does, by a form where it takes one."""
    if shown.fields is None:
        window.goto(site + shown.path)
        return
    window.goto(site + ("/login" if shown.stranger else "/users/new"))
    fields = {"csrf_token": window.locator("input[name=csrf_token]").first.get_attribute("value"), **shown.fields}
    with window.expect_navigation():
        window.evaluate("""([action, fields]) => {
            const form = document.createElement("form");
            form.method = "post"; form.action = action;
            for (const [name, values] of Object.entries(fields)) for (const value of [values].flat()) {
                const input = document.createElement("textarea");
                input.name = name; input.value = value; form.append(input);
            }
            document.body.append(form); form.submit();
        }""", [shown.path, fields])


def _name(path: str, fleet: Fleet) -> str:
    """An address as the name of a file: without what differs from one installation to the next."""
    for user in fleet.users():
        path = path.replace(user.id, "user")
    for plan in fleet.plans():
        path = path.replace(plan.id, "plan")
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "dashboard"


def second_factor(fleet: Fleet) -> list[Shown]:
    """Stops everything, and switches codes on for both admins, of whom one is logged in; the pages that are others
    then."""
    fleet.stop_all()
    with fleet.file.edit() as config:
        for admin in config.admins:
            factors.put(config, admin.username, factors.new_secret(), factors.new_codes())
        config.second_factors[0].passkeys = [
            Passkey(name=name, host="panel.example.org", credential="A" * 80) for name in ("Laptop", ODD_NAMES[0])]
    return [Shown("dashboard-stopped", "/"), Shown("users-user-stopped", f"/users/{fleet.users()[0].id}"),
            Shown("admins-with-factors", "/admins"), Shown("account-factor-on", "/account/factor"),
            Shown("account-factor-on-refused", "/account/factor/codes", {"current": "wrong", "code": "1"}),
            Shown("login-code", "/login", {"username": NAME, "password": PASSWORD}, stranger=True)]


@contextmanager
def silent_runtime(fleet: Fleet, why: str = "Docker does not answer: systemctl start docker") -> Iterator[None]:
    """In this block nothing that runs can be seen or changed."""
    def gone(*_: object, **__: object) -> None:
        raise RuntimeUnavailable(why)

    verbs = ("place", "port_taken", "port_free", "observe", "create", "start", "update", "stop", "remove", "logs",
             "merged_logs", "followed_logs", "samples", "throttle", "throttled", "wait", "foreign", "adopt", "notices")
    kept = {verb: fleet.runtime.__dict__.get(verb) for verb in verbs}
    for verb in verbs:
        setattr(fleet.runtime, verb, gone)
    try:
        yield
    finally:
        for verb, own in kept.items():
            delattr(fleet.runtime, verb) if own is None else setattr(fleet.runtime, verb, own)


@contextmanager
def unreadable(fleet: Fleet) -> Iterator[None]:
    """In this block somebody has broken config.json by hand."""
    file = fleet.data_dir / "config.json"
    good = file.read_bytes()
    file.write_bytes(good[:-20])
    try:
        yield
    finally:
        file.write_bytes(good)
