"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.lib.files import put, sync_folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("old")
    return tmp_path / "a.txt"


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
@pytest.mark.parametrize("umask", [0, 0o077])
def test_a_file_is_made_and_replaced_with_its_rights_whatever_the_umask_is(tmp_path, mode, umask):
    before = os.umask(umask)
    try:
        for content in (b"old", b"new"):
            put(tmp_path / "a.txt", content, mode)
            assert (tmp_path / "a.txt").read_bytes() == content
            assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)
    assert names(tmp_path / "a.txt") == ["a.txt"]


def test_a_reader_who_has_it_open_keeps_the_old_content(path):
    with path.open() as reader:
        put(path, b"new")
        assert (reader.read(), path.read_text()) == ("old", "new")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_leaves_the_old_one_and_nothing_beside_it(path, step, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        put(path, b"new")
    assert (path.read_text(), names(path)) == ("old", ["a.txt"])


def test_what_a_killed_writer_left_is_written_over(path):
    (path.parent / ".a.txt.new").write_text("much longer than what is new")
    put(path, b"new")
    assert (path.read_text(), names(path)) == ("new", ["a.txt"])


def test_it_may_grow_under_a_name_in_another_folder(path, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / ".x.tmp").write_text("left")
    put(path, b"new", beside=other / ".x.tmp")
    assert (path.read_text(), list(other.iterdir())) == ("new", [])


def test_it_waits_for_the_disk_before_the_new_name_and_only_if_asked_to(path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.readlink(f"/proc/self/fd/{file}")))
    put(path, b"new", sync=False)
    assert done == []
    put(path, b"new")
    sync_folder(path.parent)
    assert done == [str(path.parent / ".a.txt.new"), str(path.parent)]
