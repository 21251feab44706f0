"""Which containers are asked for their metrics, and which are read by the network's counters instead."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.runtimes.docker import counters as docker_counters
from app.runtimes.docker import metrics as docker_metrics
from app.runtimes.docker.client import Connection
from app.runtimes.docker.state import ContainerInfo

AGE, PAUSE = 30.0, 60.0
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier
    lo: 9999999    9999    0    0    0     0          0         0 9999999  9999    0    0    0     0       0
  eth0:    1000      25    0    0    0     0          0         0    2000    13    0    0    0     0       0
  eth1:10000000      25    0    0    0     0          0         0 20000000   13    0    0    0     0       0
mtp-up: 7777777      25    0    0    0     0          0         0 7777777    13    0    0    0     0       0
"""


def container(age: float = 3600.0, start: str = "first", identity: str = "c0ffee") -> ContainerInfo:
    return ContainerInfo(id=identity, name="mtg-proxy-1", labels={}, status="running", started_at=time.time() - age,
                started=start, exited_at=0.0, code=0, oom=False, restarts=0, wanted=True, trouble="",
                image="mtg", pid=41, netns="")


@pytest.fixture
def known() -> docker_metrics.MetricsAvailability:
    return docker_metrics.MetricsAvailability()


def test_one_that_was_heard_is_never_estimated_in_that_start(known):
    known.heard(container())
    assert not known.silent(container(), AGE, PAUSE) and known.to_be_asked("c0ffee")
    assert known.silent(container(start="second"), AGE, PAUSE)


def test_one_that_has_just_started_is_given_time(known):
    assert not known.silent(container(age=0), AGE, PAUSE)
    assert known.silent(container(age=AGE + 5), AGE, PAUSE)


def test_one_that_stays_silent_is_asked_once_more_and_then_with_pauses(known):
    assert known.silent(container(), AGE, PAUSE) and known.to_be_asked("c0ffee")
    assert known.silent(container(), AGE, PAUSE) and not known.to_be_asked("c0ffee")
    assert known.silent(container(), AGE, PAUSE)
    known.keep(set())
    assert known.to_be_asked("c0ffee")


def test_another_start_of_a_silent_one_is_asked_before_it_is_estimated(known):
    for _ in range(2):
        known.silent(container(), AGE, PAUSE)
    assert not known.silent(container(start="second"), AGE, PAUSE) and known.to_be_asked("c0ffee")
    assert known.silent(container(start="second"), AGE, PAUSE)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "41" / "net").mkdir(parents=True)
    (tmp_path / "41" / "cgroup").write_text("0::/system.slice/docker-c0ffee.scope\n")
    (tmp_path / "41" / "net" / "dev").write_text(NET_DEV)
    monkeypatch.setattr(docker_counters, "_PROC", tmp_path)
    return tmp_path


def test_of_a_containers_interfaces_only_those_count_that_docker_gave_it(proc):
    connection = Connection("unix:///nowhere.sock")
    assert docker_counters.read_all(connection, [container()]) == {"c0ffee": (10_001_000, 20_002_000)}


def test_what_can_not_be_read_is_left_out_and_fails_nobody(proc):
    connection = Connection("unix:///nowhere.sock")
    others = [container(identity="decaf"), replace(container(identity="f00d"), pid=42)]
    assert docker_counters.read_all(connection, [*others, container()]).keys() == {"c0ffee"}
    assert docker_counters.read_all(connection, []) == {}
