"""The backup that is downloaded from the settings page."""

from __future__ import annotations

from pathlib import Path

from app.accounts.actor import CLI
from app.actions.backups import look
from app.host.archive import is_encrypted
from tests.support.fleet import Fleet
from tests.web.desk import Desk
from tests.web.visitor import Visitor


def test_the_file_is_a_whole_backup_and_nothing_of_it_stays(admin: Visitor, fleet: Fleet, tmp_path: Path) -> None:
    fleet.add_user("Alice")
    answer = admin.post("/backup", {"passphrase": ""})
    assert answer.status_code == 200 and answer.headers["Content-Disposition"].endswith(".tar.gz")
    assert answer.headers["Cache-Control"] == "no-store"
    file = tmp_path / "b"
    file.write_bytes(answer.get_data())
    assert look(fleet, CLI, file)[0].params == {"there": 1, "here": 1}
    assert not list(fleet.data_dir.glob(".backup-*"))
    assert (fleet.events()[0].action, fleet.events()[0].actor) == ("backup.made", "admin:ada")


def test_with_a_passphrase_it_is_encrypted(admin: Visitor, tmp_path: Path) -> None:
    answer = admin.post("/backup", {"passphrase": "open sesame"})
    file = tmp_path / "b"
    file.write_bytes(answer.get_data())
    assert is_encrypted(file) and answer.headers["Content-Disposition"].endswith(".tar.gz.age")


def test_an_admin_without_the_right_gets_none(fleet: Fleet, panel) -> None:
    fleet.create_admin("helper", "correct horse battery", sudo=False)
    helper = Visitor(panel.test_client())
    helper.login("helper", "correct horse battery")
    answer = helper.post("/backup", {"passphrase": ""})
    assert answer.status_code == 403 and b"gzip" not in answer.get_data()[:20]


def test_in_a_browser_the_file_arrives(desk: Desk, fleet: Fleet, tmp_path: Path) -> None:
    desk.go("/settings")
    with desk.page.expect_download() as download:
        desk.page.get_by_role("button", name="Download a backup").click()
    download.value.save_as(tmp_path / "b")
    assert look(fleet, CLI, tmp_path / "b")
