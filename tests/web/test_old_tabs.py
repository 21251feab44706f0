"""A tab from before an update of the panel, or from before the session ended: it is told, and nothing typed is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.web.html import read, text, value_of
from tests.web.visitor import Visitor


def test_the_form_that_all_settings_once_had_leads_to_the_pages_of_today_with_what_was_typed(
        admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    before = declaration.read_bytes()
    shown = '{"backup_keep": "7", "monitor_seconds": "10", "server_domain": ""}'
    answer = admin.post("/settings", {"backup_keep": "9", "monitor_seconds": "10", "server_domain": "<b>.example",
                                      "shown": shown, "panel_path": ""})
    assert answer.status_code == 409 and declaration.read_bytes() == before
    assert "Nothing was saved." in text(answer.text)
    forms = [e for e in read(answer.text) if e.tag == "form" and e.attributes["action"].startswith("/settings/")]
    assert [f.attributes["action"] for f in forms] == ["/settings/general", "/settings/backups"]
    inputs = [e.attributes for e in read(answer.text) if e.tag == "input" and e.attributes.get("name") == "backup_keep"]
    page = admin.post("/settings/backups", {"backup_keep": inputs[0]["value"], "sure": "no", "shown": shown}).text
    assert value_of(page, "backup_keep") == "9" and declaration.read_bytes() == before
    assert admin.get("/settings").status_code == 302
    assert "Open the settings" in admin.post("/settings", {}).text


@pytest.mark.parametrize(("path", "code"), [("/events", 405), ("/users/0badc0de/edit", 404), ("/nothing", 404)])
def test_a_form_that_is_no_more_is_told_and_what_was_typed_is_shown(admin: Visitor, path: str, code: int) -> None:
    answer = admin.post(path, {"name": "O'Brien <b>", "note": "علی", "password": "hush-hush", "link": "tg://hush"})
    assert answer.status_code == code and ("Nothing was changed" in text(answer.text)) == (code == 405)
    said = text(answer.text)
    assert "What you had typed" in said and "O'Brien <b>" in said and "Note" in said and "علی" in said
    assert "hush" not in said and "csrf" not in said
    assert "What you had typed" not in admin.get("/nothing").text


def test_a_form_whose_token_has_expired_shows_what_was_typed(admin: Visitor) -> None:
    answer = admin.client.post("/users/new", data={"name": "Late", "csrf_token": "old", "note": "two lines"})
    assert answer.status_code == 400 and "two lines" in text(answer.text)
