"""The pages of the plans."""

from __future__ import annotations

import html

import pytest

from tests.web.test_two_at_once import shown

ODD = 'O\'Brien <b>"&\\'


def test_a_plan_is_added_given_to_a_user_changed_and_removed(admin, fleet) -> None:
    assert "No plans yet" in admin.get("/plans").get_data(as_text=True)
    assert admin.post("/plans/new", {"name": ODD, "limit_gb": "5", "at_limit": "block"}).status_code == 302
    plan = fleet.plans()[0]
    assert html.escape(ODD, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in \
        admin.get("/plans").get_data(as_text=True)
    assert admin.post("/users/new", {"name": "Alice", "plan": ODD}).status_code == 302
    assert fleet.user("Alice").limit_gb == 5
    page = admin.get(f"/plans/{plan.id}").get_data(as_text=True)
    assert "applies to 1 user." in page
    assert admin.post(f"/plans/{plan.id}", {"name": ODD, "limit_gb": "9", "at_limit": "block",
                                            "shown": shown(page)}).status_code == 302
    assert fleet.user("Alice").limit_gb == 9
    assert admin.post(f"/plans/{plan.id}/remove").status_code == 302
    assert (fleet.plans(), fleet.user("Alice").limit_gb, fleet.user("Alice").at_limit) == ([], 9, "block")


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(admin, fleet) -> None:
    answer = admin.post("/plans/new", {"name": "", "limit_gb": "much", "reset_cycle": "yearly"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422 and fleet.plans() == []
    assert 'value="much"' in page
    assert all(f'id="{field}-error"' in page for field in ("name", "limit_gb", "reset_cycle"))


def test_what_another_tab_has_changed_is_told_and_not_put_back(admin, fleet) -> None:
    plan = fleet.add_plan("Family", limit_gb="5")
    old = {"name": "Family", "limit_gb": "5", "shown": shown(admin.get(f"/plans/{plan.id}").get_data(as_text=True))}
    fleet.change_plan("Family", {"limit_gb": "50"})
    assert admin.post(f"/plans/{plan.id}", old | {"max_unique_ips": "3"}).status_code == 302
    assert (fleet.plans()[0].limit_gb, fleet.plans()[0].max_unique_ips) == (50, 3)
    assert admin.post(f"/plans/{plan.id}", old | {"limit_gb": "70"}).status_code == 422


@pytest.mark.parametrize("path", ["/plans/nobody", "/plans/nobody/remove"])
def test_a_plan_that_is_gone_is_no_page(admin, path) -> None:
    assert admin.post(path).status_code == 404
