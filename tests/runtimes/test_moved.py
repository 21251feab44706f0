"""A process belongs to the folder that it works for: after a rename, by another way, and never to a copy."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from app.lib import procfs
from app.messages import Problem, sentence
from app.runtimes.base import EXITED, RUNNING, RuntimeFailure
from tests.runtimes.conftest import ProcessLab
from tests.support import docker_lab


@pytest.fixture
def lab(tmp_path):
    lab = ProcessLab(tmp_path / "a" / "data")
    yield lab
    lab.close()


def lost(lab: ProcessLab) -> None:
    """As after a crash of the panel between the start of a process and its record."""
    for record in (lab.data / "proxies").glob("*/state.json"):
        record.unlink()


def over(lab: ProcessLab, data: Path) -> None:
    """The lab's runtime serves this folder from now on."""
    lab.data, lab.runtime = data, lab.runtime.__class__(data)
    docker_lab.patient(lab.runtime)


def renamed(lab: ProcessLab) -> None:
    where = lab.data.parents[1]
    os.rename(where / "a", where / "b")
    over(lab, where / "b" / "data")


def moved_to_another_disk(lab: ProcessLab) -> None:
    where = lab.data.parents[1]
    shutil.copytree(where / "a", where / "b")
    shutil.rmtree(where / "a")
    over(lab, where / "b" / "data")


def linked(lab: ProcessLab) -> None:
    where = lab.data.parents[1]
    (where / "link").symlink_to(where / "a")
    over(lab, where / "link" / "data")


def renamed_behind_a_link(lab: ProcessLab) -> None:
    renamed(lab)
    where = lab.data.parents[1]
    (where / "a").symlink_to(where / "b")
    over(lab, where / "a" / "data")


def renamed_and_lost(lab: ProcessLab) -> None:
    renamed(lab)
    lost(lab)


def renamed_and_emptied(lab: ProcessLab) -> None:
    renamed(lab)
    for file in (lab.data / "proxies").glob("*/*"):
        file.unlink()


def renamed_and_another_installed_in_its_place(lab: ProcessLab) -> None:
    renamed(lab)
    where = lab.data.parents[1]
    shutil.copytree(where / "b", where / "a")
    other = ProcessLab(where / "a" / "data").runtime
    for observed in other.observe():
        assert observed.state == EXITED
        other.remove(observed.name)


WAYS = [renamed, moved_to_another_disk, linked, renamed_behind_a_link, renamed_and_lost, renamed_and_emptied, lost,
        renamed_and_another_installed_in_its_place]


@pytest.mark.parametrize("verb", ["stop", "remove", "create"])
@pytest.mark.parametrize("way", WAYS)
def test_whatever_became_of_its_folder_a_process_is_seen_and_ended(lab, running, way, verb):
    workload = running()
    start = lab.runtime.observe()[0].run_id
    way(lab)
    assert [(o.name, o.state, o.run_id) for o in lab.runtime.observe()] == [(workload.name, RUNNING, start)]
    getattr(lab.runtime, verb)(workload if verb == "create" else workload.name)
    assert lab.state(workload.name) != RUNNING
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", workload.port), timeout=30)


@pytest.fixture
def running(lab):
    def run():
        workload = lab.workload()
        lab.runtime.create(workload)
        lab.runtime.start(workload.name)
        return workload

    return run


def test_a_moved_workload_starts_again_with_its_files_of_now(lab, running):
    workload = running()
    renamed(lab)
    lab.runtime.stop(workload.name)
    lab.runtime.start(workload.name)
    config = str(lab.data / "proxies" / workload.name / "config.toml")
    assert config in procfs.command_line(lab.pid(workload.name))


@pytest.mark.parametrize("verbs", [["observe"], ["samples"], ["stop"], ["remove"], ["create"], ["start"],
                                   ["observe", "stop", "remove"]])
def test_a_copy_neither_ends_nor_claims_what_runs_for_the_original(lab, running, verbs):
    workload = running()
    start = lab.runtime.observe()[0].run_id
    copy = lab.data.parents[1] / "copy"
    shutil.copytree(lab.data, copy, symlinks=True)
    other = ProcessLab(copy).runtime
    for verb in verbs:
        arguments = {"observe": [], "samples": [], "create": [workload]}.get(verb, [workload.name])
        if verb == "start":
            with pytest.raises(RuntimeFailure, match=f"port {workload.port} is taken"):
                other.start(workload.name)
        else:
            getattr(other, verb)(*arguments)
    assert [o.state for o in other.observe() if o.state == RUNNING] == []
    assert lab.runtime.observe()[0].run_id == start
    lab.connect(workload)


def test_a_copy_says_whose_process_it_names_and_what_ends_it(lab, running):
    workload = running()
    pid = lab.pid(workload.name)
    copy = lab.data.parents[1] / "copy"
    shutil.copytree(lab.data, copy)
    (seen,) = ProcessLab(copy).runtime.observe()
    assert seen.reason == Problem("ended.copied_from", {"pid": pid, "folder": lab.data / "proxies" / workload.name})
    assert f"kill {pid}" in sentence(seen.reason) and seen.crashes == 0


def test_a_copy_of_an_older_record_does_not_signal_who_has_the_pid_now(lab, running):
    workload = running()
    lab.runtime.stop(workload.name)
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        record = lab.data / "proxies" / workload.name / "state.json"
        process = procfs.identify(other.pid)
        for ticks in (process.ticks, process.ticks - 1):
            record.write_text(json.dumps({**json.loads(record.read_text()), "pid": other.pid, "ticks": ticks,
                                          "boot": process.boot}))
            renamed(lab) if ticks == process.ticks else None
            record = lab.data / "proxies" / workload.name / "state.json"
            lab.runtime.stop(workload.name)
            assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


def test_another_users_process_is_told_with_its_pid_and_what_ends_it(lab, running, monkeypatch):
    workload = running()
    pid = lab.pid(workload.name)
    renamed(lab)

    def refused(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(signal, "pidfd_send_signal", refused)
        with pytest.raises(RuntimeFailure, match=rf"pid {pid}\) belongs to another user .*still runs.*kill {pid}"):
            lab.runtime.remove(workload.name)
    assert lab.state(workload.name) == RUNNING
