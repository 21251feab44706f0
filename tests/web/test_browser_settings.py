"""The settings page in a real browser: with script, without, on a phone, by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.checks.tls import TlsCheck
from app.messages import Problem, text
from app.web.setting_groups import GROUPS
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import fleet_behind_nginx
from tests.web.desk import Desk, open_desk
from tests.web.test_browser import CONTRAST, OVERFLOW, SMALL_TARGETS


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return fleet_behind_nginx(tmp_path / "data", MemoryRuntime())


def checked(names: list[str]) -> list[TlsCheck]:
    return [TlsCheck(name, name != "www.gone.example", None if name != "www.gone.example" else
                     Problem("dns.none", {"name": name}), 20) for name in names]


def test_from_a_domain_of_ones_own_to_everybody_on_port_443(desk: Desk, fleet: Fleet) -> None:
    alice = fleet.add_user("Alice")
    page = desk.page
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Links and disguise").click()
    expect(page.get_by_label("Domains in the pool")).to_be_visible()
    expect(page.get_by_label("Your domain")).to_be_hidden()
    page.get_by_label("Own domain").check()
    expect(page.get_by_label("Domains in the pool")).to_be_hidden()
    page.get_by_label("Your domain").fill("example.com")
    with desk.refusal():
        page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("which is not this server")).to_be_visible()
    expect(page.get_by_label("Your domain")).to_be_focused()

    page.get_by_label("Your domain").fill("example.org")
    page.get_by_label("Your domain").press("Enter")
    expect(page.get_by_text("The settings are saved.")).to_be_visible()
    page.get_by_role("link", name="Port 443 and certificates").click()
    page.get_by_role("switch", name="All users on port 443").check()
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_role("heading", name="Move all users to port 443?")).to_be_visible()
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_role("switch", name="All users on port 443")).to_be_checked()
    assert not fleet.config().port_443_mode
    page.get_by_role("button", name="Save settings").click()
    page.get_by_role("button", name="Move all users to port 443").click()
    expect(page.get_by_text("All users are on port 443 now.")).to_be_visible()
    assert (fleet.user(alice.id).link_port, fleet.config().sni_base_domain) == (443, "example.org")


def test_a_check_says_that_it_takes_its_time_is_made_once_and_says_what_it_found(
        desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr("app.actions.settings.check_all", lambda names: asked.append(names) or checked(names))
    page = desk.page
    desk.go("/settings/links")
    page.get_by_label("Domains in the pool").fill("www.here.example\nwww.gone.example")
    said = page.get_by_role("button", name="Check the domains").evaluate(
        "(button) => { button.click(); button.click(); return button.textContent; }")
    assert said == "Checking…"
    expect(page.get_by_text("1 of 2 can be used")).to_be_visible()
    expect(page.get_by_text("www.gone.example has no address in the DNS")).to_be_visible()
    expect(page.get_by_label("Domains in the pool")).to_have_value("www.here.example\nwww.gone.example")
    expect(page.get_by_role("button", name="Check the domains")).to_be_visible()
    assert asked == [["www.here.example", "www.gone.example"]]


def test_all_of_it_works_without_script(
        chromium: Browser, site: str, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.actions.settings.check_all", checked)
    fleet.set_settings({"panel_domain": "panel.example.org"})
    context, desk = open_desk(chromium, site, java_script_enabled=False)
    desk.login()
    page = desk.page
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Links and disguise").click()
    page.get_by_role("button", name="Check the domains").click()
    expect(page.get_by_text("30 of 30 can be used")).to_be_visible()
    page.get_by_role("link", name="Port 443 and certificates").click()
    page.get_by_role("button", name="Renew now").click()
    expect(page.get_by_text("Renewed: panel.")).to_be_visible()
    page.get_by_label("TLS error").check()
    page.get_by_role("switch", name="All users on port 443").check()
    page.get_by_role("button", name="Save settings").click()
    page.get_by_role("button", name="Move all users to port 443").click()
    expect(page.get_by_text("All users are on port 443 now.")).to_be_visible()
    assert (fleet.config().port_443_mode, fleet.config().unknown_sni) == (True, "reject")
    assert desk.complaints == []
    context.close()


@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (390, "light"), (320, "dark")])
def test_the_page_fits_and_is_legible_in_every_state(
        chromium: Browser, site: str, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, width: int,
        theme: str) -> None:
    monkeypatch.setattr("app.actions.settings.check_all", checked)
    long = "a" * 60 + "." + "b" * 60 + ".example.com"
    fleet.set_settings({"sni_base_domain": "example.org", "sni_mode": "own", "port_443_mode": "true"})
    alice = fleet.add_user("Alice", domain=long)
    fleet.update_user(alice.id, {"domain": "c" + long[1:]})
    now = fleet.reconciler.clock()
    names = [long, *(f"u{n}.example.org" for n in range(60))]
    fleet.ledger.certificates.succeeded("cover-1", names, now, now + 9e5, now)
    fleet.ledger.certificates.failed("panel", [long], text(f"could not check {long}: " + "x" * 300), now)
    observed = fleet.runtime.observe()[0]
    fleet.ledger.workloads.set_slow(*observed.links, observed.run_id, text("y" * 200))

    context, desk = open_desk(chromium, site, width, theme)
    desk.login()
    page = desk.page

    def look(what: str) -> None:
        page.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate(OVERFLOW) <= 0, what
        seen = page.evaluate(CONTRAST)
        assert seen["looked"] > 4 and seen["poor"] == [], what
        if width <= 390:
            assert page.evaluate(SMALL_TARGETS) == [], what

    for path in ("/", f"/users/{alice.id}", f"/users/{alice.id}/edit",
                 *(f"/settings/{group.name}" for group in GROUPS), "/settings/links"):
        desk.go(path)
        look(path)
    page.get_by_label("Domain pool").check()
    page.get_by_label("Domains in the pool").fill(f"{long}\nwww.gone.example")
    page.get_by_role("button", name="Check the domains").click()
    page.get_by_text("1 of 2 can be used").wait_for()
    look("checked")
    page.get_by_label("Domains in the pool").fill(f"{'z' * 200}\na")
    page.get_by_role("button", name="Save settings").click()
    page.get_by_text("Nothing was saved.").wait_for()
    look("refused")
    desk.go("/settings/port-443")
    page.get_by_role("switch", name="All users on port 443").uncheck()
    page.get_by_role("button", name="Save settings").click()
    page.get_by_role("heading", name="Switch port 443 off?").wait_for()
    look("asked")
    assert [c for c in desk.complaints if "422" not in c] == []
    context.close()


def test_groups_and_choices_can_be_reached_by_keyboard(desk: Desk) -> None:
    page = desk.page
    desk.go("/settings")
    page.get_by_role("navigation", name="Groups").get_by_role("link", name="Links and disguise").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/settings/links")
    page.get_by_label("Domain pool").focus()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Own domain")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Your domain")).to_be_focused()


def test_what_is_wrong_is_said_as_soon_as_a_field_is_left_and_so_is_what_differs(desk: Desk) -> None:
    page = desk.page
    desk.go("/settings/backups")
    keep = page.get_by_label("How many are kept")
    keep.fill("0")
    keep.press("Tab")
    expect(page.get_by_text("a whole number from 1 to 365")).to_be_visible()
    expect(keep).to_have_attribute("aria-invalid", "true")
    keep.fill("9")
    keep.press("Tab")
    expect(page.get_by_text("a whole number from 1 to 365")).to_be_hidden()
    page.get_by_role("button", name="Back to default").click()
    expect(keep).to_have_value("7")


def test_a_kept_address_of_the_one_long_page_leads_to_the_group_that_its_section_is_in(desk: Desk) -> None:
    desk.go("/settings#speed")
    desk.page.wait_for_url("**/settings/engines")
