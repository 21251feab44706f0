"""Bans by the API: fail2ban does what it is asked for, some seconds later."""

from __future__ import annotations

import time

import pytest

from app.bans.folder import BansFolder
from tests.api.program import Program
from tests.support.fleet import Fleet


@pytest.fixture
def banned(fleet: Fleet) -> str:
    """An address that the server has told as banned."""
    fleet.set_settings({"bans": True})
    folder, now = fleet.data_dir / "bans", int(time.time())
    folder.mkdir(exist_ok=True)
    (folder / "active").write_text(f"mtproto-bans 1 running {now} 0\n203.0.113.7 {now - 60} {now + 3600}\n")
    return "203.0.113.7"


def test_a_ban_is_told_and_its_end_asked_for_by_operators_too(program, fleet: Fleet, banned: str):
    olga: Program = program("users", "Olga")
    now = olga.get("/bans").json
    assert now["wanted"] is True and now["state"] == "running" and now["asked"] == []
    assert [(each["address"], each["ending"]) for each in now["bans"]] == [(banned, False)]
    answer = olga.post("/bans/remove", {"address": banned})
    assert answer.status_code == 202 and answer.json["bans"][0]["ending"] is True
    assert [(each.verb, each.place) for each in BansFolder(fleet.data_dir).requests()] == [("unban", banned)]
    again = olga.post("/bans/remove", {"address": "203.0.113.9"})
    assert again.status_code == 422 and again.json["errors"][0]["field"] == "address"


def test_an_address_is_banned_by_owners_and_never_one_of_a_private_network(ada: Program, program, banned: str):
    assert program("users", "Olga").post("/bans", {"address": "198.51.100.7"}).status_code == 403
    assert ada.post("/bans", {"address": "10.0.0.1"}).json["code"] == "bans.private"
    assert ada.post("/bans", {"address": "8.8.8.8"}).json["asked"] == ["8.8.8.8"]


def test_a_viewer_sees_no_addresses(program, banned: str):
    assert program("read", "Viktor").get("/bans").status_code == 403
