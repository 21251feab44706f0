"""Every route of the panel, for tests that hold for all of them, and for those that will be there tomorrow."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import Rule

from tests.support.fleet import Fleet

#: Answered without a login.
OPEN_TO_ALL = {"/login", "/healthz", "/static/panel.js"}
#: What of an element makes a browser ask for something, now or at a click.
LOADING_ATTRIBUTES = ("src", "href", "action", "srcset", "poster", "data", "formaction", "data-refresh",
                      "data-log")


def every_path(panel: Flask, fleet: Fleet) -> dict[str, set[str]]:
    """address -> the methods it answers, with a user's id where one is wanted."""
    user_id = fleet.users()[0].id

    def path(rule: Rule) -> str:
        values = {"user_id": user_id, "filename": "panel.js", "name": "mtproto-20270101T030000Z.tar.gz"}
        assert rule.arguments <= values.keys(), f"tell tests/web/routes.py what to put into {rule.rule}"
        return rule.build(values, append_unknown=False)[1]

    found: dict[str, set[str]] = {}
    for rule in panel.url_map.iter_rules():
        found.setdefault(path(rule), set()).update(rule.methods)
    return dict(sorted(found.items()))


def paths(panel: Flask, fleet: Fleet, method: str) -> list[str]:
    """The address of every route that answers this method."""
    return [path for path, methods in every_path(panel, fleet).items() if method in methods]
