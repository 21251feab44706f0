"""The page of a user: its token, its address, and the new link that somebody gives themselves there."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from app.accounts.actor import Actor, Right
from app.actions import share, users
from app.config import model
from app.config.model import Config
from app.control import share_views
from app.control.errors import Refused
from app.engines.builtin import Builtin
from app.ledger.share_renewals import PAUSE
from app.rules import share as rules
from tests.support.fleet import Fleet, named
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import fleet_behind_nginx

ADA = named("admin:ada")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path / "data", MemoryRuntime(), Builtin())
    fleet.set_settings({"server_domain": "proxy.example"})
    return fleet


def token(fleet: Fleet, ref: str) -> str:
    return share.make_page(fleet, ADA, ref).path.removeprefix("/s/")


def link(fleet: Fleet, ref: str) -> str:
    return share_views.page(fleet, fleet.user(ref).id).links[0].tg_link


def test_nobody_has_a_page_before_it_is_asked_for_and_asking_twice_makes_one(fleet: Fleet) -> None:
    anna = fleet.add_user("Anna")
    assert share_views.address(fleet, anna.id).path == ""
    first = share.make_page(fleet, ADA, "Anna")
    assert re.fullmatch(r"/s/[A-Za-z0-9_-]{22}", first.path) and share.make_page(fleet, ADA, "Anna") == first
    assert [event.action for event in fleet.events("Anna")].count("user.page_made") == 1


def test_a_token_is_128_bits_that_were_never_there_before() -> None:
    made = {rules.new_token() for _ in range(1000)}
    assert len(made) == 1000 and all(re.fullmatch(rules.TOKEN, each) for each in made)


def test_the_page_stays_where_it_is_when_the_user_is_renamed_rotated_moved_and_disabled(fleet: Fleet) -> None:
    anna = fleet.add_user("Anna")
    page, before = token(fleet, "Anna"), link(fleet, "Anna")
    fleet.update_user(anna.id, {"name": "Anna Petrovna", "domain": "www.example.org", "port": "4443"})
    fleet.rotate(anna.id)
    fleet.disable(anna.id)
    fleet.enable(anna.id)
    assert rules.find(fleet.config(), page).id == anna.id
    assert link(fleet, anna.id) == fleet.user(anna.id).tg_link != before


def test_another_address_ends_the_one_before_and_a_page_that_was_switched_off_comes_back_elsewhere(
        fleet: Fleet) -> None:
    fleet.add_user("Anna")
    first = token(fleet, "Anna")
    second = share.renew_page(fleet, ADA, "Anna").path.removeprefix("/s/")
    assert rules.find(fleet.config(), first) is None and rules.find(fleet.config(), second)
    assert share.remove_page(fleet, ADA, "Anna").path == ""
    assert rules.find(fleet.config(), second) is None and token(fleet, "Anna") not in (first, second)


def test_a_user_who_is_removed_takes_the_page_along_and_brings_it_back_when_restored(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    page = token(fleet, "Anna")
    fleet.remove("Anna")
    assert rules.find(fleet.config(), page) is None
    users.restore(fleet, ADA, "Anna")
    assert rules.find(fleet.config(), page).name == "Anna"


def test_a_token_that_two_users_have_is_nobodys(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    fleet.add_user("Boris")
    page = token(fleet, "Anna")
    with fleet.file.edit() as config:
        config.users[1].share_token = page
    assert rules.find(fleet.config(), page) is None


@pytest.mark.parametrize("wrong", ["", "x", "A" * 22, "A" * 23, "\u0436" * 22, "\ud800" * 22, "é" * 22, "x" * 100_000])
def test_an_odd_token_is_nobodys_and_users_without_a_page_are_found_by_none(fleet: Fleet, wrong: str) -> None:
    fleet.add_user("Anna")
    fleet.add_user("Boris")
    token(fleet, "Boris")
    assert rules.find(fleet.config(), wrong) is None


def test_a_token_in_the_file_that_is_none_is_refused_without_being_told(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    raw = json.loads((fleet.data_dir / "config.json").read_text())
    raw["users"][0]["share_token"] = "my-own-short-one"
    with pytest.raises(model.InvalidConfig, match="22 of") as refusal:
        model.load(raw)
    assert "my-own-short-one" not in str(refusal.value)
    page = token(fleet, "Anna")
    assert page not in repr(fleet.config())


def test_only_who_may_change_users_makes_pages(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    for change in (share.make_page, share.renew_page, share.remove_page):
        with pytest.raises(Refused):
            change(fleet, Actor("web", Right.NONE), "Anna")


@pytest.mark.parametrize(("settings", "edge", "url"), [
    ({}, True, ""),
    ({"panel_domain": "panel.example"}, True, "https://panel.example"),
    ({"panel_domain": "panel.example"}, False, ""),
    ({"panel_domain": "panel.example", "share_hostname": "share.example"}, True, "https://share.example"),
    ({"panel_by_address": True, "panel_path": "x" * 22, "server_ip": "203.0.113.7"}, True,
     "https://203.0.113.7:9443"),
    ({"panel_by_address": True, "panel_path": "x" * 22, "server_ip": "2001:db8::7"}, True,
     "https://[2001:db8::7]:9443"),
])
def test_the_address_is_that_of_the_name_under_which_people_find_these_pages(
        settings: dict[str, object], edge: bool, url: str) -> None:
    assert rules.site(model.load(settings), edge, 443, 9443) == url


def test_the_path_of_the_panel_itself_is_told_to_nobody_and_another_port_is(tmp_path: Path) -> None:
    config = Config(panel_by_address=True, panel_path="x" * 22, server_ip="203.0.113.7")
    assert "x" * 22 not in rules.site(config, True, 443, 9443)
    config.share_hostname = "share.example"
    assert rules.site(config, True, 8443, 0) == "https://share.example:8443"
    fleet = Fleet(tmp_path / "data", MemoryRuntime(), Builtin(), MemoryEdge())
    fleet.add_user("Anna")
    fleet.set_settings({"panel_domain": "panel.example"})
    told = share.make_page(fleet, ADA, "Anna")
    assert told.url == f"https://panel.example{told.path}"


def test_a_new_link_is_had_once_an_hour_and_only_where_that_is_allowed(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    page, before = token(fleet, "Anna"), fleet.user("Anna").tg_link
    with pytest.raises(Refused, match="can't be had"):
        share.renew_link(fleet, page)
    fleet.set_settings({"share_renew": "true"})
    share.renew_link(fleet, page)
    first = fleet.user("Anna").tg_link
    assert first != before
    with pytest.raises(Refused, match="60 min"):
        share.renew_link(fleet, page)
    now = fleet.reconciler.clock()
    fleet.reconciler.clock = lambda: now + PAUSE + 1
    share.renew_link(fleet, page)
    assert fleet.user("Anna").tg_link != first
    assert [str(event.actor) for event in fleet.events("Anna") if event.action == "user.rotated"] == ["user"] * 2


@pytest.mark.parametrize("wrong", ["A" * 22, ""])
def test_without_a_page_no_link_is_renewed(fleet: Fleet, wrong: str) -> None:
    fleet.add_user("Anna")
    fleet.set_settings({"share_renew": "true"})
    with pytest.raises(Refused):
        share.renew_link(fleet, wrong)


def test_whoever_is_kept_out_gets_no_new_link(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    fleet.set_settings({"share_renew": "true"})
    page = token(fleet, "Anna")
    fleet.disable("Anna")
    before = fleet.config().users[0].secret
    with pytest.raises(Refused, match="can't be had"):
        share.renew_link(fleet, page)
    assert fleet.config().users[0].secret == before


def test_of_many_who_press_at_once_one_gets_a_new_link(fleet: Fleet) -> None:
    fleet.add_user("Anna")
    fleet.set_settings({"share_renew": "true"})
    page, came = token(fleet, "Anna"), []

    def press() -> None:
        try:
            share.renew_link(fleet, page)
            came.append("new")
        except Refused:
            came.append("refused")

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == ["new"] + ["refused"] * 5


def test_a_clock_that_was_set_back_holds_nobody_up_for_longer_than_an_hour(fleet: Fleet) -> None:
    ahead = fleet.reconciler.clock() + 30 * 86400
    renewals = fleet.ledger.share_renewals
    assert renewals.take("anna", ahead) == 0.0
    now = ahead - 30 * 86400
    assert renewals.wait("anna", now) == 0.0 and renewals.take("anna", now) == 0.0
    assert 0 < renewals.wait("anna", now) <= PAUSE


def test_what_somebody_may_know_of_themselves_holds_neither_their_name_nor_anything_of_others(fleet: Fleet) -> None:
    anna = fleet.add_user("Anna Secretova", note="owes me 50", limit_gb="50", expires="2199-01-31")
    fleet.add_user("Boris")
    told = share_views.page(fleet, anna.id)
    assert (told.standing, told.limit_gb, told.percent_left) == ("ready", 50, 100)
    assert not any(word in repr(told) for word in ("Anna", "owes", "Boris"))
    fleet.disable(anna.id)
    told = share_views.page(fleet, anna.id)
    assert (told.standing, told.links, told.may_renew) == ("disabled", [], False)


@pytest.fixture
def behind(tmp_path: Path) -> Fleet:
    return fleet_behind_nginx(tmp_path / "behind", MemoryRuntime())


def test_nginx_is_told_of_the_pages_that_there_are_and_of_no_more_than_it_needs(behind: Fleet) -> None:
    behind.add_user("Anna")
    page = token(behind, "Anna")
    assert behind.port443.edge.site.share_pages == (), "nobody is led to them: they are where the panel is"
    behind.set_settings({"share_hostname": "share.example.org"})
    behind.renew_certificates()
    assert behind.port443.edge.site.share_pages == (page,)
    assert behind.port443.edge.site.share_hostname == "share.example.org"
    other = share.renew_page(behind, ADA, "Anna")
    assert behind.port443.edge.site.share_pages == (other.path.removeprefix("/s/"),)
    assert other.url == f"https://share.example.org{other.path}"
    share.remove_page(behind, ADA, "Anna")
    assert behind.port443.edge.site.share_pages == ()


def test_the_name_of_the_pages_leads_here_and_is_nobody_elses(behind: Fleet, fleet: Fleet) -> None:
    def refused(**settings: str) -> str:
        with pytest.raises(Refused) as refusal:
            behind.set_settings(settings)
        assert behind.config().share_hostname == "share.example.org"
        return str(refusal.value)

    behind.set_settings({"panel_domain": "panel.example.org", "sni_mode": "own", "sni_base_domain": "example.org"})
    behind.set_settings({"share_hostname": "share.example.org", "port_443_mode": "true"})
    anna = behind.add_user("Anna")
    assert "panel" in refused(share_hostname="panel.example.org") and "share.example.org" in refused(
        panel_domain="share.example.org")
    assert "cover site" in refused(share_hostname="example.org")
    assert anna.domain in refused(share_hostname=anna.domain)
    assert "not this server" in refused(share_hostname="share.example.com")
    with pytest.raises(Refused, match="name of users' own pages"):
        behind.update_user("Anna", {"domain": "share.example.org"})
    with pytest.raises(Refused, match="docker-compose"):
        fleet.set_settings({"share_hostname": "share.example.org"})


def test_the_name_of_the_pages_gets_a_certificate_of_its_own(behind: Fleet) -> None:
    behind.set_settings({"share_hostname": "share.example.org"})
    behind.renew_certificates()
    assert [(each.name, each.domains) for each in behind.certificates()] == [("share", ["share.example.org"])]
