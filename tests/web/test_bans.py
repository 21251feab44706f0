"""The page of banned addresses."""

from __future__ import annotations

import shlex
import time
from html import unescape

import pytest
from flask import Flask

from app.bans.folder import BansFolder, Request
from app.commands import FOLDER
from tests.support.fleet import Fleet
from tests.web.html import read
from tests.web.visitor import PASSWORD, Visitor


def test_a_ban_is_shown_and_ended_by_its_button(admin, fleet) -> None:
    assert "Bans are switched off." in admin.get("/bans").text
    fleet.set_settings({"bans": True})
    program = shlex.quote(f"{FOLDER}/host/mtproto")
    assert f"sudo {program} fail2ban install" in unescape(admin.get("/bans").text), "as it can be typed here"
    folder = fleet.data_dir / "bans"
    folder.mkdir(exist_ok=True)
    now = int(time.time())
    (folder / "active").write_text(f"mtproto-bans 1 running {now} 0\n203.0.113.7 {now - 60} {now + 3600}\n")
    page = admin.get("/bans").text
    assert "203.0.113.7" in page and "End ban" in page
    admin.post("/bans/remove", {"address": "203.0.113.7"})
    assert BansFolder(fleet.data_dir).requests() == [Request("unban", 1, "203.0.113.7")]
    assert "Ends in a moment" in admin.get("/bans").text
    assert "is not banned" in admin.post("/bans/remove", {"address": "203.0.113.9"}, follow_redirects=True).text


@pytest.mark.parametrize("language", ["en", "ru"])
def test_what_is_off_leads_to_the_setting_that_turns_it_on(admin: Visitor, language: str) -> None:
    admin.client.set_cookie("language", language)
    page = admin.get("/bans").text
    href = next(e.attributes["href"] for e in read(page) if "#at-" in e.attributes.get("href", ""))
    assert "settings set bans=true" in page
    path, _, anchor = href.partition("#")
    assert any(e.attributes.get("id") == anchor for e in read(admin.get(path).text)), href


def test_who_may_not_change_it_is_told_who_can(fleet: Fleet, panel: Flask) -> None:
    fleet.create_admin("olga", PASSWORD, role="operator")
    olga = Visitor(panel.test_client())
    olga.login("olga")
    page = olga.get("/bans").text
    assert "An owner can change this." in page and "settings set bans" not in page


def test_on_a_server_of_the_installer_the_command_is_its_own(admin, fleet, monkeypatch) -> None:
    fleet.set_settings({"bans": True})
    monkeypatch.setenv("MTPROTO_EDGE", "1")
    assert "sudo mtproto fail2ban install" in admin.get("/bans").text


def test_a_page_that_needs_a_name_leads_to_where_it_is_set(admin: Visitor, fleet: Fleet) -> None:
    ann = fleet.add_user("Ann")
    admin.post(f"/users/{ann.id}/page")
    links = {e.attributes.get("href") for e in read(admin.get(f"/users/{ann.id}").text)}
    assert "/settings/panel#at-share_hostname" in links


def test_the_settings_lead_to_it(admin) -> None:
    assert '/bans"' in admin.get("/settings/bans").text


def test_an_address_is_banned_by_the_form_and_what_is_refused_is_said(admin, fleet) -> None:
    assert "Ban an address" not in admin.get("/bans").text
    # By a page from before they were switched off.
    for address, words in (("8.8.8.8", "switches them on"), ("x", "is not an IP address")):
        refused = admin.post("/bans/add", {"address": address})
        assert refused.status_code == 422 and words in refused.text
    fleet.set_settings({"bans": True, "ban_length": "45"})
    page = admin.get("/bans").text
    assert "Ban an address" in page and "45" in page
    assert "203.0.113.7" in admin.post("/bans/add", {"address": "203.0.113.7", "reason": "<b>"},
                                       follow_redirects=True).text
    assert BansFolder(fleet.data_dir).requests() == [Request("ban", 1, "203.0.113.7")]
    assert "Asked for, and not there yet: 203.0.113.7" in admin.get("/bans").text
    for address, words in (("0.0.0.0/0", "is a network"), ("10.0.0.1", "private"), ("", "is not an IP address")):
        refused = admin.post("/bans/add", {"address": address, "reason": "tries & tries"})
        assert refused.status_code == 422 and words in refused.text
        assert f'value="{address}"' in refused.text and 'value="tries &amp; tries"' in refused.text
    assert len(BansFolder(fleet.data_dir).requests()) == 1
