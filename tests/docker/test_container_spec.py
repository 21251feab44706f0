"""What is decided without an engine: the container's description, and Docker's words in ours."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import pytest

from app.messages import Problem
from app.runtimes.base import CREATED, EXITED, RUNNING, STOPPED, ImageMissing, Place, Workload
from app.runtimes.docker import spec as docker_spec
from app.runtimes.docker import state as docker_state
from app.runtimes.docker.client import Connection
from app.runtimes.docker.events import Watcher
from app.runtimes.docker.images import split
from app.runtimes.docker.logs import parse
from app.runtimes.docker.state import ContainerInfo, CrashState

WORKLOAD = Workload("mtg-proxy-2443", "alice", "mtg", "mtg-custom", ("run", "{config}"), {"config.toml": "é"},
                    2443, Place("0.0.0.0:3128", "0.0.0.0:3129", ":2443"), memory_mb=256)
NOW = 1_000_000.0
TOLD = ContainerInfo(id="a" * 64, name="mtg-proxy-2443", labels={docker_spec.MEMORY: "256"}, status="running",
            started_at=NOW - 5, started="then", exited_at=0.0, code=0, oom=False, restarts=0, wanted=True,
            trouble="", image="mtg-custom", pid=1, netns="")


@pytest.mark.parametrize("publish, expected", [
    (":2443", ("", "2443")), ("192.0.2.1:2443", ("192.0.2.1", "2443")),
    ("[2001:db8::1]:443", ("2001:db8::1", "443"))])
def test_the_port_is_published_on_the_address_that_was_declared(publish, expected):
    workload = replace(WORKLOAD, place=replace(WORKLOAD.place, publish=publish))
    ports = docker_spec.container(workload, "i", "net")["HostConfig"]["PortBindings"]
    assert ports == {"3128/tcp": [{"HostIp": expected[0], "HostPort": expected[1]}]}


def test_without_publishing_or_a_memory_limit_neither_is_asked_for():
    workload = replace(WORKLOAD, place=replace(WORKLOAD.place, publish=""), memory_mb=0)
    host = docker_spec.container(workload, "i", "net")["HostConfig"]
    assert not {"PortBindings", "Memory", "MemorySwap"} & host.keys()


def test_files_are_for_the_containers_account_alone_and_one_folder_is_its_own():
    with tarfile.open(fileobj=io.BytesIO(docker_spec.archive(WORKLOAD.files))) as tar:
        own, entry = tar.getmembers()
        assert own.isdir() and (own.name, own.mode, own.uid, own.gid) == ("own", 0o700, *[docker_spec.ACCOUNT] * 2)
        assert (entry.name, entry.mode) == ("config.toml", 0o440)
        assert (entry.uid, entry.gid) == (0, docker_spec.ACCOUNT)
        assert tar.extractfile(entry).read().decode() == "é"


@pytest.mark.parametrize("trouble", [
    "driver failed programming connectivity on x: Bind for 0.0.0.0:2443 failed: port is already allocated",
    "Error starting userland proxy: listen tcp4 0.0.0.0:2443: bind: address already in use",
    "Error starting userland proxy: listen tcp6 [::]:2443: bind: address already in use",
    "failed to bind host port for 0.0.0.0:2443:172.17.0.2:3128/tcp: address already in use",
    "failed to bind host port 0.0.0.0:2443/tcp: address already in use"])
def test_a_port_that_docker_could_not_have_is_known_in_all_its_words(trouble):
    assert docker_state.busy_port(trouble) == 2443
    refused = docker_state.refusal(trouble, "mtg-custom")
    assert (refused.code, refused.params["port"]) == ("port.taken", 2443)


@pytest.mark.parametrize("trouble, code", [
    ('exec: "run": executable file not found in $PATH: unknown', "docker.no_program"),
    ("write /x: no space left on device", "docker.disk_full"),
    ("listen tcp4 203.0.113.9:2443: bind: cannot assign requested address", "docker.no_such_address"),
    ("something new", "docker.start_refused")])
def test_why_docker_could_not_start_it_is_told(trouble, code):
    assert docker_state.refusal(trouble, "mtg-custom").code == code


def test_an_ending_is_told_with_its_last_line():
    ended = replace(TOLD, status="exited", exited_at=NOW, code=3)
    assert docker_state.reason(ended, "no such key") == \
        Problem("ended.last_line", {"how": Problem("ended.exited", {"exit_code": 3}), "line": "no such key"})
    assert docker_state.reason(replace(ended, oom=True, code=137), "") == \
        Problem("ended.memory", {"memory_mb": "256"})
    assert docker_state.reason(replace(ended, wanted=False), "") == STOPPED
    assert docker_state.reason(TOLD, "") is None


def test_states_are_the_three_that_runtimes_know():
    assert [replace(TOLD, status=s, exited_at=e).state for s, e in (
        ("running", 0.0), ("running", NOW), ("created", 0.0), ("exited", NOW), ("paused", 0.0),
        ("restarting", NOW))] == [RUNNING, RUNNING, CREATED, EXITED, EXITED, EXITED]


def test_crashes_count_dockers_own_restarts_and_those_before_our_last_start():
    run = CrashState(TOLD.id, before=2)
    assert docker_state.crashes(replace(TOLD, restarts=3), run, NOW) == 5
    assert docker_state.crashes(replace(TOLD, status="restarting", restarts=4, exited_at=NOW), run, NOW) == 6
    assert docker_state.crashes(replace(TOLD, status="exited", restarts=4, exited_at=NOW), run, NOW) == 7


def test_a_long_run_or_a_stop_forgets_crashes():
    run = CrashState(TOLD.id, before=2)
    settled = replace(TOLD, restarts=3, started_at=NOW - 61)
    assert docker_state.crashes(settled, run, NOW) == 0
    assert docker_state.crashes(replace(settled, restarts=4, started_at=NOW - 1), run, NOW) == 1
    stopped = replace(TOLD, status="exited", wanted=False, exited_at=NOW)
    assert docker_state.crashes(stopped, CrashState(TOLD.id, before=2), NOW) == 0


def test_dockers_times_are_unix_seconds_and_its_never_is_zero():
    assert docker_state.moment("0001-01-01T00:00:00Z") == 0.0
    assert docker_state.moment("1970-01-01T00:00:01.500000000Z") == 1.5


@pytest.mark.parametrize("image, parts", [
    ("mtg-custom", ("mtg-custom", "latest")), ("nineseconds/mtg:2.2.8", ("nineseconds/mtg", "2.2.8")),
    ("registry.example.com:5000/mtg", ("registry.example.com:5000/mtg", "latest")),
    ("registry.example.com:5000/mtg:2", ("registry.example.com:5000/mtg", "2")),
    ("mtg@sha256:" + "0" * 64, ("mtg", "sha256:" + "0" * 64))])
def test_an_image_name_is_taken_apart_as_docker_does(image, parts):
    assert split(image) == parts


def test_a_missing_image_is_told_with_the_reason_and_three_ways_out():
    told = str(ImageMissing("docker.image_missing", image="mtg-custom", reason="no route to host"))
    for part in ("mtg-custom", "no route to host", "mirror", "docker load", "MTPROTO_RUNTIME"):
        assert part in told


def test_a_log_with_dockers_times_is_taken_apart():
    logged = b"2026-11-21T08:24:00.000000001Z one \xff\n2026-11-21T08:24:00.000000002Z \nwithout a time\n"
    assert [(line.stamp[-4:], str(line)) for line in parse("a", logged)] == [
        ("001Z", "[a] one \ufffd"), ("002Z", "[a] ")]


def event(action: str, container: str = "c", **attributes: str) -> dict:
    labels = {docker_spec.NAME: "mtg-proxy-2443", docker_spec.USER: "alice", docker_spec.MEMORY: "256"}
    return {"Action": action, "Actor": {"ID": container, "Attributes": {**labels, **attributes}}}


@pytest.fixture
def watcher() -> Watcher:
    return Watcher(Connection("unix:///nowhere"), "i")


def test_an_end_for_want_of_memory_is_one_notice(watcher):
    watcher.handle(event("oom"))
    watcher.handle(event("die", exitCode="137"))
    assert [(n.code, n.detail) for n in watcher.notices()] == \
        [("proxy.ended", Problem("ended.memory", {"memory_mb": "256"}))]
    assert watcher.notices() == []


def test_what_was_asked_for_is_no_news_and_wakes_nobody(watcher):
    watcher.expect_end("c")
    for action in ("kill", "die", "destroy"):
        watcher.handle(event(action, exitCode="137"))
    watcher.handle(event("exec_die", "d", exitCode="1"))
    assert watcher.notices() == [] and not watcher.wait(0)
    watcher.handle(event("die", "e", exitCode="0"))
    assert watcher.wait(0) and not watcher.wait(0)
    assert watcher.notices() == []  # it ended well


@pytest.mark.parametrize("action, code", [
    ("destroy", "container.removed"), ("pause", "container.paused"),
    ("health_status: unhealthy", "proxy.unhealthy")])
def test_what_was_not_asked_for_is_told_and_wakes(watcher, action, code):
    watcher.handle(event(action))
    (notice,) = watcher.notices()
    assert (notice.name, notice.user_id, notice.code) == ("mtg-proxy-2443", "alice", code)
    assert watcher.wait(0)
