"""Backups by schedule: made when one is due, few enough, and in nobody's way."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pyrage
import pytest

from app.accounts.actor import CLI
from app.actions.backups import look, restore
from app.control.backups import BackupSchedule, due_since, listed
from app.control.monitor import Monitor
from app.engines.builtin import Builtin
from app.host.archive import unpacked
from app.messages.refused import Refused
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime

NOON = datetime(2027, 3, 10, 12, 0, tzinfo=timezone.utc)


class Nights:
    """A server with a clock that the test sets. monotonic: seconds."""

    def __init__(self, folder: Path) -> None:
        self.fleet = Fleet(folder, MemoryRuntime(Machine()), Builtin())
        self.fleet.add_user("Alice")
        self.now, self.monotonic = NOON, 0.0
        self.schedule = self.anew()

    def anew(self) -> BackupSchedule:
        return BackupSchedule(self.fleet, lambda: self.monotonic, lambda: self.now)

    def names(self) -> list[str]:
        return [file.name for file in listed(self.fleet.data_dir)]

    def look(self, now: datetime | None = None) -> list[str]:
        self.now = now or self.now
        self.schedule.look()
        return self.names()

    def problems(self) -> list[str]:
        return [told for told in self.fleet.status().problems if "backup" in told]


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    monkeypatch.setenv("TZ", "UTC")
    return Nights(tmp_path / "data")


def test_the_first_look_makes_one_that_restores_and_the_next_night_another(nights: Nights, tmp_path: Path) -> None:
    assert nights.look() == nights.look() == ["mtproto-20270310T120000Z.tar.gz"]
    assert len(nights.look(NOON + timedelta(hours=14, minutes=59))) == 1
    assert len(nights.look(NOON + timedelta(hours=15))) == 2
    file = listed(nights.fleet.data_dir)[-1]
    assert file.path.stat().st_mode & 0o777 == 0o600 and file.scheduled and not file.encrypted
    there = Fleet(tmp_path / "there", MemoryRuntime(Machine()), Builtin())
    restore(there, CLI, file.path)
    assert [user.name for user in there.users()] == ["Alice"]
    assert [each.scheduled for each in listed(there.data_dir)] == [False], "what was there before is listed, too"


def test_only_as_many_as_are_wanted_are_kept(nights: Nights) -> None:
    nights.fleet.set_settings({"backup_keep": "3"})
    for day in range(6):
        kept = nights.look(NOON + timedelta(days=day))
    assert kept == [f"mtproto-202703{day}T120000Z.tar.gz" for day in (15, 14, 13)]
    (nights.fleet.data_dir / "backups/before-restore-20200101T000000Z.tar.gz").touch()
    assert "before-restore-20200101T000000Z.tar.gz" in nights.look(NOON + timedelta(days=6))


def test_weekly_is_the_night_to_monday_and_off_is_never(nights: Nights) -> None:
    nights.fleet.set_settings({"backup_schedule": "weekly"})
    assert len(nights.look()) == 1  # a Wednesday
    assert len(nights.look(datetime(2027, 3, 15, 2, 59, tzinfo=timezone.utc))) == 1
    assert len(nights.look(datetime(2027, 3, 15, 3, 0, tzinfo=timezone.utc))) == 2
    nights.fleet.set_settings({"backup_schedule": "off"})
    assert len(nights.look(NOON + timedelta(days=100))) == 2


def test_a_clock_that_was_ahead_keeps_nobody_from_todays_backup(nights: Nights) -> None:
    nights.fleet.set_settings({"backup_keep": "2"})
    nights.look(NOON + timedelta(days=4000))
    assert nights.look(NOON)[-1] == "mtproto-20270310T120000Z.tar.gz"
    assert nights.look(NOON + timedelta(days=1)) == ["mtproto-20270311T120000Z.tar.gz",
                                                     "mtproto-20270310T120000Z.tar.gz"]


@pytest.mark.parametrize(("day", "hours"), [((2027, 3, 28), 23), ((2027, 10, 31), 25)])
def test_a_night_with_a_change_of_the_clock_has_one_backup(
        nights: Nights, monkeypatch: pytest.MonkeyPatch, day: tuple[int, int, int], hours: int) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    midnight = datetime(*day, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(timezone.utc)
    nights.look(midnight)
    before = len(nights.names())
    for quarter in range(4 * hours):
        nights.look(midnight + timedelta(minutes=15 * quarter))
    assert len(nights.names()) == before + 1
    assert due_since("daily", (midnight + timedelta(hours=5)).astimezone(ZoneInfo("Europe/Berlin"))).hour == 3


def test_for_a_public_key_only_the_secret_one_opens_it(nights: Nights) -> None:
    identity = pyrage.x25519.Identity.generate()
    nights.fleet.set_settings({"backup_recipient": str(identity.to_public())})
    assert nights.look() == ["mtproto-20270310T120000Z.tar.gz.age"]
    file = listed(nights.fleet.data_dir)[0].path
    assert look(nights.fleet, CLI, file, str(identity))[0].params == {"there": 1, "here": 1}
    for wrong in ("", "a passphrase", str(pyrage.x25519.Identity.generate()), "AGE-SECRET-KEY-1NONSENSE"):
        with pytest.raises(Refused):
            look(nights.fleet, CLI, file, wrong)


@pytest.mark.parametrize("key", ["age1", "age1qqqqqq", "AGE-SECRET-KEY-1", "ssh-rsa AAAA", "né", "age1" + "q" * 9999])
def test_what_is_no_public_key_is_refused_by_its_field(nights: Nights, key: str) -> None:
    with pytest.raises(Refused) as refused:
        nights.fleet.set_settings({"backup_recipient": key})
    assert refused.value.field == "backup_recipient" and nights.fleet.settings()["backup_recipient"] == ""


def test_the_first_password_is_in_none_of_them(nights: Nights) -> None:
    password = nights.fleet.config().initial_password
    assert password and nights.look()
    with unpacked(listed(nights.fleet.data_dir)[0].path, nights.fleet.data_dir) as contents:
        config = json.loads(contents.bytes_of("config.json"))
    assert config["admin_password_hash"] and password not in json.dumps(config)


def test_a_full_disk_is_told_once_and_the_older_backups_stay(
        nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    nights.look()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 5 * 10**6))
    for minutes in range(0, 180, 1):
        nights.monotonic = 60.0 * minutes
        assert len(nights.look(NOON + timedelta(days=1, minutes=minutes))) == 1
    assert len(nights.problems()) == 1 and "5 MB are free" in nights.problems()[0]
    assert [event.action for event in nights.fleet.events()].count("backup.not_made") == 1
    nights.fleet.reconcile()
    assert nights.problems(), "a pass that finds all proxies well does not clear it"
    monkeypatch.undo()
    nights.monotonic += 7 * 3600
    assert len(nights.look()) == 2 and not nights.problems()


def test_a_folder_that_takes_no_file_harms_nobody(nights: Nights) -> None:
    shutil.rmtree(nights.fleet.data_dir / "backups", ignore_errors=True)
    (nights.fleet.data_dir / "backups").write_text("in the way")
    nights.look()
    assert nights.problems() and nights.fleet.users()[0].state == "running"


def test_a_declaration_that_cannot_be_read_replaces_no_good_backup(nights: Nights) -> None:
    nights.fleet.set_settings({"backup_keep": "1"})
    first = nights.look()
    (nights.fleet.data_dir / "config.json").write_text("{")
    assert nights.look(NOON + timedelta(days=1)) == first


def test_what_a_killed_one_has_left_is_cleared_and_odd_files_are_nobodys(nights: Nights) -> None:
    data, backups = nights.fleet.data_dir, nights.fleet.data_dir / "backups"
    (data / ".backup-old").mkdir()
    (data / ".backup-now").mkdir()
    os.utime(data / ".backup-old", (1, 1))
    backups.mkdir(exist_ok=True)
    (backups / ".mtproto-20270309T030000Z.tar.gz.new").touch()
    (backups / "mtproto-20279999T030000Z.tar.gz").touch()
    (backups / "mtproto-20270310T110000Z.tar.gz").symlink_to("/etc/passwd")
    assert nights.look() == ["mtproto-20270310T120000Z.tar.gz"]
    assert not (data / ".backup-old").exists() and (data / ".backup-now").exists()
    assert not (backups / ".mtproto-20270309T030000Z.tar.gz.new").exists()


def test_of_two_panels_the_one_that_acts_makes_it(nights: Nights) -> None:
    first, second = Monitor(nights.fleet, 0.05).start(), Monitor(nights.fleet, 0.05).start()
    deadline = datetime.now() + timedelta(seconds=20)
    while not nights.names() and datetime.now() < deadline:
        first._stopping.wait(0.05)
    first.stop()
    second.stop()
    assert len(nights.names()) == 1


def test_of_what_was_there_before_a_restore_the_newest_stay(nights: Nights) -> None:
    nights.look()
    for day in range(1, 20):
        (nights.fleet.data_dir / f"backups/before-restore-202701{day:02}T000000Z.tar.gz").touch()
    restore(nights.fleet, CLI, nights.fleet.data_dir / "backups" / "mtproto-20270310T120000Z.tar.gz")
    kept = [file.name for file in listed(nights.fleet.data_dir) if not file.scheduled]
    # The clock of today is behind that of the others, and its own one stays all the same.
    assert len(kept) == 10 and not kept[-1].startswith("before-restore-2027")
    assert "mtproto-20270310T120000Z.tar.gz" in nights.names()
