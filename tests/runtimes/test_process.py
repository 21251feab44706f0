"""What the process runtime promises beyond the contract: real processes, killed and disturbed for real."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import stat
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app.control.plan import REPLACE, plan
from app.engines.builtin import SPEED_FILE
from app.engines.mtg.config_file import REPLAYS
from app.lib import procfs
from app.messages import Problem, sentence, text
from app.runtimes import ports
from app.runtimes.base import CREATED, EXITED, RUNNING, STOPPED, RuntimeFailure
from app.runtimes.process.folder import CONFIG, LOG, RECORD, Folder
from app.runtimes.process.runtime import ProcessRuntime
from tests.runtimes.conftest import stand_in
from tests.support.docker_lab import eventually
from tests.support.problems import codes

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def lab(process_lab):
    return process_lab


def only(lab):
    (observed,) = lab.runtime.observe()
    return observed


def edit_record(lab, name: str, **changes: object) -> None:
    path = lab.data / "proxies" / name / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def panel(code: str, *arguments: object) -> subprocess.Popen:
    """Another panel: a Python process of its own that runs this code over the same folder."""
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE,
                            env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, text=True)


def has_open(pid: int, path: Path) -> bool:
    try:
        return str(path) in [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    except FileNotFoundError:
        return False  # it has closed another one meanwhile


def sees_the_end(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


# -- ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["stop", "remove"])
def test_live_connections_end_before_the_verb_returns_and_nobody_elses(lab, running, verb):
    ended, kept = running(), running()
    clients, other = [lab.connect(ended) for _ in range(5)], lab.connect(kept)
    getattr(lab.runtime, verb)(ended.name)
    for client in clients:
        client.settimeout(0.5)  # not for a busy machine: the kernel knows at once
        assert sees_the_end(client)
    other.sendall(b"still")
    assert other.recv(5) == b"still"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ended.port), timeout=30)


def test_the_reason_of_a_crash_is_the_signal_or_the_exit_code_with_the_last_line(lab, running):
    workload = running()
    lab.crash(workload.name)
    last = f"listening on {workload.place.listen}"
    reason = only(lab).reason
    assert codes(reason) == ["ended.last_line", "ended.by_signal"] and reason.params["line"] == last
    assert reason.params["how"].params == {"signal": "SIGSEGV"}


def test_why_a_program_ended_is_kept_as_a_code_and_read_as_older_versions_noted_it(tmp_path):
    folder = Folder(tmp_path, "mtg-proxy-2443")
    folder.path.mkdir()
    older = {"name": folder.name, "user_id": "a", "spec": "s", "engine": "builtin", "command": [], "env": {},
             "listen": "127.0.0.1:2443", "metrics": "127.0.0.1:3129", "metrics_path": "/"}
    for reason, read in (("stopped", STOPPED), ("it exited with code 1", text("it exited with code 1")), ("", None)):
        (folder.path / RECORD).write_text(json.dumps({**older, "reason": reason}))
        assert folder.read().why == read
    record, ended = folder.read(), Problem("ended.last_line", {"how": Problem("ended.sigkill"), "line": "{x}"})
    for why in (ended, STOPPED, None):
        record.why = why
        folder.write(record)
        assert folder.read().why == why


def test_a_program_that_dies_at_once_fails_the_start_with_its_last_line(lab):
    workload = lab.workload(die="the secret is no secret")
    lab.runtime.create(workload)
    for crashes in (1, 2):
        with pytest.raises(RuntimeFailure, match="code 3; its last line: the secret is no secret"):
            lab.runtime.start(workload.name)
        seen = only(lab)
        assert (seen.state, seen.crashes) == (EXITED, crashes)
        assert seen.reason.params["line"] == "the secret is no secret"


def test_the_last_line_of_an_earlier_run_is_not_taken_for_that_of_a_later_one(lab, running):
    workload = running()
    lab.runtime.stop(workload.name)
    config = lab.data / "proxies" / workload.name / "config.toml"
    edit_record(lab, workload.name, command=["/bin/false", str(config)])
    assert "listening" in lab.runtime.logs(workload.name)
    with pytest.raises(RuntimeFailure) as failure:
        lab.runtime.start(workload.name)
    assert "exited with code 1" in str(failure.value) and "listening" not in str(failure.value)


def test_a_program_that_never_listens_is_killed_and_its_start_fails(lab):
    workload = lab.workload(silent=True)
    lab.runtime.create(workload)
    lab.runtime.start_timeout = 0.5
    with pytest.raises(RuntimeFailure, match=f"did not accept connections on {workload.place.listen}"):
        lab.runtime.start(workload.name)
    seen = only(lab)
    assert (seen.state, seen.crashes) == (EXITED, 1)
    assert procfs.find(lab.data / "proxies", "config.toml") == {}


def test_a_program_that_is_not_there_fails_the_start_with_its_name(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    edit_record(lab, workload.name, command=["/nowhere/mtg", "run"])
    with pytest.raises(RuntimeFailure, match="/nowhere/mtg: No such file"):
        lab.runtime.start(workload.name)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"\xff"),
                                    lambda path: path.write_text("")])
def test_files_that_were_damaged_by_hand_are_made_anew_with_the_next_start(lab, running, damage):
    workload = running()
    damage(lab.data / "proxies" / workload.name / CONFIG)
    assert not plan({workload.name: workload}, [only(lab)], time.time()), "what runs has read them, and runs on"
    lab.runtime.stop(workload.name)
    (action,) = plan({workload.name: workload}, [only(lab)], time.time())
    assert action.kind == REPLACE
    lab.runtime.create(workload)
    assert only(lab).spec == workload.spec
    lab.runtime.start(workload.name)
    lab.runtime.stop(workload.name)
    edit_record(lab, workload.name, files={})  # as an older version made it
    damage(lab.data / "proxies" / workload.name / CONFIG)
    assert only(lab).spec == workload.spec


def test_a_program_that_dies_at_once_and_leaves_no_zombie_fails_the_start(lab, monkeypatch):
    """Where the panel was started by a program that ignores SIGCHLD, and does not wait for what it starts."""
    workload = lab.workload(die="the secret is no secret")
    lab.runtime.create(workload)
    identify, ignored = procfs.identify, signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def too_late(pid: int) -> procfs.Process | None:
        eventually(lambda: not Path(f"/proc/{pid}").exists(), "it has ended")
        return identify(pid)

    try:
        with monkeypatch.context() as late:
            late.setattr(procfs, "identify", too_late)
            with pytest.raises(RuntimeFailure, match="it ended; .*last line: the secret is no secret"):
                lab.runtime.start(workload.name)
    finally:
        signal.signal(signal.SIGCHLD, ignored)
    seen = only(lab)
    assert (seen.state, seen.crashes) == (EXITED, 1) and seen.reason.params["line"] == "the secret is no secret"


def test_a_run_that_has_lasted_forgets_earlier_crashes(lab, running):
    workload = running()
    lab.crash(workload.name)
    lab.runtime.observe()
    lab.runtime.start(workload.name)
    assert only(lab).crashes == 1
    lab.runtime.settled_after = 0.0
    assert only(lab).crashes == 0
    lab.crash(workload.name)
    assert (only(lab).state, only(lab).crashes) == (EXITED, 0)


def test_a_restart_of_the_machine_is_no_crash(lab, running):
    workload = running()
    os.kill(lab.pid(workload.name), signal.SIGKILL)
    edit_record(lab, workload.name, boot="another boot")
    seen = only(lab)
    assert (seen.state, seen.crashes, seen.reason) == (EXITED, 0, Problem("ended.machine_restarted"))


def test_many_who_look_at_one_crash_count_it_once(lab, running):
    workload = running()
    lab.crash(workload.name)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: lab.again().observe()[0], range(24)))
    assert {(o.state, o.crashes, o.reason) for o in seen} == {(EXITED, 1, seen[0].reason)}
    assert "SIGSEGV" in sentence(seen[0].reason)


def test_waiting_is_told_once_of_an_end_between_the_look_and_the_wait(lab, running):
    workload = running()
    lab.crash(workload.name)
    assert lab.runtime.wait(30) is True
    assert lab.runtime.wait(0.05) is False
    assert only(lab).state == EXITED


# -- who starts, who stays ---------------------------------------------------------------------


START = """
import sys; from pathlib import Path; from app.runtimes.process.runtime import ProcessRuntime
from tests.runtimes.conftest import stand_in
runtime = ProcessRuntime(Path(sys.argv[1])); runtime.start(sys.argv[2]); print("started", flush=True)
sys.stdin.read() if len(sys.argv) < 4 else None
import time; time.sleep(60)
"""

KILLED_BEFORE_THE_RECORD = """
import os, signal, sys; from pathlib import Path
from app.runtimes.process.folder import Folder; from app.runtimes.process.runtime import ProcessRuntime
from tests.runtimes.conftest import stand_in
write = Folder.write
def die(self, record):
    if record.pid:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, record)
