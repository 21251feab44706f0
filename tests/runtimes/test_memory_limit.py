"""A local process has the memory that is allowed, and says when that was not enough."""

from __future__ import annotations

import os
import resource
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.config.model import Config, User
from app.engines.builtin import Builtin
from app.lib.procfs import identify, lives
from app.messages import sentence
from app.runtimes.base import EXITED, RUNNING
from app.runtimes.process.endings import ending
from tests.support.docker_lab import eventually
from tests.support.problems import codes

#: The stand-in with a thread that takes memory until there is no more, and ends as the built-in engine does.
GREEDY = """
import sys, time
sys.path.insert(0, {repository!r})
from app.builtin.logs import failure_rarely
import runpy, threading
def eat():
    while not __import__("pathlib").Path({folder!r}, "eat").exists():
        time.sleep(0.02)
    try:
        kept = [bytearray(8 << 20) for _ in range(100_000)]
    except MemoryError as error:
        failure_rarely("eating", error)
threading.Thread(target=eat, daemon=True).start()
sys.argv = ["stand_in", "run", sys.argv[1]]
runpy.run_path({stand_in!r}, run_name="__main__")
"""
REPOSITORY = Path(__file__).resolve().parents[2]


def data_bytes(pid: int) -> int:
    (line,) = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmData:")]
    return int(line.split()[1]) * 1024


def test_a_process_that_needs_more_than_is_allowed_ends_and_says_so(process_lab, tmp_path):
    lab = process_lab
    code = GREEDY.format(repository=str(REPOSITORY), folder=str(tmp_path),
                         stand_in=str(Path(__file__).with_name("stand_in.py")))
    workload = replace(lab.workload(), command=(sys.executable, "-c", code, "{config}"), memory_mb=64)
    lab.runtime.create(workload)
    lab.runtime.start(workload.name)
    process = identify(lab.pid(workload.name))
    allowed = resource.prlimit(process.pid, resource.RLIMIT_DATA)[0]
    assert 64 << 20 < allowed <= (64 << 20) + (256 << 20)
    (tmp_path / "eat").touch()
    eventually(lambda: not lives(process), "it has ended")
    (seen,) = lab.runtime.observe()
    assert (seen.state, seen.crashes) == (EXITED, 1)
    assert codes(seen.reason) == ["ended.no_memory_left", "ended.last_line", "ended.exited"]
    assert seen.reason.params["megabytes"] == 64 and "last line: error: out of memory" in sentence(seen.reason)
    (tmp_path / "eat").unlink()
    lab.runtime.start(workload.name)
    assert lab.state(workload.name) == RUNNING


def test_without_a_limit_there_is_none(process_lab):
    workload = process_lab.workload()
    process_lab.runtime.create(workload)
    process_lab.runtime.start(workload.name)
    assert resource.prlimit(process_lab.pid(workload.name), resource.RLIMIT_DATA) == \
        resource.getrlimit(resource.RLIMIT_DATA)


def test_the_engine_with_500_idle_connections_is_far_below_its_limit(process_lab):
    lab = process_lab
    port = lab.workload().port
    user = User(id="a1", name="Alice", port=port, secret="ee" + "01" * 16 + b"www.example.com".hex())
    workload = Builtin().workload(user, Config(), lab.runtime.place(port, "127.0.0.1"))
    assert workload.memory_mb == Config().proxy_memory_mb == 256
    lab.runtime.create(workload)
    lab.runtime.start(workload.name)
    for _ in range(500):
        lab.sockets.append(socket.create_connection(("127.0.0.1", port), timeout=60))
    pid = lab.pid(workload.name)
    # One address has a share of the places, 256 of 4,096: the oldest of the others are ended.
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) > 200, "as many as it may have are taken in")
    assert data_bytes(pid) < resource.prlimit(pid, resource.RLIMIT_DATA)[0] / 4


@pytest.mark.parametrize("status, text, memory_mb, expected", [
    (1, "Traceback\nMemoryError\n", 256, "ended.no_memory_left"),
    (2, "fatal error: runtime: out of memory\ngoroutine 1\n", 256, "ended.no_memory_left"),
    (1, "MemoryError", 0, "ended.exited"),
    (-15, "MemoryError", 256, "ended.by_signal"),
    (0, "MemoryError", 256, "ended.exited"),
    (None, "MemoryError", 256, "ended.code_unknown"),
    (3, "something else", 256, "ended.exited"),
])
def test_only_what_the_program_says_is_taken_for_want_of_memory(status, text, memory_mb, expected):
    assert next(code for code in codes(ending(status, text, memory_mb)) if code != "ended.last_line") == expected


@pytest.mark.parametrize("uid, notes", [(0, 1), (1000, 0)])
def test_that_proxies_run_as_root_is_said(process_lab, monkeypatch, uid, notes):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert len(process_lab.runtime.notes()) == notes


def test_the_engine_itself_ends_and_says_so(process_lab):
    lab = process_lab
    port = lab.workload().port
    user = User(id="a1", name="Alice", port=port, secret="ee" + "01" * 16 + b"www.example.com".hex())
    workload = Builtin().workload(user, Config(), lab.runtime.place(port, "127.0.0.1"))
    lab.runtime.create(workload)
    lab.runtime.start(workload.name)
    process = identify(lab.pid(workload.name))
    resource.prlimit(process.pid, resource.RLIMIT_DATA, (data_bytes(process.pid), data_bytes(process.pid)))

    def ended() -> bool:
        try:
            lab.sockets.append(socket.create_connection(("127.0.0.1", port), timeout=60))
            lab.sockets[-1].sendall(b"\x16\x03\x01\x40\x00\x01" + bytes(3000))
        except OSError:
            pass
        return not lives(process)

    eventually(ended, "it has ended")
    (seen,) = lab.runtime.observe()
    assert seen.state == EXITED and seen.reason.code == "ended.no_memory_left"
