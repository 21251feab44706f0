"""The pages of the settings, for tests: where a setting stands, and all pages as one."""

from __future__ import annotations

from app.web.setting_groups import GROUPS, group_of
from tests.web.visitor import Visitor


def at(key: str) -> str:
    """The address of the page that this setting stands on."""
    return f"/settings/{group_of(key).name}"


def every_page(admin: Visitor) -> str:
    """All pages, one after the other."""
    return "".join(admin.get(f"/settings/{group.name}").get_data(as_text=True) for group in GROUPS)
