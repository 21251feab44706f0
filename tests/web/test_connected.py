"""The page of a user of telemt has the addresses that are connected, and how many were refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.control.monitor import Monitor
from app.engines.telemt.engine import Telemt
from app.ledger.bad_connections import Told
from tests.support.fleet import Fleet
from tests.support.obedient import Obedient
from tests.web.html import text
from tests.web.visitor import NAME, PASSWORD, Visitor


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path / "data", Obedient(), Telemt("/telemt"))
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example"})
    return fleet


def shown(visitor: Visitor, user: str) -> str:
    return " ".join(text(visitor.get(f"/users/{user}").text).split())


def test_what_is_connected_and_what_was_refused_is_told(admin: Visitor, fleet: Fleet) -> None:
    alice = fleet.add_user("Alice", max_unique_ips="2").id
    assert "0 refused in 24 hours, 0 in 30 days" in shown(admin, alice) and "Connected from" not in shown(admin, alice)
    now = fleet.reconciler.clock()
    fleet.ledger.bad_connections.account([Told("telemt", "run", {"unique_ips": 3}, alice)], now)
    (link,) = fleet.reconciler.tried["mtg-proxy-telemt"].links
    fleet.connected.look = lambda config, there: None  # the one below was the last look
    fleet.connected.seen = {link: {"2001:db8::7": now - 60, "192.0.2.1": now - 600}, "0123456789ab": {"192.0.2.9": now}}
    page = shown(admin, alice)
    assert "3 refused in 24 hours, 3 in 30 days" in page
    assert page.index("192.0.2.1 since") < page.index("2001:db8::7 since") and "192.0.2.9" not in page


def test_a_telemt_that_tells_no_addresses_is_no_trouble(
        admin: Visitor, fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    alice = fleet.add_user("Alice").id
    for _ in range(3):
        Monitor(fleet).tick()
    assert "Connected from" not in shown(admin, alice)
    assert len([record for record in caplog.records if "does not tell which addresses" in record.message]) == 1
