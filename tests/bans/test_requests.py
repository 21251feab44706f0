"""The list of bans, and what is asked of fail2ban: by commands, by the page, by the panel itself."""

from __future__ import annotations

import time

import pytest

from app.accounts.actor import CLI
from app.actions import bans as actions
from app.bans.folder import BansFolder, Request, ranges
from app.bans.log import OffendersLog
from app.bans.offences import WRONG_KEY, Offence
from app.control import bans
from app.control.errors import Refused
from tests.support.fleet import Fleet

MALLORY = "203.0.113.7"


@pytest.fixture
def world(fleet: Fleet) -> Fleet:
    fleet.add_user("Anna")
    fleet.set_settings({"bans": True})
    bans.keep(fleet, fleet.declaration.last_good())
    return fleet


def server_says(fleet: Fleet, *lines: str, state: str = "running", done: int = 0) -> None:
    """As host/fail2ban/mtproto-bans writes it."""
    folder = fleet.data_dir / "bans"
    folder.mkdir(exist_ok=True)
    (folder / "active").write_text("\n".join([f"mtproto-bans 1 {state} {int(time.time())} {done}", *lines]) + "\n")


def ban(address: str, since: int = -60, lasts: int = 3600) -> str:
    now = int(time.time())
    return f"{address} {now + since} {now + since + lasts if lasts else 0}"


def test_the_server_is_told_the_settings_and_the_ports_of_the_proxies(world: Fleet) -> None:
    wanted = (world.data_dir / "bans/wanted").read_text()
    port = world.user("Anna").port
    assert wanted == (f"mtproto-bans 1\nenabled yes\nmaxretry 5\nfindtime 600\nbantime 3600\nports {port}-{port}\n")
    world.set_settings({"ban_after": "9", "bans": False})
    bans.keep(world, world.declaration.last_good())
    assert "enabled no\nmaxretry 9\n" in (world.data_dir / "bans/wanted").read_text()


def test_where_bans_never_were_wanted_nothing_is_written(fleet: Fleet) -> None:
    bans.keep(fleet, fleet.declaration.last_good())
    assert not (fleet.data_dir / "bans").exists()
    assert bans.view(fleet).state == "unknown"


def test_ports_are_ranges() -> None:
    assert ranges([443, 80, 2444, 2443, 2443]) == [(80, 80), (443, 443), (2443, 2444)]


def test_a_ban_is_listed_with_its_reason_and_one_that_is_over_is_not(world: Fleet) -> None:
    OffendersLog(world.data_dir / "logs").append([Offence(int(time.time()) - 9, MALLORY, 2443, WRONG_KEY)] * 5)
    server_says(world, ban(MALLORY), ban("2001:db8::", lasts=0), ban("203.0.113.8", -7200, 3600), "rubbish", "x 1 2")
    now = bans.view(world)
    assert [(each.address, each.reason, each.offences, each.ports) for each in now.bans] == [
        ("2001:db8::/64", "", 0, []), (MALLORY, WRONG_KEY, 5, [2443])]
    assert now.bans[0].until is None and (now.state, now.offences_day) == ("running", 5)


@pytest.mark.parametrize("text", ["", "mtproto-bans 2 running 1 1\n", "mtproto-bans 1 dancing 1 1\n", "\0" * 99])
def test_a_list_that_is_none_is_no_list(world: Fleet, text: str) -> None:
    (world.data_dir / "bans/active").write_text(text)
    assert bans.view(world).state == "unknown"


def test_the_end_of_a_ban_is_asked_for_once_and_forgotten_when_it_is_done(world: Fleet) -> None:
    server_says(world, ban("2001:db8:1:2::"))
    for address in ("2001:db8:1:2::5", "2001:db8:1:2::/64", "2001:db8:1:2::"):
        assert actions.end(world, CLI, address) == "2001:db8:1:2::/64"
    assert BansFolder(world.data_dir).requests() == [Request("unban", 1, "2001:db8:1:2::")]
    assert bans.view(world).bans[0].ending
    server_says(world, done=1)
    assert BansFolder(world.data_dir).requests() == []
    assert actions.add(world, CLI, MALLORY) == MALLORY
    assert BansFolder(world.data_dir).requests() == [Request("ban", 2, MALLORY)]
    assert bans.view(world).asked == [MALLORY]
    actions.end(world, CLI, MALLORY)
    assert BansFolder(world.data_dir).requests() == [Request("unban", 3, MALLORY)], "the last word counts"


@pytest.mark.parametrize("address, words", [
    ("203.0.113.9", "is not banned"), ("Anna", "is not an IP address"), ("", "is not an IP address"),
    ("203.0.113.7\nban 9 203.0.113.9", "is not an IP address"), ("\u0661.2.3.4", "is not an IP address")])
def test_what_can_not_be_ended_is_refused_with_the_reason(world: Fleet, address: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        actions.end(world, CLI, address)


@pytest.mark.parametrize("address, code", [
    ("127.0.0.1", "bans.private"), ("10.0.0.1", "bans.private"), ("::1", "bans.private"), ("0.0.0.0", "bans.private"),
    ("198.51.100.7", "bans.spared"), ("203.0.113.50", "bans.in_use"), ("203.0.113.200", "bans.own"),
    ("0.0.0.0/0", "bans.network"), ("203.0.0.0/8", "bans.network"), ("203.0.113.0/24", "bans.network"),
    ("2001:db8::/32", "bans.network"), ("203.0.113.9/64", "bans.network"), ("Anna/24", "bans.no_address")])
def test_who_is_never_banned_is_not_banned_by_hand_either_and_it_is_said_why(
        world: Fleet, address: str, code: str) -> None:
    world.set_settings({"ban_never": "198.51.100.0/24", "server_ip": "203.0.113.200"})
    world.ledger.sessions.begin("admin", "stamp", "203.0.113.50")
    with pytest.raises(Refused) as refused:
        actions.add(world, CLI, address)
    assert refused.value.problem.code == code
    assert BansFolder(world.data_dir).requests() == []


def test_the_reason_of_a_ban_by_hand_is_in_the_audit_log(world: Fleet) -> None:
    assert actions.add(world, CLI, f"{MALLORY}/32", " tries\nlinks of others " + "x" * 200) == MALLORY
    event = world.events()[0]
    assert (event.actor, event.action) == ("cli", "ban.asked")
    assert event.detail.startswith(f"{MALLORY}: tries links of others xxx") and len(event.detail) < 130


def test_who_is_banned_and_logs_in_to_the_panel_is_let_in_again_by_itself(world: Fleet) -> None:
    server_says(world, ban(MALLORY), ban("203.0.113.8"))
    world.ledger.sessions.begin("admin", "stamp", MALLORY)
    bans.keep(world, world.declaration.last_good())
    assert BansFolder(world.data_dir).requests() == [Request("unban", 1, MALLORY)]
