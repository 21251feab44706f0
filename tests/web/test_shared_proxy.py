"""The pages of users whose proxy serves others, too: what it offers, what it says before a change, and its trouble."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engines.base import by_name
from app.engines.builtin import Builtin
from tests.support.fleet import Fleet
from tests.support.many import NAME as SHARED
from tests.support.many import Many
from tests.support.memory_runtime import MemoryRuntime
from tests.web.html import read, text
from tests.web.visitor import NAME, PASSWORD, Visitor


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Anna has a proxy of her own; all others share one."""
    fleet = Fleet(tmp_path / "data", MemoryRuntime(), by_name(Many(), Builtin()))
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example"})
    fleet.add_user("Anna", engine="builtin")
    for name in ("Boris", "Vera", "Igor", "Olga", "Zoya"):
        fleet.add_user(name)
    return fleet


def page(admin: Visitor, path: str) -> str:
    return admin.get(path, follow_redirects=True).get_data(as_text=True)


def offers_restart(page: str) -> bool:
    return any(element.attributes.get("id") == "restart" for element in read(page))


def test_only_who_has_a_proxy_of_their_own_is_offered_its_restart(admin: Visitor, fleet: Fleet) -> None:
    anna, boris = fleet.user("Anna"), fleet.user("Boris")
    assert offers_restart(page(admin, f"/users/{anna.id}")) and not offers_restart(page(admin, f"/users/{boris.id}"))
    calls = len(fleet.runtime.machine.calls)
    answer = admin.post(f"/users/{boris.id}/restart", follow_redirects=True)
    assert answer.status_code == 200 and "is restarted" not in text(answer.get_data(as_text=True))
    assert len(fleet.runtime.machine.calls) == calls


def test_the_trouble_of_a_shared_proxy_is_on_the_page_of_each_and_once_on_the_dashboard(
        admin: Visitor, fleet: Fleet) -> None:
    fleet.runtime.machine.crash(SHARED, "it exited with code 7")
    assert all("exited with code 7" in text(page(admin, f"/users/{fleet.user(name).id}"))
               for name in ("Boris", "Zoya"))
    assert "exited with code 7" not in text(page(admin, f"/users/{fleet.user('Anna').id}"))
    told = text(page(admin, "/"))
    assert told.count("Boris, Vera, Igor and 2 more: it exited with code 7") == 1, told
