"""The detailed log of telemt is switched on and off where its lines, and what it turned away, are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engines.builtin import Builtin
from app.engines.telemt.engine import NAME as TELEMT
from app.engines.telemt.engine import Telemt
from tests.support.fleet import Fleet
from tests.support.obedient import Obedient
from tests.web.html import text
from tests.web.visitor import NAME, PASSWORD, Visitor

KEY = "d0" * 16
LINE = "2026-11-28T05:00:00.100000Z DEBUG telemt::proxy::handshake: TLS handshake too short peer=192.0.2.7:5000"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path / "data", Obedient(), {"telemt": Telemt("/telemt"), "builtin": Builtin()})
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.create_admin("bob", PASSWORD, sudo=False)
    fleet.set_settings({"server_domain": "proxy.example"})
    fleet.add_user("Alice")
    return fleet


def shown(visitor: Visitor, path: str = "/logs") -> str:
    return " ".join(text(visitor.get(path).text).split())


@pytest.mark.parametrize("path", ["/", "/logs"])
def test_it_is_switched_on_shown_with_its_end_and_ended_on_both_pages(admin: Visitor, path: str) -> None:
    assert "More detailed log of telemt for" in shown(admin, path)
    admin.post("/logs/debug", {"engine": "telemt", "minutes": "30"})
    assert "The log of telemt is more detailed for another 30 minutes, until" in shown(admin, path)
    admin.post("/logs/debug/end", {"engine": "telemt"})
    assert "More detailed log of telemt for" in shown(admin, path)


@pytest.mark.parametrize("minutes", ["", "0", "121", "many", "9" * 5000, "-5", "1.5", "\x00"])
def test_an_odd_time_changes_nothing_and_is_said(admin: Visitor, minutes: str) -> None:
    assert admin.post("/logs/debug", {"engine": "telemt", "minutes": minutes}).status_code == 302
    page = shown(admin)
    assert "is not allowed; allowed: 1 to 120" in page and "More detailed log of telemt for" in page


def test_an_admin_without_sudo_sees_that_it_runs_and_can_neither_begin_nor_end_it(
        admin: Visitor, panel, fleet: Fleet) -> None:
    bob = Visitor(panel.test_client())
    bob.login("bob")
    assert "More detailed log" not in shown(bob)
    bob.post("/logs/debug", {"engine": "telemt", "minutes": "15"})
    assert not fleet.ledger.debug_logs.running(fleet.reconciler.clock())
    admin.post("/logs/debug", {"engine": "telemt", "minutes": "15"})
    bob.post("/logs/debug/end", {"engine": "telemt"})
    page = shown(bob)
    assert "more detailed for another 15 minutes" in page and "End now" not in page


def test_a_line_of_a_known_cause_is_explained_beside_it_and_others_are_not(admin: Visitor, fleet: Fleet) -> None:
    log = fleet.runtime.machine.boxes[TELEMT].log
    log[:] = ["2026-11-28T05:00:00.000000Z  INFO telemt: Log level: verbose", LINE]
    page = shown(admin)
    assert "peer=192.0.2.7:5000 A first message of an impossible size: a scanner. Nothing." in page
    assert "Log level: verbose[mtg" in page.replace(" [", "[")


def test_what_a_user_of_another_engine_logs_is_not_explained_by_telemt(admin: Visitor, fleet: Fleet) -> None:
    bob = fleet.add_user("Bob", engine="builtin")
    fleet.runtime.machine.boxes[f"mtg-proxy-{bob.port}"].log[:] = [LINE]
    assert "impossible size" not in shown(admin)
