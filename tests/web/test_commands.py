"""Commands on pages: for who is logged in, and for the folder of this panel."""

from __future__ import annotations

import shlex

from app.commands import FOLDER
from tests.support.fleet import Fleet
from tests.web.visitor import Visitor


def test_the_settings_page_names_this_panels_folders(admin: Visitor, fleet: Fleet) -> None:
    page = admin.get("/settings/backups").text
    page += admin.get("/settings/advanced").text
    assert f"cd {shlex.quote(str(FOLDER))} &amp;&amp;" in page
    assert f"--data {shlex.quote(str(fleet.data_dir))} settings list" in page


def test_a_stranger_reads_no_path(stranger: Visitor, fleet: Fleet) -> None:
    for path in ("/login", "/nothing"):
        page = stranger.get(path).text
        assert str(FOLDER) not in page and str(fleet.data_dir) not in page
