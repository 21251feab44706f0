"""Dates on pages are written as people write them; as they sort, they stand in attributes, commands and logs only."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from app.control.monitor import Monitor
from app.rules.limits import GB
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.web.routes import every_page
from tests.web.visitor import Visitor

#: Parts of a page that are written by programs, or for them; so are logs, and the description of the API.
THEIRS = re.compile(r"<(script|style|code|pre|textarea)\b.*?</\1>|<[^>]*>", re.DOTALL)


@pytest.mark.parametrize(("language", "said"), [("en", "1 Jan 2199"), ("ru", "1 янв. 2199")])
def test_no_page_shows_a_date_as_programs_write_it(
        panel: Flask, fleet: Fleet, admin: Visitor, language: str, said: str) -> None:
    gone = fleet.add_user("Gone").id
    over = fleet.add_user("Over", limit_gb="1", at_limit="block", reset_cycle="monthly 1", expires="2199-01-01")
    with fleet.file.edit() as config:
        next(user for user in config.users if user.id == gone).expires_at = fleet.reconciler.now()
    fleet.runtime.machine.metrics(f"mtg-proxy-{over.port}", metrics(down=2 * GB))
    Monitor(fleet, 10).tick()
    assert [user.state for user in fleet.users()] == ["expired", "blocked"]
    admin.client.set_cookie("language", language)
    pages = {path: answer.get_data(as_text=True) for path in (*every_page(panel, fleet), f"/users/{over.id}")
             if (answer := admin.get(path)).mimetype == "text/html" and not path.startswith(("/logs", "/account/api"))}
    assert {path: found for path, page in pages.items()
            if (found := re.findall(r".{0,60}\b2\d\d\d-\d\d-\d\d.{0,20}", THEIRS.sub("", page)))} == {}
    assert said in pages[f"/users/{over.id}"]
