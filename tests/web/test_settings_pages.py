"""The settings by groups: defaults, what is wrong as it is typed, secrets, the panel's own address, search."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from app.config.model import SETTINGS
from app.web.setting_groups import GROUPS, MOVED
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import SERVER, fleet_behind_nginx
from tests.web.html import read, text, value_of
from tests.web.settings_pages import at, every_page
from tests.web.test_settings import beside, change, fields
from tests.web.visitor import Visitor


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return fleet_behind_nginx(tmp_path / "data", MemoryRuntime())


def test_the_settings_lead_to_the_first_group_and_old_sections_to_theirs(admin: Visitor) -> None:
    assert admin.get("/settings").location == "/settings/general"
    first = admin.get("/settings/general").text
    for section, group in MOVED.items():
        if group != "general":
            assert f'id="{section}" class="moved" href="/settings/{group}"' in first
    assert admin.get("/settings/certificates").location == "/settings/port-443"
    assert admin.get("/settings/nothing").status_code == 404


def test_a_value_that_is_not_the_default_is_marked_and_the_default_is_said(admin: Visitor, fleet: Fleet) -> None:
    assert "Back to default" not in admin.get(at("traffic_limit_gb")).text
    fleet.set_settings({"traffic_limit_gb": "50", "at_limit": "block", "proxy_memory_mb": "300"})
    page = text(admin.get(at("traffic_limit_gb")).text)
    assert "Default: 0" in page and "Default: Slow down" in page and page.count("Back to default") == 2
    assert "Default: 256" in text(admin.get(at("proxy_memory_mb")).text)


def test_back_to_default_fills_it_in_keeps_what_else_was_typed_and_is_saved_by_save(
        admin: Visitor, fleet: Fleet) -> None:
    fleet.set_settings({"traffic_limit_gb": "50"})
    page = change(admin, traffic_limit_gb="60", throttle_speed_mbps="3", default="traffic_limit_gb").text
    assert (value_of(page, "traffic_limit_gb"), value_of(page, "throttle_speed_mbps")) == ("0", "3")
    assert "It is used once you save." in text(page) and fleet.config().traffic_limit_gb == 50
    assert admin.post(at("traffic_limit_gb"), fields(page)).status_code == 302
    assert (fleet.config().traffic_limit_gb, fleet.config().throttle_speed_mbps) == (0, 3)


def test_a_field_is_checked_as_it_is_typed_by_the_rule_that_saving_goes_by(
        admin: Visitor, declaration: Path) -> None:
    before = declaration.read_bytes()
    for key, typed, words in (("backup_keep", "0", "a whole number from 1 to 365"), ("server_ip", "a b", "IPv4"),
                              ("acme_email", "ada", "e-mail address"), ("domain_pool", "a_b", "'a_b'")):
        answer = admin.post(f"{at(key)}/check/{key}", {key: typed})
        assert answer.status_code == 200 and words in beside(answer.text, key), key
        saved = admin.post(at(key), {key: typed})
        assert saved.status_code == 422 and words in beside(saved.text, key), key
    fine = admin.post(at("backup_keep") + "/check/backup_keep", {"backup_keep": "9"}).text
    assert not beside(fine, "backup_keep") and "Default: 7" in text(f"<html>{fine}</html>")
    assert admin.post(at("backup_keep") + "/check/server_ip", {"server_ip": "x"}).status_code == 404
    assert declaration.read_bytes() == before


def test_a_number_has_its_bounds_from_the_schema_and_what_is_none_stays_in_the_field(admin: Visitor) -> None:
    page = admin.get(at("backup_keep")).text
    keep = next(e for e in read(page) if e.attributes.get("name") == "backup_keep").attributes
    assert (keep["type"], keep["min"], keep["max"], keep["step"]) == ("number", "1", "365", "1")
    assert value_of(change(admin, backup_keep="many").text, "backup_keep") == "many"


def test_a_password_is_never_shown_back_and_stays_where_it_is_not_typed_anew(admin: Visitor, fleet: Fleet) -> None:
    page_of, secret = at("upstream_socks5"), "hunter22"
    fleet.add_user("Alice")
    question = admin.post(page_of, {"upstream_socks5": f"ada:{secret}@192.0.2.9:1080"}).text
    assert "The proxy of 1 user restarts once." in text(question) and secret not in question
    assert admin.post(page_of, fields(question) | {"sure": "yes"}).status_code == 302
    assert fleet.config().upstream_socks5 == f"ada:{secret}@192.0.2.9:1080"
    shown = admin.get(page_of).text
    assert value_of(shown, "upstream_socks5") == "ada:…@192.0.2.9:1080" and secret not in every_page(admin)
    assert admin.post(page_of, fields(shown) | {"monitor_seconds": "11"}).status_code == 302
    assert fleet.config().upstream_socks5 == f"ada:{secret}@192.0.2.9:1080" and fleet.config().monitor_seconds == 11
    other = change(admin, upstream_socks5="ada:…@192.0.2.10:1080")
    assert other.status_code == 422 and "type the password again" in beside(other.text, "upstream_socks5")
    wrong = change(admin, upstream_socks5=f"ada:{secret}x@nowhere")
    assert wrong.status_code == 422 and f"{secret}x" not in wrong.text
    old = fields(shown) | {"upstream_socks5": ""}
    fleet.set_settings({"upstream_socks5": "ada:another1@192.0.2.9:1080"})
    stale = admin.post(page_of, old | {"sure": "yes"})
    assert stale.status_code == 422 and "omebody changed this" in beside(html.unescape(stale.text), "upstream_socks5")
    assert "another1" not in stale.text


def test_the_new_address_of_the_panel_is_said_before_and_whoever_came_by_the_old_one_is_led_there(
        admin: Visitor, fleet: Fleet) -> None:
    object.__setattr__(fleet.port443, "door_port", 9443)  # as behind docker-compose.yml
    old, new = "a" * 22, "b" * 22
    fleet.set_settings({"panel_by_address": "true", "panel_path": old})
    question = change(admin, panel_path=new).text
    assert f"https://{SERVER}:9443/{old}/" in text(question) and f"https://{SERVER}:9443/{new}/" in text(question)
    assert fleet.config().panel_path == old
    answer = admin.post(at("panel_path"), fields(question) | {"sure": "yes"}, environ_overrides={
        "SCRIPT_NAME": f"/{old}"})
    assert answer.location == f"/{new}/settings/panel" and fleet.config().panel_path == new
    assert any(f"Path=/{new}" in cookie for cookie in answer.headers.getlist("Set-Cookie"))
    empty = change(admin, panel_path="").text
    made = fields(empty)["panel_path"]
    assert len(made) == 22 and f":9443/{made}/" in text(empty)
    assert change(admin, panel_path="short").status_code == 422


def test_what_another_group_refuses_is_told_above_the_form(admin: Visitor, fleet: Fleet) -> None:
    fleet.set_settings({"server_ip": ""})
    answer = change(admin, panel_by_address="true")
    assert answer.status_code == 422 and "Nothing was saved." in text(answer.text)


def test_settings_are_found_by_their_words_in_any_case(admin: Visitor) -> None:
    for asked, key in (("SOCKS5", "upstream_socks5"), ("backup_keep", "backup_keep"), ("how many kept", "backup_keep"),
                       ("tls error", "unknown_sni")):
        page = admin.get("/settings/search", query_string={"q": asked}).text
        assert f'href="{at(key)}#at-{key}"' in page, asked
    assert "Nothing found" in admin.get("/settings/search", query_string={"q": "<b>😀"}).text
    assert admin.get("/settings/search").status_code == 200


def test_every_setting_has_a_default_in_words_that_can_be_gone_back_to(admin: Visitor, fleet: Fleet) -> None:
    for group in GROUPS:
        for key in group.keys:
            page = admin.post(f"/settings/{group.name}", {"default": key})
            assert page.status_code == 200, key
    assert set(SETTINGS) == {key for group in GROUPS for key in group.keys}
