"""Every route of the panel, for tests that hold for all of them, and for those that will be there tomorrow."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import Rule

from app.config.channels import KINDS
from app.web.setting_groups import GROUPS
from tests.support.fleet import Fleet

#: Answered without a login.
OPEN_TO_ALL = {"/login", "/language", "/healthz", "/static/panel.js"}
#: Parts of addresses that have more than one page behind them; one is enough where routes are meant.
EVERY = {"page": [group.name for group in GROUPS], "kind": list(KINDS)}
#: What of an element makes a browser ask for something, now or at a click.
LOADING_ATTRIBUTES = ("src", "href", "action", "srcset", "poster", "data", "formaction", "hx-get", "hx-post",
                      "data-copy-from")


def _rules(panel: Flask, fleet: Fleet, **chosen: str) -> list[tuple[Rule, str]]:
    """Every rule and its address, with a user's id where one is wanted. chosen: parts of addresses."""
    user_id = next((user.id for user in fleet.users()), "none")

    def path(rule: Rule) -> str:
        values = {"user_id": user_id, "plan_id": next((plan.id for plan in fleet.plans()), "none"),
                  "channel_id": next((one.id for one in fleet.config().notifications), "none"), "kind": "webhook",
                  "deleted_id": "none", "job_id": "0123456789abcdef", "filename": "panel.js", "period": "day",
                  "size": "192", "page": "general", "key": "server_ip", "name": "mtproto-20270101T030000Z.tar.gz",
                  **chosen}
        assert rule.arguments <= values.keys(), f"tell tests/web/routes.py what to put into {rule.rule}"
        return rule.build(values, append_unknown=False)[1]

    # The addresses of users' own pages are keys: what holds for them is in test_share.py; for programs, in tests/api.
    return [(rule, path(rule)) for rule in panel.url_map.iter_rules()
            if rule.endpoint != "share.page" and not rule.endpoint.startswith("api.")]


def endpoints(panel: Flask, fleet: Fleet, method: str) -> list[tuple[str, str]]:
    """(endpoint, address) of every route that answers this method."""
    return sorted((rule.endpoint, path) for rule, path in _rules(panel, fleet) if method in rule.methods)


def every_path(panel: Flask, fleet: Fleet) -> dict[str, set[str]]:
    """address -> the methods it answers."""
    found: dict[str, set[str]] = {}
    for rule, path in _rules(panel, fleet):
        found.setdefault(path, set()).update(rule.methods)
    return dict(sorted(found.items()))


def paths(panel: Flask, fleet: Fleet, method: str) -> list[str]:
    """The address of every route that answers this method."""
    return [path for path, methods in every_path(panel, fleet).items() if method in methods]


def every_page(panel: Flask, fleet: Fleet) -> list[str]:
    """The address of everything that answers a GET: each group of the settings, each kind of a form."""
    found = set(paths(panel, fleet, "GET"))
    for part, values in EVERY.items():
        for value in values:
            found |= {path for rule, path in _rules(panel, fleet, **{part: value})
                      if part in rule.arguments and "GET" in rule.methods}
    return sorted(found)
