"""`backup` and `restore`: the whole installation in one file, by command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT


def test_a_backup_is_made_looked_at_and_brought_back(run, tmp_path: Path) -> None:
    run("user", "add", "Alice", "--disabled")
    file = tmp_path / "with space.tar.gz"
    made = run("backup", str(file))
    assert made.code == 0 and "everybody's links" in made.stdout and file.exists()
    run("user", "remove", "Alice", "--yes")
    looked = run("restore", str(file))
    assert looked.code == 0 and "nothing was changed" in looked.stdout and "--yes" in looked.stdout
    assert run("user", "list", "--json").json() == []
    restored = run("restore", str(file), "--yes", "--json").json()
    assert restored["restored"] is True and len(restored["differences"]) > 1
    assert [user["name"] for user in run("user", "list", "--json").json()] == ["Alice"]


def test_an_encrypted_one_asks_for_its_passphrase(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("user", "add", "Alice", "--disabled")
    file = str(tmp_path / "b.age")
    assert run("backup", file, "--encrypt", input="open sesame\n").code == 0
    wrong = run("restore", file, input="open barley\n")
    assert wrong.code == 1 and "passphrase" in wrong.stderr and "Nothing was changed" in wrong.stderr
    assert run("restore", file, "--yes", input="open sesame\n").code == 0
    monkeypatch.setenv("MTPROTO_BACKUP_PASSPHRASE", "open sesame")
    assert run("restore", file, "--yes").code == 0


@pytest.mark.parametrize("content", ["nothing", "", "\0" * 5000])
def test_what_is_no_backup_is_refused_by_name(run, tmp_path: Path, content: str) -> None:
    run("user", "add", "Alice", "--disabled")
    file = tmp_path / "b"
    file.write_text(content)
    answer = run("restore", str(file), "--yes")
    assert answer.code == 1 and str(file) in answer.stderr and "Nothing was changed" in answer.stderr
    assert len(run("user", "list", "--json").json()) == 1


def test_a_file_that_is_not_there_is_told(run, tmp_path: Path) -> None:
    run("user", "add", "Alice", "--disabled")
    answer = run("restore", str(tmp_path / "none"))
    assert answer.code == 1 and "none can't be read" in answer.stderr


def test_those_on_the_server_are_listed(run, data: Path) -> None:
    run("user", "add", "Alice", "--disabled")
    assert "No backups yet" in run("backups").stdout and run("backups", "--json").json() == []
    file = data / "backups/mtproto-20270101T030000Z.tar.gz.age"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"x" * 1500000)
    assert file.name in run("backups").stdout and "1.5 MB" in run("backups").stdout
    assert run("backups", "--json").json() == [{
        "name": file.name, "made_at": "2027-01-01T03:00:00+00:00", "bytes": 1500000, "encrypted": True,
        "scheduled": True}]


def test_a_pipe_takes_a_backup_and_brings_it_back(run, data: Path) -> None:
    run("user", "add", "Alice", "--disabled")
    packed = subprocess.run([sys.executable, "-m", "app.cli", "--data", str(data), "backup", "-"], cwd=ROOT,
                            capture_output=True, check=True)
    assert packed.stderr == b"" and packed.stdout[:2] == b"\x1f\x8b"
    run("user", "remove", "Alice", "--yes")
    for half in (packed.stdout[:-100], b""):
        broken = subprocess.run([sys.executable, "-m", "app.cli", "--data", str(data), "restore", "-", "--yes"],
                                cwd=ROOT, input=half, capture_output=True)
        assert broken.returncode == 1 and b"Nothing was changed" in broken.stderr
    back = subprocess.run([sys.executable, "-m", "app.cli", "--data", str(data), "restore", "-", "--yes"], cwd=ROOT,
                          input=packed.stdout, capture_output=True)
    assert back.returncode == 0, back.stderr
    assert [user["name"] for user in run("user", "list", "--json").json()] == ["Alice"]
    assert not list(data.glob(".backup-*"))
