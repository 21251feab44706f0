"""The page of banned addresses."""

from __future__ import annotations

import time

from app.bans.folder import BansFolder, Request


def test_a_ban_is_shown_and_ended_by_its_button(admin, fleet) -> None:
    assert "Bans are switched off." in admin.get("/bans").text
    fleet.set_settings({"bans": True})
    assert "sudo mtproto fail2ban install" in admin.get("/bans").text
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


def test_the_settings_lead_to_it(admin) -> None:
    assert '/bans"' in admin.get("/settings/bans").text