Folder.write = die
ProcessRuntime(Path(sys.argv[1])).start(sys.argv[2])
"""


def test_a_kill_of_the_panel_leaves_its_workloads_and_their_connections(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    other = panel(START, lab.data, workload.name, "wait")
    assert other.stdout.readline() == "started\n"
    client, before = lab.connect(workload), only(lab)
    assert before.state == RUNNING
    other.kill()
    other.wait()
    client.sendall(b"alive")
    assert client.recv(5) == b"alive"
    assert lab.again().observe() == [before]
    # The kernel gives its exit code to nobody now.
    os.kill(lab.pid(workload.name), signal.SIGTERM)
    assert lab.runtime.wait(30)
    reason = only(lab).reason
    assert "ended.code_unknown" in codes(reason) or "SIGTERM" in sentence(reason)


@pytest.fixture
def unrecorded(lab):
    """A workload whose panel was killed between starting it and writing that down."""
    workload = lab.workload()
    lab.runtime.create(workload)
    other = panel(KILLED_BEFORE_THE_RECORD, lab.data, workload.name)
    assert other.wait() == -signal.SIGKILL
    record = json.loads((lab.data / "proxies" / workload.name / "state.json").read_text())
    assert record["pid"] == 0
    eventually(lambda: procfs.find(lab.data / "proxies", "config.toml"), "the process has its arguments")
    (process,) = procfs.find(lab.data / "proxies", "config.toml")[workload.name]
    return workload, process


def test_a_workload_that_nobody_recorded_is_adopted(lab, unrecorded):
    workload, process = unrecorded
    seen = only(lab)
    assert (seen.state, seen.run_id, seen.spec) == (RUNNING, process.run_id, workload.spec)
    assert abs(seen.started_at - time.time()) < 30
    assert lab.again().observe() == [seen]


def test_starting_a_workload_that_nobody_recorded_starts_no_second_one(lab, unrecorded):
    workload, process = unrecorded
    lab.runtime.start(workload.name)
    assert only(lab).run_id == process.run_id
    lab.connect(workload)


@pytest.mark.parametrize("verb", ["stop", "remove"])
def test_a_workload_that_nobody_recorded_can_be_ended(lab, unrecorded, verb):
    workload, _ = unrecorded
    getattr(lab.runtime, verb)(workload.name)
    assert procfs.find(lab.data / "proxies", "config.toml") == {}
    assert lab.state(workload.name) in (None, CREATED, EXITED)


def test_a_workload_whose_folder_was_deleted_by_hand_is_seen_and_ended(lab, running):
    workload = running()
    start = only(lab).run_id
    folder = lab.data / "proxies" / workload.name
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    seen = only(lab)
    assert (seen.state, seen.run_id, seen.spec) == (RUNNING, start, "")
    lab.runtime.create(workload)
    lab.runtime.start(workload.name)
    assert only(lab).run_id != start and only(lab).spec == workload.spec


@pytest.mark.parametrize("genuine", [True, False], ids=["same start time", "another start time"])
def test_a_foreign_process_with_the_recorded_pid_is_never_signalled(lab, genuine):
    workload = lab.workload()
    lab.runtime.create(workload)
    foreign = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        eventually(lambda: procfs.command_line(foreign.pid), "it has its arguments a moment after it is there")
        process = procfs.identify(foreign.pid)
        ticks = process.ticks if genuine else process.ticks - 1
        for verb in ("observe", "samples", "stop", "start", "stop", "remove"):
            if (lab.data / "proxies" / workload.name / "state.json").exists():
                edit_record(lab, workload.name, pid=foreign.pid, ticks=ticks, boot=process.boot)
            getattr(lab.runtime, verb)(*([] if verb in ("observe", "samples") else [workload.name]))
            assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_a_kill_is_never_carried_out_on_another_run_or_program(tmp_path):
    config = tmp_path / "mtg-proxy-1" / "config.toml"
    ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(config)],
                            start_new_session=True)
    process = procfs.identify(ours.pid)
    try:
        eventually(lambda: procfs.find(tmp_path, "config.toml") == {"mtg-proxy-1": [process]},
                   "it has its arguments a moment after it is there")
        earlier = procfs.Process(process.pid, process.ticks - 1, process.boot)
        other_boot = procfs.Process(process.pid, process.ticks, "another boot")
        for wrong, file in ((earlier, config), (other_boot, config), (process, tmp_path / "config.toml")):
            assert not procfs.alive(wrong, file)
            assert procfs.kill(wrong, file, 5) is True
            assert procfs.reap(wrong) is None
            assert ours.poll() is None
        assert procfs.kill(process, config, 5) is True
        assert procfs.reap(process) == -signal.SIGKILL
        assert procfs.kill(process, config, 5) is True
    finally:
        ours.kill()
        ours.wait()


def test_a_process_that_loses_its_arguments_while_it_is_looked_at_is_still_there(tmp_path, monkeypatch):
    """As every process does between its last instruction and its end; only then is there a reason to be told."""
    config = tmp_path / "config.toml"
    ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(config)],
                            start_new_session=True)
    try:
        eventually(lambda: str(config) in procfs.command_line(ours.pid), "it has its arguments a moment later")
        looks = iter([procfs.command_line(ours.pid)])
        monkeypatch.setattr(procfs, "command_line", lambda pid: next(looks, []))
        assert procfs.alive(procfs.identify(ours.pid), config)
        assert procfs.alive(procfs.identify(ours.pid), config)
    finally:
        ours.kill()
        ours.wait()


def test_the_recorded_pid_with_another_start_time_is_another_start(lab, running):
    workload = running()
    start, process = only(lab).run_id, procfs.identify(lab.pid(workload.name))
    edit_record(lab, workload.name, ticks=process.ticks - 1)
    assert lab.runtime.samples() == []
    assert lab.runtime.wait(30) is True
    seen = only(lab)
    assert (seen.state, seen.run_id, seen.crashes) == (RUNNING, start, 1)


def test_a_command_that_does_not_name_its_config_is_refused(lab):
    workload = lab.workload()
    with pytest.raises(RuntimeFailure, match="must name {config}"):
        lab.runtime.create(type(workload)(**{**vars(workload), "command": ("/bin/true",)}))
    assert lab.runtime.observe() == []


def test_a_program_that_only_reads_the_config_is_not_taken_for_the_workload(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    config = lab.data / "proxies" / workload.name / "config.toml"
    reader = subprocess.Popen(["tail", "-f", config], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: has_open(reader.pid, config), "it reads the file")
        assert only(lab).state == CREATED
        lab.runtime.stop(workload.name)
        lab.runtime.remove(workload.name)
        assert reader.poll() is None
    finally:
        reader.kill()
        reader.wait()


def test_a_workload_has_a_session_of_its_own_and_none_of_our_files(lab, running):
    ours = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(ours, True)
    client = lab.connect(running())
    client.set_inheritable(True)
    pid = lab.pid(running().name)
    assert os.getsid(pid) == pid
    targets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert targets.count("/dev/null") == 1 and f"/proc/{pid}/fd/{ours}" not in targets
    assert not any(os.readlink(f"/proc/self/fd/{client.fileno()}") == target for target in targets)
    assert os.readlink(f"/proc/{pid}/cwd") == str(REPOSITORY)
    os.close(ours)


# -- ports -------------------------------------------------------------------------------------


def test_a_busy_port_names_the_program_and_its_pid(lab):
    workload = lab.workload()
    lab.occupy(workload.port)
    lab.runtime.create(workload)
    with pytest.raises(RuntimeFailure, match=rf"pid {os.getpid()}\)"):
        lab.runtime.start(workload.name)


def test_whose_the_ports_are_that_a_new_user_passes_over_is_not_looked_up(lab, monkeypatch):
    """Beside an installation with 200 users: for each of its ports all processes of the machine were looked at."""
    busy, asked = [lab.workload().port for _ in range(5)], []
    for port in dict.fromkeys(busy):
        lab.occupy(port)
    monkeypatch.setattr(ports, "_owner", lambda ip, port: asked.append(port))
    assert not any(lab.runtime.port_free(port, "127.0.0.1") for port in busy)
    assert asked == []
    assert lab.runtime.port_taken(busy[0], "127.0.0.1") and asked == [busy[0]]


def test_a_busy_metrics_address_is_refused_too(lab):
    workload = lab.workload()
    ip = workload.place.metrics.split(":")[0]
    lab.sockets.append(socket.create_server((ip, 3129)))
    lab.runtime.create(workload)
    with pytest.raises(RuntimeFailure, match="port 3129 is taken"):
        lab.runtime.start(workload.name)


def test_a_port_that_another_of_our_workloads_has_is_refused(lab, running):
    first = running()
    second = lab.workload(port=first.port)
    second = type(second)(**{**vars(second), "name": "mtg-proxy-second"})
    lab.runtime.create(second)
    with pytest.raises(RuntimeFailure, match=rf"port {first.port} is taken .*{first.name}"):
        lab.runtime.start(second.name)
    assert lab.state(first.name) == RUNNING


def test_an_address_that_this_machine_has_not_is_refused(lab, free_port):
    workload = lab.workload()
    place = type(workload.place)("192.0.2.1:2443", workload.place.metrics)
    lab.runtime.create(type(workload)(**{**vars(workload), "place": place}))
    with pytest.raises(RuntimeFailure, match="192.0.2.1 is not an address of this machine"):
        lab.runtime.start(workload.name)


def test_an_address_that_is_none_is_refused(lab):
    with pytest.raises(RuntimeFailure, match="'example.com' is no address"):
        lab.runtime.place(2443, "example.com")
    assert lab.runtime.place(2443, "::1").listen == lab.runtime.place(2443, "[::1]").listen == "[::1]:2443"


def test_all_addresses_means_both_families_where_there_are_two(lab, free_port):
    port = free_port()
    place = lab.runtime.place(port, "")
    workload = stand_in(port, place)
    lab.runtime.create(workload)
    lab.runtime.start(workload.name)
    both = socket.has_dualstack_ipv6()
    assert place.listen == (f"[::]:{port}" if both else f"0.0.0.0:{port}")
    for host in ("127.0.0.1", "::1") if both else ("127.0.0.1",):
        socket.create_connection((host, port), timeout=30).close()


def test_two_installations_have_metrics_on_different_addresses(tmp_path):
    networks = {ProcessRuntime(tmp_path / str(i)).place(2443, "").metrics for i in range(40)}
    assert len(networks) > 20


# -- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil", "..", ".", "", "a/b", "/etc", ".hidden", "a\nb", "x" * 300])
def test_a_name_that_is_a_path_is_refused_by_every_verb(lab, name):
    lab.data.mkdir()
    (lab.data / "evil").mkdir()
    workload = lab.workload()
    for verb in (lambda: lab.runtime.create(type(workload)(**{**vars(workload), "name": name})),
                 lambda: lab.runtime.start(name), lambda: lab.runtime.stop(name),
                 lambda: lab.runtime.remove(name), lambda: lab.runtime.logs(name),
                 lambda: lab.runtime.throttle(name, 1), lambda: lab.runtime.throttled(name)):
        with pytest.raises(RuntimeFailure, match="no name for a workload"):
            verb()
    assert (lab.data / "evil").is_dir()


@pytest.mark.parametrize("file", ["../x", "state.json", "limits.toml", "proxy.log", ".hidden", "a/b"])
def test_a_file_name_that_is_a_path_or_the_runtimes_own_is_refused(lab, file):
    workload = lab.workload()
    workload = type(workload)(**{**vars(workload), "files": {file: ""}})
    with pytest.raises(RuntimeFailure, match="can't be the name of a workload's file"):
        lab.runtime.create(workload)
    assert lab.runtime.observe() == []


def test_nobody_else_may_read_the_folder_or_its_files(lab, running):
    folder = lab.data / "proxies" / running().name
    lab.runtime.throttle(folder.name, 1_000_000)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert files == dict.fromkeys(("config.toml", "limits.toml", "state.json", "proxy.log"), 0o600)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": 1}', "\0\xff", None])
def test_a_damaged_record_costs_one_replacement_and_no_error(lab, running, text):
    damaged, other = running(), running()
    path = lab.data / "proxies" / damaged.name / "state.json"
    path.write_text(text or json.dumps({**json.loads(path.read_text()), "pid": "many"}), encoding="latin-1")
    seen = {o.name: o for o in lab.runtime.observe()}
    assert seen[damaged.name].spec == "" and seen[other.name].spec == other.spec
    lab.runtime.create(damaged)
    lab.runtime.start(damaged.name)
    assert {o.spec for o in lab.runtime.observe()} == {damaged.spec, other.spec}


def full_disk(lab, name: str, file: str) -> None:
    """The next write of this file finds no space: it is written beside first, and there is /dev/full."""
    (lab.data / "proxies" / name / f".{file}.new").symlink_to("/dev/full")


def test_a_full_disk_fails_the_start_and_leaves_no_process(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    full_disk(lab, workload.name, "state.json")
    with pytest.raises(RuntimeFailure, match="No space left"):
        lab.runtime.start(workload.name)
    assert procfs.find(lab.data / "proxies", "config.toml") == {}
    lab.runtime.start(workload.name)
    assert only(lab).state == RUNNING


def test_a_full_disk_fails_a_throttle_and_keeps_the_old_limit(lab, running):
    name = running().name
    lab.runtime.throttle(name, 5_000_000)
    full_disk(lab, name, "limits.toml")
    with pytest.raises(RuntimeFailure, match="No space left"):
        lab.runtime.throttle(name, 1_000_000)
    assert lab.runtime.throttled(name) == 5_000_000


def test_a_full_disk_keeps_no_proxy_running(lab, running):
    workload = running()
    full_disk(lab, workload.name, "state.json")
    lab.runtime.stop(workload.name)
    assert only(lab).state == EXITED


def test_looking_never_fails_while_others_create_and_remove(lab):
    workloads = [lab.workload() for _ in range(4)]
    done = threading.Event()

    def churn(workload) -> None:
        runtime = lab.again()
        while not done.is_set():
            runtime.create(workload)
            runtime.remove(workload.name)

    with ThreadPoolExecutor(len(workloads)) as pool:
        futures = [pool.submit(churn, workload) for workload in workloads]
        looks = 0
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline or looks < 10:
            assert {o.state for o in lab.runtime.observe()} <= {CREATED}
            assert lab.runtime.samples() == []
            assert lab.runtime.logs(workloads[0].name) == ""
            looks += 1
        done.set()
        for future in futures:
            future.result()
    assert lab.runtime.observe() == []


# -- logs --------------------------------------------------------------------------------------


def test_a_long_log_is_rotated_while_the_program_writes_and_loses_next_to_nothing(lab, running):
    workload = running(chatter=0.0002)
    folder = lab.data / "proxies" / workload.name
    lab.runtime.rotate_above = 50_000
    rotations, lost = [], []
    while len(rotations) < 5:
        lab.runtime.observe()
        old = folder / "proxy.log.1"
        if old.exists() and (not rotations or rotations[-1] != old.stat().st_ino):
            rotations.append(old.stat().st_ino)
            numbers = [int(line.split()[1]) for path in (old, folder / "proxy.log")
                       for line in path.read_text().splitlines()[:-1] if line.startswith("line ")]
            assert numbers == sorted(numbers)
            # What is lost is lost at one place, between the last look and the emptying.
            gaps = [b - a - 1 for a, b in itertools.pairwise(numbers) if b != a + 1]
            assert len(gaps) <= 1
            lost.append(sum(gaps))
        time.sleep(0.01)
    # As a rule: a process that has to wait for the processor between the two loses more, now and then.
    assert statistics.median(lost) <= 20, lost
    assert only(lab).state == RUNNING
    assert folder.joinpath("proxy.log").stat().st_size < 5_000_000


def test_the_log_is_not_rotated_before_it_is_long(lab, running):
    workload = running()
    lab.runtime.observe()
    assert not (lab.data / "proxies" / workload.name / "proxy.log.1").exists()
    assert lab.runtime.rotate_above == 5 << 20


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001, 1500, 5000])
def test_the_tail_goes_on_into_the_rotated_log(lab, count):
    workload = lab.workload()
    lab.runtime.create(workload)
    lines = [f"line {i} {'é' * (i % 90)}" for i in range(2000)]
    folder = lab.data / "proxies" / workload.name
    (folder / "proxy.log.1").write_text("".join(f"{line}\n" for line in lines[:1000]))
    (folder / "proxy.log").write_text("".join(f"{line}\n" for line in lines[1000:]))
    assert lab.runtime.logs(workload.name, count).splitlines() == lines[-count:]


# -- throttle ----------------------------------------------------------------------------------


def test_a_limit_outlives_a_crash(lab, running):
    workload = running()
    lab.runtime.throttle(workload.name, 1_000_000)
    lab.crash(workload.name)
    assert lab.runtime.throttled(workload.name) is None
    lab.runtime.observe()
    lab.runtime.start(workload.name)
    assert lab.runtime.throttled(workload.name) == 1_000_000


def test_a_program_without_a_speed_limit_refuses_one_and_says_so(lab, running):
    workload = running(limits=False)
    with pytest.raises(RuntimeFailure, match="stand-in as a local process has no speed limit"):
        lab.runtime.throttle(workload.name, 1_000_000)
    lab.runtime.throttle(workload.name, None)
    assert lab.runtime.throttled(workload.name) is None


def test_a_limit_that_the_program_does_not_confirm_is_a_failure(lab, running):
    workload = running(deaf=True)
    lab.runtime.throttle_timeout = 0.3
    with pytest.raises(RuntimeFailure, match="has not said"):
        lab.runtime.throttle(workload.name, 1_000_000)


def test_a_workload_that_hangs_is_left_out_of_the_samples_and_hides_no_limit(lab, running):
    hung, kept = running(), running()
    lab.runtime.scrape_timeout = 1.0
    pid = lab.pid(hung.name)
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)
    seen: list[str] = []

    def kept_is_seen() -> bool:
        seen[:] = [sample.name for sample in lab.runtime.samples()]
        return seen != []  # on a busy machine it may need more than that second, too

    eventually(kept_is_seen, "the other one is sampled")
    assert seen == [kept.name]
    with pytest.raises(RuntimeFailure, match="does not tell its speed limit"):
        lab.runtime.throttled(hung.name)
    lab.runtime.stop(hung.name)
    assert lab.state(hung.name) == EXITED


def test_the_handshakes_seen_outlive_a_replacement_and_end_with_the_workload(lab):
    workload = replace(lab.workload(), keeps=REPLAYS)
    folder = Folder(lab.data / "proxies", workload.name)
    lab.runtime.create(workload)
    for name in (*REPLAYS, LOG, SPEED_FILE.name, "stray"):
        (folder.path / name).write_text("old")
    (folder.path / "nested").mkdir()
    lab.runtime.create(workload)
    assert {path.name for path in folder.path.iterdir()} == {*REPLAYS, CONFIG, RECORD}
    with pytest.raises(RuntimeFailure, match="can't be the name"):
        lab.runtime.create(replace(workload, files={CONFIG: "", REPLAYS[0]: ""}))
    lab.runtime.remove(workload.name)
    assert not folder.path.exists()
