"""`backup` and `restore`: the whole installation in one file, by command."""

from __future__ import annotations

from pathlib import Path

import pytest


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
