"""Locks of files: who excludes whom, and what they leave."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.lib.filelock import FileLock, locked, try_flock

HOLD = """import sys; from pathlib import Path; from app.lib.filelock import locked
with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.lock"


def free(path: Path) -> bool:
    with FileLock(path) as lock:
        return lock.try_take()


def test_two_of_one_path_exclude_each_other_in_one_process(path):
    with locked(path):
        assert not free(path)
    assert free(path)


def test_whoever_waits_gets_it_when_it_is_given_up(path):
    got = threading.Event()

    def wait() -> None:
        with locked(path):
            got.set()

    with locked(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.05)
    waiting.join(10)
    assert got.is_set()


def test_it_ends_with_a_process_that_is_killed(path):
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen([sys.executable, "-c", HOLD, path], cwd=root, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        assert not free(path)
        holder.kill()
        holder.wait()
    assert free(path)


def test_an_error_of_the_block_gives_it_up_and_is_told(path):
    with pytest.raises(OSError, match="of the block"), locked(path):
        raise OSError("of the block")
    assert free(path)


def test_the_file_is_private_whatever_the_umask_is_and_what_it_holds_stays(path):
    before = os.umask(0)
    try:
        free(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("1\n")
    free(path)
    assert path.read_text() == "1\n"


def test_a_shared_one_excludes_only_those_that_want_it_alone(path):
    with FileLock(path) as first, FileLock(path, make=False) as second:
        first.take(shared=True)
        second.take(shared=True)
        assert not free(path)


def test_without_making_it_takes_what_is_there_a_folder_too_and_nothing_else(tmp_path):
    with FileLock(tmp_path, make=False) as lock, FileLock(tmp_path, make=False) as other:
        assert lock.try_take() and not other.try_take()
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "missing", make=False)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_started_meanwhile_does_not_inherit_it(path):
    with locked(path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert free(path)
    finally:
        child.kill()
        child.wait()


def test_a_file_with_another_use_is_held_by_whoever_has_it_open(path):
    with path.open("a+") as file, path.open() as reader:
        assert try_flock(file) and not try_flock(reader, shared=True)
    with path.open() as reader:
        assert try_flock(reader, shared=True)
