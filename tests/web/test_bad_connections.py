"""Connections that engines turned away stand on the dashboard, with what each was and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.engines.builtin import Builtin
from app.engines.telemt.engine import Telemt
from app.ledger.bad_connections import Told
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.desk import Desk
from tests.web.html import text
from tests.web.visitor import NAME, PASSWORD, Visitor


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Ours, with telemt as a second engine."""
    fleet = Fleet(tmp_path / "data", MemoryRuntime(), {"builtin": Builtin(), "telemt": Telemt("/telemt")})
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example"})
    return fleet


def turned_away(fleet: Fleet, engine: str = "telemt", **counts: int) -> None:
    fleet.ledger.bad_connections.account([Told(engine, "run", counts)], fleet.reconciler.now().timestamp())


def test_nothing_is_shown_while_nothing_was_turned_away(admin: Visitor) -> None:
    assert "turned away" not in text(admin.get("/").text)


def test_each_reason_has_its_cause_and_what_to_do(admin: Visitor, fleet: Fleet) -> None:
    turned_away(fleet, tls_handshake_bad_client=12, direct_modes_disabled=3, **{"<b>new in 4.0</b>": 1})
    page = admin.get("/").text
    shown = " ".join(text(page).split())
    assert "Connections turned away 16 in 24 hours, 16 in 30 days" in shown
    assert "MTProto without TLS: a link that begins with dd, or a scanner telemt: direct_modes_disabled" in shown
    assert "Give the user the link that the panel shows. 3 3" in shown
    assert "<b>new in" not in page and "Anything else (<b>new in 4.0</b>)" in shown


def test_what_the_limit_on_addresses_refused_is_told_with_the_rest(admin: Visitor, fleet: Fleet) -> None:
    turned_away(fleet, "builtin", unique_ips=2)
    assert "one address more than its link may be used from" in text(admin.get("/").text)


def test_what_an_engine_told_that_is_no_longer_here_is_left_out(admin: Visitor, fleet: Fleet) -> None:
    turned_away(fleet, "gone", noise=4)
    assert "turned away" not in text(admin.get("/").text)


def test_what_was_opened_stays_open_while_numbers_change(desk: Desk, fleet: Fleet) -> None:
    turned_away(fleet, tls_handshake_bad_client=12)
    desk.go("/")
    section = desk.page.locator("#bad")
    section.locator("summary").click()
    expect(section.get_by_role("cell", name="12").first).to_be_visible()
    turned_away(fleet, tls_handshake_bad_client=21)
    expect(section.get_by_role("cell", name="21").first).to_be_visible(timeout=20_000)
