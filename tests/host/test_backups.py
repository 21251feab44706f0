"""One file with everything: made beside a panel that writes, brought back here or on another server."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.accounts.actor import CLI, Actor, NotAllowed, Right
from app.actions import backups
from app.actions.backups import back_up, look, restore
from app.config import model
from app.engines.builtin import Builtin
from app.host import archive
from app.host.archive import ArchiveError
from app.ledger.migrations import STEPS
from app.messages import sentence
from app.messages.refused import Refused
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime

HELPER = Actor("web", Right.USERS, "helper")


def installation(folder: Path, machine: Machine | None = None) -> Fleet:
    fleet = Fleet(folder, MemoryRuntime(machine or Machine()), Builtin())
    fleet.set_settings({"server_domain": "proxy.example"})
    return fleet


@pytest.fixture
def here(tmp_path: Path) -> Fleet:
    """An installation with two users, traffic, and a file of each kind."""
    fleet = installation(tmp_path / "here")
    fleet.add_user("Алиса", limit_gb="5", note="née")
    fleet.add_user("Bob", expires="2099-01-31")
    for name, text in (("certificates/panel.pem", "KEY"), ("nginx/cover/a b/index.html", "<p>")):
        path = fleet.data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return fleet


@pytest.fixture
def there(tmp_path: Path) -> Fleet:
    """Another server, newly installed."""
    fleet = Fleet(tmp_path / "there", MemoryRuntime(Machine()), Builtin())
    fleet.set_settings({"server_ip": "198.51.100.7"})
    return fleet


def codes(problems) -> list[str]:
    return [problem.code for problem in problems]


def links(fleet: Fleet) -> dict[str, str]:
    return {view.name: view.tg_link for view in fleet.users()}


@pytest.mark.parametrize("passphrase", ["", "correct horse ☂"])
def test_another_server_has_the_same_links_and_all_the_rest(here: Fleet, there: Fleet, tmp_path: Path, passphrase: str):
    file = back_up(here, CLI, tmp_path / "all of it.tar.gz", passphrase)
    assert file.stat().st_mode & 0o777 == 0o600 and archive.is_encrypted(file) == bool(passphrase)
    told = restore(there, CLI, file, passphrase)
    assert links(there) == links(here) and len(links(there)) == 2
    assert {view.state for view in there.users()} == {"running"}
    assert there.user("Алиса").limit_gb == 5 and there.user("Bob").expires_at == here.user("Bob").expires_at
    assert (there.data_dir / "certificates/panel.pem").read_text() == "KEY"
    assert (there.data_dir / "nginx/cover/a b/index.html").read_text() == "<p>"
    assert (there.data_dir / "certificates/panel.pem").stat().st_mode & 0o777 == 0o600
    assert here.events()[0].action == "backup.made"
    assert {"backup.restored", "user.added"} <= {e.action for e in there.events()}
    assert "restore.name_leads" in codes(told) and not list(there.data_dir.glob(".backup-*"))


def test_what_belongs_to_the_server_stays_and_is_told(here: Fleet, there: Fleet, tmp_path: Path):
    here.set_settings({"server_ip": "203.0.113.5", "server_domain": ""})
    key = there.config().secret_key
    told = restore(there, CLI, back_up(here, CLI, tmp_path / "b"))
    assert there.config().server_ip == "198.51.100.7" and there.config().secret_key == key
    assert {"restore.kept", "restore.no_name", "restore.before"} <= set(codes(told))
    [kept] = [problem for problem in told if problem.code == "restore.kept"]
    assert sentence(kept) == "server_ip stays as it is on this server: '198.51.100.7', not '203.0.113.5'"
    assert key not in "".join(map(sentence, told))


def test_admins_and_their_passwords_come_and_nobody_stays_logged_in(here: Fleet, there: Fleet, tmp_path: Path):
    here.create_admin("ada", "correct horse", sudo=True)
    here.ledger.sessions.begin("ada", "stamp", "192.0.2.1")
    restore(there, CLI, back_up(here, CLI, tmp_path / "b"))
    assert "ada" in [admin.username for admin in there.config().admins]
    assert there.ledger.database.query("SELECT * FROM sessions") == []


def test_a_look_changes_nothing_and_tells_the_same(here: Fleet, there: Fleet, tmp_path: Path):
    there.add_user("Carol")
    file = back_up(here, CLI, tmp_path / "b")
    before = (there.data_dir / "config.json").read_bytes()
    told = look(there, CLI, file)
    assert [sentence(problem) for problem in told[:2]] == [
        "2 users in the backup, 1 here", "Carol: here, but not in the backup; they will be removed"]
    assert (there.data_dir / "config.json").read_bytes() == before and list(links(there)) == ["Carol"]
    assert codes(restore(there, CLI, file))[:-1] == codes(told)


def test_what_was_here_can_be_brought_back(here: Fleet, there: Fleet, tmp_path: Path):
    there.add_user("Carol")
    carols = links(there)
    [kept] = [problem.params["path"] for problem in restore(there, CLI, back_up(here, CLI, tmp_path / "b"))
              if problem.code == "restore.before"]
    assert "Carol" not in links(there)
    restore(there, CLI, Path(kept))
    assert links(there) == carols


def test_on_the_same_server_no_proxy_is_restarted(tmp_path: Path):
    machine = Machine()
    fleet = installation(tmp_path / "data", machine)
    fleet.add_user("Alice")
    file = back_up(fleet, CLI, tmp_path / "b")
    fleet.add_user("Bob")
    done = len(machine.calls)
    restore(fleet, CLI, file)
    assert list(links(fleet)) == ["Alice"]
    assert not [call for call in machine.calls[done:] if "mtg-proxy-2443" in str(call)
                and not str(call).startswith(("('throttled", "throttled"))], machine.calls[done:]


def test_it_is_made_beside_a_panel_that_writes_all_the_time(here: Fleet, there: Fleet, tmp_path: Path):
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            here.ledger.events.record("panel", "noise")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            restore(there, CLI, back_up(here, CLI, tmp_path / f"b{number}"))
    finally:
        stop.set()
        writer.join()
    assert links(there) == links(here)
    with closing(sqlite3.connect(there.data_dir / "panel.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_panel_that_has_the_measurements_open_goes_on(here: Fleet, there: Fleet, tmp_path: Path):
    other = Fleet(there.data_dir, there.runtime, Builtin())  # as the panel beside the command
    other.events()
    restore(there, CLI, back_up(here, CLI, tmp_path / "b"))
    assert "user.added" in {e.action for e in other.events()}
    other.ledger.events.record("panel", "after")
    assert there.events()[0].action == "after"
    assert links(other) == links(here)


def test_measurements_that_somebody_holds_all_the_time_refuse_it_before_anything_is_changed(
        here: Fleet, there: Fleet, tmp_path: Path):
    file = back_up(here, CLI, tmp_path / "b")
    before = (there.data_dir / "config.json").read_bytes()
    with closing(sqlite3.connect(there.data_dir / "panel.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refused):
            restore(there, CLI, file)
        holder.execute("ROLLBACK")
    assert (there.data_dir / "config.json").read_bytes() == before and links(there) == {}
    restore(there, CLI, file)
    assert links(there) == links(here)


def test_nobody_without_the_right_may(here: Fleet, tmp_path: Path):
    file = back_up(here, CLI, tmp_path / "b")
    for attempt in (lambda: back_up(here, HELPER, tmp_path / "c"), lambda: look(here, HELPER, file),
                    lambda: restore(here, HELPER, file)):
        with pytest.raises(NotAllowed):
            attempt()
    assert not (tmp_path / "c").exists()


def test_the_configuration_of_an_older_installation_comes_back_as_far_as_it_is_understood(
        here: Fleet, there: Fleet, tmp_path: Path):
    def older(files: dict[str, bytes]) -> None:
        data = json.loads(files["config.json"])
        files["config.json"] = json.dumps({"server_domain": "https://proxy.example", "users": [
            {"name": user["name"], "secret": user["secret"], "port": user["port"], "fake_tls_domain": ""}
            for user in data["users"]]}).encode()

    restore(there, CLI, changed(back_up(here, CLI, tmp_path / "b"), older))
    assert {name: link.partition("&")[2] for name, link in links(there).items()} == {
        name: link.partition("&")[2] for name, link in links(here).items()}


# What is no backup, or a damaged one


def changed(file: Path, change: Callable[[dict[str, bytes]], object], extra: list[tarfile.TarInfo] = (),
            manifest: Callable[[dict], object] = lambda manifest: None) -> Path:
    """The backup with other files, whose manifest fits."""
    with tarfile.open(file) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    told = json.loads(files.pop("manifest.json"))
    change(files)
    told["files"] = {name: {"bytes": len(raw), "sha256": archive.hashlib.sha256(raw).hexdigest()}
                     for name, raw in files.items()}
    manifest(told)
    other = file.with_name("changed")
    with tarfile.open(other, "w:gz") as tar:
        for name, raw in {"manifest.json": json.dumps(told).encode(), **files}.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
        for info in extra:
            tar.addfile(info)
    return other


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def refusal(there: Fleet, file: Path, passphrase: str = "") -> str:
    before = {path: path.read_bytes() for path in there.data_dir.glob("config.json")}
    with pytest.raises(ArchiveError) as refused:
        restore(there, CLI, file, passphrase)
    with pytest.raises(ArchiveError):
        look(there, CLI, file, passphrase)
    assert {path: path.read_bytes() for path in before} == before and not list(there.data_dir.glob(".backup-*"))
    assert str(file) in str(refused.value)
    return refused.value.code


@pytest.mark.parametrize(("content", "code"), [
    (b"", "backup.unreadable"), (b"hello", "backup.unreadable"), (gzip.compress(b"", mtime=0), "backup.unreadable"),
    (gzip.compress(b"x" * 2000, mtime=0), "backup.unreadable"),
    (b"age-encryption.org/v1\nnonsense", "backup.encrypted")])
def test_what_is_no_backup_is_refused(there: Fleet, tmp_path: Path, content: bytes, code: str):
    file = tmp_path / "b"
    file.write_bytes(content)
    assert refusal(there, file) == code


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_half_of_a_backup_is_refused(here: Fleet, there: Fleet, tmp_path: Path, part: float):
    file = back_up(here, CLI, tmp_path / "b")
    raw = file.read_bytes()
    file.write_bytes(raw[:int(len(raw) * part)])
    assert refusal(there, file) == "backup.unreadable"


def test_a_wrong_passphrase_and_a_missing_one_are_told(here: Fleet, there: Fleet, tmp_path: Path):
    file = back_up(here, CLI, tmp_path / "b", "right")
    assert refusal(there, file) == "backup.encrypted"
    assert refusal(there, file, "wrong") == "backup.passphrase"
    raw = file.read_bytes()
    assert b"secret" not in raw and b"manifest" not in raw


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "certificates/../../evil", "evil", "certificates//x",
                                  "nginx/versions/x", "panel.db-wal"])
def test_a_file_that_leads_elsewhere_is_refused(here: Fleet, there: Fleet, tmp_path: Path, name: str):
    file = changed(back_up(here, CLI, tmp_path / "b"), lambda files: files.update({name: b"x"}))
    assert refusal(there, file) == "backup.damaged"
    assert not (tmp_path / "evil").exists() and not Path("/etc/evil").exists()


@pytest.mark.parametrize("extra", [
    link("certificates/link", tarfile.SYMTYPE, "/etc/passwd"), link("nginx/cover/x", tarfile.LNKTYPE, "config.json"),
    link("certificates/pipe", tarfile.FIFOTYPE, "")], ids=["symlink", "hard link", "pipe"])
def test_links_and_pipes_are_refused(here: Fleet, there: Fleet, tmp_path: Path, extra: tarfile.TarInfo):
    assert refusal(there, changed(back_up(here, CLI, tmp_path / "b"), lambda files: None, [extra])) == "backup.damaged"


def test_a_byte_that_was_changed_is_noticed(here: Fleet, there: Fleet, tmp_path: Path):
    def other_sum(manifest: dict) -> None:
        manifest["files"]["config.json"]["sha256"] = "0" * 64

    assert refusal(there, changed(back_up(here, CLI, tmp_path / "b"), lambda files: None, manifest=other_sum)) == \
        "backup.damaged"


@pytest.mark.parametrize(("manifest", "code"), [
    ({"format": 2, "files": {}}, "backup.newer"), ({"format": 1}, "backup.foreign"), ({"format": "1", "files": {}},
     "backup.foreign"), ({"format": 1, "files": []}, "backup.foreign"),
    ({"format": 1, "files": {"config.json": {"bytes": 10**15, "sha256": ""}}}, "backup.no_room")])
def test_a_manifest_that_is_odd_or_of_a_newer_version_is_told(
        here: Fleet, there: Fleet, tmp_path: Path, manifest: dict, code: str):
    def replace(told: dict) -> None:
        told.clear()
        told.update(manifest)

    assert refusal(there, changed(back_up(here, CLI, tmp_path / "b"), lambda files: None, manifest=replace)) == code


@pytest.mark.parametrize("config", [b"[]", b"{", b'{"users": 5}'])
def test_a_configuration_that_is_none_is_refused(here: Fleet, there: Fleet, tmp_path: Path, config: bytes):
    file = changed(back_up(here, CLI, tmp_path / "b"), lambda files: files.update({"config.json": config}))
    assert refusal(there, file) == "restore.invalid"


def test_measurements_of_a_newer_version_are_refused_before_anything_is_changed(
        here: Fleet, there: Fleet, tmp_path: Path):
    def newer(files: dict[str, bytes]) -> None:
        copy = tmp_path / "newer.db"
        copy.write_bytes(files["panel.db"])
        with closing(sqlite3.connect(copy)) as db:
            db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
        files["panel.db"] = copy.read_bytes()

    file = changed(back_up(here, CLI, tmp_path / "b"), newer)
    before = (there.data_dir / "config.json").read_bytes()
    with pytest.raises(ArchiveError) as refused:
        restore(there, CLI, file)
    assert refused.value.code == "restore.ledger_newer"
    assert (there.data_dir / "config.json").read_bytes() == before


def test_measurements_that_are_damaged_are_refused(here: Fleet, there: Fleet, tmp_path: Path):
    file = changed(back_up(here, CLI, tmp_path / "b"),
                   lambda files: files.update({"panel.db": b"SQLite format 3\0" + b"x" * 9999}))
    with pytest.raises(ArchiveError):
        restore(there, CLI, file)
    assert links(there) == {}


@pytest.mark.parametrize(("where", "code"), [("no/such/folder/b", "backup.failed"), (".", "backup.no_file")])
def test_a_backup_that_cannot_be_written_keeps_what_is_there(here: Fleet, tmp_path: Path, where: str, code: str):
    with pytest.raises(ArchiveError) as refused:
        back_up(here, CLI, tmp_path / where)
    assert refused.value.code == code and not list(tmp_path.glob("*.new"))


def test_a_pipe_is_not_waited_for_and_a_device_stays_what_it_is(here: Fleet, there: Fleet, tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # to a rename it is the same as a device
    with pytest.raises(ArchiveError) as refused:
        back_up(here, CLI, pipe)
    assert refused.value.code == "backup.no_file" and pipe.is_fifo()
    assert refusal(there, pipe) == "backup.no_file"
    with pytest.raises(ArchiveError):
        archive.is_encrypted(pipe)


def test_a_user_whose_port_is_taken_here_is_named(here: Fleet, there: Fleet, tmp_path: Path):
    there.runtime.machine.taken[2443] = "sshd"
    told = [sentence(problem) for problem in look(there, CLI, back_up(here, CLI, tmp_path / "b"))]
    assert any("Алиса: port 2443 is not free here" in line for line in told), told


def test_every_setting_of_the_server_is_a_field() -> None:
    assert set(backups.OF_THE_SERVER) <= set(model.Config.model_fields)
