"""`doctor`: what is right is said, what is wrong is found, and nothing is changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from app.control import doctor
from app.control.doctor import NOTE, OK, PROBLEM, Finding, examine
from app.engines.builtin import Builtin
from app.messages import sentence
from app.mtproto.probe import HANDSHAKE, ProbeError
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Two users, whose links work as far as the probe tells."""
    monkeypatch.setenv("MTPROTO_TIME_SITES", "none")
    monkeypatch.setattr("app.control.probing.probe_link", lambda link, clock, config: 5.0)
    fleet = Fleet(tmp_path / "data", MemoryRuntime(Machine()), Builtin())
    fleet.set_settings({"server_domain": "192.0.2.1"})
    fleet.add_user("Alice")
    fleet.add_user("Bob")
    return fleet


def of(found: list[Finding], about: str) -> list[tuple[str, str]]:
    return [(finding.state, sentence(finding.told)) for finding in found if finding.about == about]


def test_of_what_is_right_everything_is_ok(fleet: Fleet) -> None:
    found = examine(fleet)
    assert [finding for finding in found if finding.state == PROBLEM] == []
    assert of(found, "links") == [(OK, "Telegram answers through 2 links, all that run")]
    assert of(found, "proxies") == [(OK, "2 of 2 proxies run")]


def test_a_link_that_does_not_work_is_named_and_the_others_are_tried(
        fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def probe(link, clock, config) -> float:
        if link.port == 2443:
            raise ProbeError(HANDSHAKE, "nobody answers")
        return 5.0

    monkeypatch.setattr("app.control.probing.probe_link", probe)
    assert of(examine(fleet), "links") == [(PROBLEM, "Alice's link does not work from here: nobody answers")]


def test_a_full_disk_and_little_memory_are_found(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_available_memory", lambda: 1024**2)
    usage = shutil.disk_usage(fleet.data_dir)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=5 * 10**6))
    found = examine(fleet)
    assert of(found, "disk") == [(PROBLEM, "5 MB are free on the disk of the data folder")]
    assert of(found, "memory") == [(PROBLEM, "1 MB of memory are available")]


def test_where_the_kernel_tells_no_memory_nothing_is_said(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_available_memory", lambda: None)
    assert of(examine(fleet), "memory") == []


def test_a_broken_configuration_is_found_once_and_the_proxies_are_tried_all_the_same(fleet: Fleet) -> None:
    fleet.users()
    (fleet.data_dir / "config.json").write_text("{")
    found = examine(fleet)
    assert [state for state, _ in of(found, "configuration")] == [PROBLEM]
    assert of(found, "links") == [(OK, "Telegram answers through 2 links, all that run")]


def test_stopped_proxies_are_a_note_and_no_links_are_tried(fleet: Fleet) -> None:
    fleet.stop_all()
    found = examine(fleet)
    assert of(found, "proxies")[0][0] == NOTE and of(found, "links") == []


def test_it_changes_nothing(fleet: Fleet) -> None:
    before = (fleet.data_dir / "config.json").read_bytes(), fleet.events()
    examine(fleet)
    assert ((fleet.data_dir / "config.json").read_bytes(), fleet.events()) == before


def test_by_command_it_ends_with_1_when_something_is_wrong(run) -> None:
    run("user", "add", "Alice", "--disabled")
    answer = run("doctor", "--json")
    found = json.loads(answer.stdout)
    assert {"about", "state", "text", "text_coded", "command"} == set(found[0])
    assert answer.code == (1 if any(one["state"] == "problem" for one in found) else 0)
    assert "disk:" in run("doctor").stdout
