"""What people see of a limit on addresses that the runtime keeps: how many there are, and that it was read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.users import described
from app.engines.base import by_name
from app.engines.mtg.engine import MtgImage
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.html import text
from tests.web.visitor import NAME, PASSWORD, Visitor


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path / "data", MemoryRuntime(), by_name(MtgImage()))
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example"})
    return fleet


def test_the_page_of_a_user_and_the_command_tell_how_many_there_are_and_that_it_was_read_back(
        admin: Visitor, fleet: Fleet) -> None:
    anna = fleet.add_user("Anna", max_unique_ips="2")
    shown = " ".join(text(admin.get(f"/users/{anna.id}").text).split())
    assert "Addresses now0 of 2 (verified" in shown
    view = fleet.user("Anna")
    assert f"0 of 2 (verified at {view.addresses_verified_at})" in described(view)


def test_without_a_limit_nobody_counts_the_addresses_of_mtg(admin: Visitor, fleet: Fleet) -> None:
    boris = fleet.add_user("Boris")
    assert "Addresses now" not in text(admin.get(f"/users/{boris.id}").text)
    assert "addresses" not in described(fleet.user("Boris"))


def test_why_it_is_not_kept_is_on_the_page_of_the_user_and_on_the_dashboard(admin: Visitor, fleet: Fleet) -> None:
    anna = fleet.add_user("Anna")
    fleet.runtime.machine.fail("limit_devices", f"mtg-proxy-{anna.port}", "the kernel knows no nftables")
    fleet.update_user(anna.id, {"max_unique_ips": "2"})
    assert all("kernel knows no nftables" in text(admin.get(path).text) for path in (f"/users/{anna.id}", "/"))
