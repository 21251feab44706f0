"""The backup that is downloaded from the settings page."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.accounts.actor import CLI
from app.actions.backups import look
from app.control.backups import BackupSchedule, listed
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


def test_those_by_schedule_are_listed_and_can_be_taken_away(admin: Visitor, fleet: Fleet, tmp_path: Path) -> None:
    BackupSchedule(fleet).look()
    name = listed(fleet.data_dir)[0].name
    assert name in admin.get("/settings/backups").text
    answer = admin.post(f"/backup/{name}", {})
    (tmp_path / "b").write_bytes(answer.get_data())
    assert look(fleet, CLI, tmp_path / "b")[0].code == "restore.users"
    assert (fleet.events()[0].action, fleet.events()[0].detail) == ("backup.downloaded", name)


@pytest.mark.parametrize("name", ["config-20270101T000000.000000000Z.json", "..%2fconfig.json", "none", "%00", "%ff"])
def test_no_other_file_can_be_taken_away_that_way(admin: Visitor, fleet: Fleet, name: str) -> None:
    answer = admin.post(f"/backup/{name}", {})
    assert answer.status_code in (302, 404) and b"secret" not in answer.get_data()


def test_in_a_browser_the_file_arrives(desk: Desk, fleet: Fleet, tmp_path: Path) -> None:
    desk.go("/settings/backups")
    with desk.page.expect_download() as download:
        desk.page.get_by_role("button", name="Download a backup").click()
    download.value.save_as(tmp_path / "b")
    assert look(fleet, CLI, tmp_path / "b")
