"""The user's page on port 443: which link is used, those from before a change of domain, and slow proxies."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.ledger.traffic import Reading
from app.messages import text as told
from app.rules.links import all_links
from app.rules.users import find
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import fleet_behind_nginx
from tests.web.html import read, text
from tests.web.visitor import Visitor


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = fleet_behind_nginx(tmp_path / "data", MemoryRuntime())
    fleet.set_settings({"port_443_mode": "true"})
    return fleet


@pytest.fixture
def alice(fleet: Fleet) -> str:
    return fleet.add_user("Alice", domain="www.first.example").id


def hint(admin: Visitor, path: str) -> str:
    """What the form says at the domain."""
    page = read(admin.get(path).get_data(as_text=True))
    return next(e.text for e in page if e.attributes.get("id") == "domain-hint")


def old_links(admin: Visitor, user_id: str) -> str:
    """What the box of old links says, "" if there is none."""
    page = read(admin.get(f"/users/{user_id}").get_data(as_text=True))
    return next((" ".join(e.text.split()) for e in page if e.attributes.get("id") == "old-links"), "")


def test_links_say_443_and_the_port_of_their_own_is_told_beside_it(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    page = read(admin.get(f"/users/{alice}").get_data(as_text=True))
    assert "443own port 2443" in {e.text for e in page if e.tag == "dd"}
    assert old_links(admin, alice) == ""


def test_after_a_change_of_domain_the_old_link_is_shown_until_its_time_is_over(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    old = fleet.user(alice)
    page = text(admin.post(f"/users/{alice}/edit", {"name": "Alice", "domain": "www.second.example"},
                           follow_redirects=True).get_data(as_text=True))
    assert "The link has changed: send the new one." in page
    (link,) = fleet.config().users[0].old_links
    assert timedelta(0) <= datetime.now().astimezone() + timedelta(days=7) - link.until < timedelta(minutes=10)
    until = link.until.astimezone()
    box = old_links(admin, alice)
    assert "www.first.example" in box and f"Works until {until.day} {until:%b %Y}" in box
    assert "Not used since the change." in box
    elements = read(admin.get(f"/users/{alice}").get_data(as_text=True))
    copies = {e.attributes.get("data-copy") for e in elements}
    assert {old.tme_link, fleet.user(alice).tme_link} <= copies

    fleet.reconciler.clock = lambda: datetime.now().timestamp() + 8 * 86400
    assert old_links(admin, alice) == ""


def test_a_restart_after_which_an_old_link_does_not_work_is_told_as_failed(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    fleet.update_user(alice, {"domain": "www.second.example"})
    bob = fleet.add_user("Bob", domain="www.bob.example").id
    old = next(link.name for link in all_links(fleet.config()) if link.until)
    fleet.runtime.machine.fail("start", old, "no memory left")
    page = text(admin.post(f"/users/{alice}/restart", follow_redirects=True).get_data(as_text=True))
    assert "1 failed. Alice: no memory left" in page and "is restarted" not in page
    page = text(admin.post(f"/users/{bob}/restart", follow_redirects=True).get_data(as_text=True))
    assert "Bob's proxy is restarted." in page


def test_it_is_said_which_link_was_used_last(admin: Visitor, fleet: Fleet, alice: str) -> None:
    assert "Not used yet" in text(admin.get(f"/users/{alice}").get_data(as_text=True))
    fleet.update_user(alice, {"domain": "www.second.example"})
    today, old = (link.id for link in all_links(fleet.config()))

    def use(link: str, total: int, seconds: float) -> None:
        moved = [Reading(alice, link, "1", total, 0, 0, 1)]
        fleet.ledger.traffic.account(moved, at=datetime.now().timestamp() + seconds)

    assert "Not used since the change of domain" in text(admin.get(f"/users/{alice}").get_data(as_text=True))
    use(old, 10, 2)
    assert re.search(r"Last used \d+ s ago, after every other link: not everybody has the new one",
                     old_links(admin, alice))
    use(today, 10, 4)
    assert re.search(r"Last used \d+ s ago\.", old_links(admin, alice))
    assert "not everybody" not in old_links(admin, alice)


def test_a_slow_proxy_says_why(admin: Visitor, fleet: Fleet, alice: str) -> None:
    observed = fleet.runtime.observe()[0]
    fleet.ledger.workloads.set_slow(*observed.links, observed.run_id, told("nginx was down when it started"))
    for path in (f"/users/{alice}", f"/users/{alice}/state"):
        assert "Slow. Nginx was down when it started" in text(
            f"<html>{admin.get(path).get_data(as_text=True)}</html>")


def test_the_forms_say_what_a_domain_brings_with_it(admin: Visitor, fleet: Fleet, alice: str) -> None:
    edit = f"/users/{alice}/edit"
    assert "the panel picks one" in hint(admin, "/users/new")
    assert "the old one keeps working for 7 days" in hint(admin, edit)
    fleet.set_settings({"domain_grace_days": "0"})
    assert "the old one stops working at once" in hint(admin, edit)
    fleet.set_settings({"domain_grace_days": "1", "sni_mode": "own", "sni_base_domain": "example.org"})
    assert "makes up a name under example.org" in hint(admin, "/users/new")
    assert "working for 1 day," in hint(admin, edit)
    assert "Any name under example.org is possible" in hint(admin, edit)
    bob = fleet.add_user("Bob")
    assert "you can keep it" in hint(admin, f"/users/{bob.id}/edit")
    fleet.set_settings({"port_443_mode": "false"})
    assert "the old one stops working at once" in hint(admin, edit)


def test_a_domain_that_cannot_be_had_is_refused_beside_its_field(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    fleet.set_settings({"panel_domain": "panel.example.org"})
    bob = fleet.add_user("Bob", domain="www.bob.example")
    for domain, words in (("panel.example.org", "the panel's own name"),
                          ("www.first.example", "belongs to 'Alice'"),
                          ("proxy.example.org", "go in circles")):
        answer = admin.post(f"/users/{bob.id}/edit", {"name": "Bob", "domain": domain})
        elements = read(answer.get_data(as_text=True))
        error = next(e for e in elements if e.attributes.get("id") == "domain-error")
        assert answer.status_code == 422 and words in error.text
    assert find(fleet.config(), bob.id).fake_tls_domain == "www.bob.example"
