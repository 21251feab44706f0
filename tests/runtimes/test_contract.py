"""What every runtime promises (app/runtimes/base.py): the same tests for the real ones and the fake one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app.runtimes.base import CREATED, EXITED, RUNNING, STOPPED, Devices, Observed, RuntimeFailure
from tests.support.docker_lab import eventually

#: The runtimes whose workloads each have a network of their own.
OWN_NETWORK = pytest.mark.parametrize("lab", ["memory", pytest.param("docker", marks=pytest.mark.slow)], indirect=True)


def only(lab) -> Observed:
    (observed,) = lab.runtime.observe()
    return observed


def test_nothing_runs_on_a_fresh_machine(lab):
    assert lab.runtime.observe() == []
    assert lab.runtime.samples() == []


def test_a_created_workload_is_listed_and_does_not_run(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    seen = only(lab)
    assert (seen.name, seen.user_id, seen.spec) == (workload.name, "alice", workload.spec)
    assert (seen.state, seen.run_id, seen.started_at, seen.exited_at, seen.crashes) == (CREATED, "", 0, 0, 0)


def test_a_started_workload_runs_and_has_an_identity_of_this_start(lab, running):
    before = time.time()
    running()
    seen = only(lab)
    assert seen.run_id and before - 1 <= seen.started_at <= time.time() + 1
    assert (seen.crashes, seen.reason) == (0, None)


def test_creating_twice_leaves_one_workload_that_starts(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    lab.runtime.create(workload)
    lab.runtime.start(workload.name)
    assert only(lab).state == RUNNING


def test_creating_replaces_a_running_workload_of_that_name(lab, running):
    old = running()
    new = lab.workload(port=old.port, user="bob")
    assert new.spec != old.spec
    lab.runtime.create(new)
    seen = only(lab)
    assert (seen.user_id, seen.spec, seen.state) == ("bob", new.spec, CREATED)


@pytest.mark.parametrize("lab", ["process", pytest.param("docker", marks=pytest.mark.slow)], indirect=True)
def test_those_that_can_not_run_beside_their_followers_are_replaced_one_by_one(lab, running):
    """Nobody is served between the two, and whatever is done beside them makes that longer."""
    said, start = [], lab.runtime.start

    def noted(name: str, **options: object) -> None:
        start(name, **options)
        said.append(name)

    def replaced(old):
        def last_look(name: str) -> None:
            said.append(name)
            time.sleep(0.3)  # time for another one to come in between

        lab.runtime.replace(lab.workload(port=old.port, user="bob"), last_look)

    both = [running(), running()]
    lab.runtime.start = noted
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(replaced, both))
    assert said[0] == said[1] != said[2] == said[3]
    assert {(o.user_id, o.state) for o in lab.runtime.observe()} == {("bob", RUNNING)}


def test_starting_a_started_workload_changes_nothing(lab, running):
    workload = running()
    before = only(lab)
    lab.runtime.start(workload.name)
    assert only(lab) == before


def test_starting_what_was_never_created_is_refused_with_its_name(lab):
    with pytest.raises(RuntimeFailure, match="mtg-proxy-1234"):
        lab.runtime.start("mtg-proxy-1234")


def test_a_stopped_workload_is_exited_but_has_not_crashed(lab, running):
    workload = running()
    lab.runtime.stop(workload.name)
    seen = only(lab)
    assert (seen.state, seen.run_id, seen.crashes, seen.reason) == (EXITED, "", 0, STOPPED)
    assert seen.exited_at >= seen.started_at > 0


def test_stopping_twice_or_what_is_not_there_is_no_failure(lab, running):
    workload = running()
    lab.runtime.stop(workload.name)
    before = only(lab)
    lab.runtime.stop(workload.name)
    lab.runtime.stop("mtg-proxy-1234")
    assert only(lab) == before


def test_stopping_what_was_created_but_not_started_is_no_failure(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    lab.runtime.stop(workload.name)
    assert only(lab).state == CREATED
    lab.runtime.start(workload.name)
    assert only(lab).state == RUNNING


def test_a_stopped_workload_starts_again_as_another_start(lab, running):
    workload = running()
    first = only(lab).run_id
    lab.runtime.stop(workload.name)
    lab.runtime.start(workload.name)
    assert only(lab).state == RUNNING and only(lab).run_id != first


def test_a_removed_workload_is_gone_and_its_log_with_it(lab, running):
    workload = running()
    lab.runtime.remove(workload.name)
    assert lab.runtime.observe() == []
    assert lab.runtime.logs(workload.name) == ""


def test_removing_twice_or_what_is_not_there_is_no_failure(lab, running):
    workload = running()
    lab.runtime.remove(workload.name)
    lab.runtime.remove(workload.name)
    lab.runtime.remove("mtg-proxy-1234")
    assert lab.runtime.observe() == []


def test_what_is_done_to_one_workload_leaves_the_others_alone(lab, running):
    first, second, third = running(), running(), running()
    kept = next(o for o in lab.runtime.observe() if o.name == second.name)
    lab.runtime.stop(first.name)
    lab.runtime.remove(third.name)
    assert next(o for o in lab.runtime.observe() if o.name == second.name) == kept


def test_a_new_instance_adopts_what_runs(lab, running):
    workload = running()
    before = only(lab)
    adopted = lab.again()
    assert adopted.observe() == [before]
    adopted.start(workload.name)
    assert adopted.observe() == [before]
    adopted.stop(workload.name)
    assert only(lab).state == EXITED


def test_a_crash_is_noticed_and_counted(lab, running):
    workload = running()
    lab.crash(workload.name)
    seen = only(lab)
    assert (seen.state, seen.run_id, seen.crashes) == (EXITED, "", 1)
    assert seen.reason and seen.exited_at >= seen.started_at
    assert only(lab) == seen


def test_crashes_in_a_row_add_up_and_a_stop_forgets_them(lab, running):
    workload = running()
    lab.crash(workload.name)
    lab.runtime.observe()
    lab.runtime.start(workload.name)
    assert only(lab).crashes == 1
    lab.crash(workload.name)
    assert only(lab).crashes == 2
    lab.runtime.stop(workload.name)
    assert only(lab).crashes == 0


def test_a_busy_port_is_refused_with_its_number_and_whoever_has_it(lab):
    workload = lab.workload()
    lab.occupy(workload.port)
    lab.runtime.create(workload)
    with pytest.raises(RuntimeFailure, match=rf"port {workload.port} is taken by another program \(.+\)"):
        lab.runtime.start(workload.name)
    seen = only(lab)
    assert seen.state == CREATED and seen.crashes == 0
    assert seen.reason.code == "port.taken" and seen.reason.params["port"] == workload.port


def test_which_ports_are_free_is_known(lab, running):
    workload, ours = lab.workload(), running()
    assert lab.runtime.port_free(workload.port, "127.0.0.1")
    assert not lab.runtime.port_free(ours.port, "127.0.0.1")


def test_a_throttle_is_read_back_changed_and_lifted(lab, running):
    name = running().name
    start = only(lab).run_id
    assert lab.runtime.throttled(name) is None
    for limit in (5_000_000, 1_000_000, 1_000_000):
        lab.runtime.throttle(name, limit)
        assert lab.runtime.throttled(name) == limit
    for _ in range(2):
        lab.runtime.throttle(name, None)
        assert lab.runtime.throttled(name) is None
    assert only(lab).run_id == start


def test_what_does_not_run_can_not_be_throttled(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    for name in (workload.name, "mtg-proxy-1234"):
        with pytest.raises(RuntimeFailure, match="not running"):
            lab.runtime.throttle(name, 1_000_000)
        assert lab.runtime.throttled(name) is None


@OWN_NETWORK
def test_a_limit_on_addresses_is_read_back_changed_and_lifted(lab, running):
    name = running().name
    start = only(lab).run_id
    assert lab.runtime.devices(name) is None
    for most in (2, 3, 1, 1):
        lab.runtime.limit_devices(name, most)
        assert lab.runtime.devices(name) == lab.again().devices(name) == Devices(most, 0, 0)
    for _ in range(2):
        lab.runtime.limit_devices(name, 0)
        assert lab.runtime.devices(name) is lab.again().devices(name) is None
    assert only(lab).run_id == start


@OWN_NETWORK
def test_what_does_not_run_can_not_be_limited_and_a_limit_ends_with_its_run(lab):
    workload = lab.workload()
    lab.runtime.create(workload)
    for name in (workload.name, "mtg-proxy-1234"):
        with pytest.raises(RuntimeFailure, match="not running"):
            lab.runtime.limit_devices(name, 2)
        assert lab.runtime.devices(name) is None
    lab.runtime.start(workload.name)
    assert lab.runtime.keep_devices({"mtg-proxy-1": 2, "mtg-proxy-2": 0}) == {}, "nobody is there"
    lab.runtime.limit_devices(workload.name, 2)
    lab.runtime.stop(workload.name)
    lab.runtime.start(workload.name)
    assert lab.runtime.devices(workload.name) is None


def test_a_local_process_has_no_network_of_its_own_in_which_addresses_could_be_limited(process_lab):
    process_lab.runtime.limit_devices("mtg-proxy-1234", 0)
    with pytest.raises(RuntimeFailure, match="not limited") as refused:
        process_lab.runtime.limit_devices("mtg-proxy-1234", 2)
    assert refused.value.problem.code == "runtime.addresses_not_here"
    assert process_lab.runtime.devices("mtg-proxy-1234") is None


def test_live_files_are_changed_while_it_runs_and_restart_nothing(lab, running):
    workload = running(live={"users.json": "[1]", "more.json": "[]"})
    before = only(lab)
    assert before.live == workload.live != ""
    changed = replace(workload, live_files={"users.json": '[1, 2, "Ólafur"]', "more.json": ""})
    assert changed.spec == workload.spec and changed.live != workload.live
    for _ in range(2):
        lab.runtime.update(workload.name, changed.live_files)
        assert only(lab) == replace(before, live=changed.live)
        assert lab.runtime.held(workload.name) == changed.live_files
    assert lab.again().observe() == [replace(before, live=changed.live)]
    lab.runtime.stop(workload.name)
    lab.runtime.update(workload.name, workload.live_files)
    assert (only(lab).live, only(lab).state) == (workload.live, EXITED)
    lab.runtime.start(workload.name)
    assert (only(lab).live, only(lab).spec) == (workload.live, workload.spec)


def test_files_that_were_no_live_ones_from_the_beginning_can_not_be_changed(lab, running):
    plain, other = running(), running(live={"users.json": "[]"})
    for name, files in ((plain.name, {"users.json": "[1]"}), (other.name, {"another.json": "[1]"}),
                        (other.name, {}), ("mtg-proxy-1234", {"users.json": "[1]"})):
        with pytest.raises(RuntimeFailure, match=name):
            lab.runtime.update(name, files)
    assert {o.name: o.live for o in lab.runtime.observe()} == {plain.name: "", other.name: other.live}
    assert (lab.runtime.held(plain.name), lab.runtime.held("mtg-proxy-1234")) == ({}, {})


def test_logs_show_the_last_lines(lab, running):
    workload = running()
    eventually(lambda: lab.runtime.logs(workload.name), "Docker writes down what a container has said")
    assert lab.runtime.logs(workload.name) == f"listening on {workload.place.listen}\n"
    assert lab.runtime.logs(workload.name, tail=0) == ""
    assert lab.runtime.logs("mtg-proxy-1234") == ""


def test_the_metrics_of_one_workload_can_be_asked_for_alone(lab, running):
    one, _ = running(), running()
    assert lab.runtime.sample(one.name) in lab.runtime.samples()
    lab.runtime.stop(one.name)
    assert lab.runtime.sample(one.name) is None
    assert lab.runtime.sample("mtg-proxy-1234") is None


def test_samples_are_of_the_running_start(lab, running):
    first, second = running(), running()
    lab.runtime.stop(second.name)
    assert lab.state(second.name) == EXITED
    (sample,) = lab.runtime.samples()
    assert sample.name == first.name
    assert sample.run_id == next(o.run_id for o in lab.runtime.observe() if o.name == first.name)
    assert "up 1\n" in sample.text


def test_waiting_ends_early_when_a_workload_dies(lab, running):
    workload = running()
    lab.runtime.wait(0)  # from here on nothing is missed, should the crash come before the wait
    timer = threading.Timer(0.2, lab.crash, [workload.name])
    timer.start()
    assert lab.runtime.wait(30) is True
    timer.join()
    assert lab.state(workload.name) == EXITED


def test_what_ended_before_the_wait_ends_it_at_once(lab, running):
    lab.runtime.wait(0)
    workload = running()
    assert lab.state(workload.name) == RUNNING
    lab.crash(workload.name)
    assert lab.runtime.wait(30) is True
    assert lab.state(workload.name) == EXITED
    assert lab.runtime.wait(0.05) is False


def test_waiting_ends_with_the_timeout_when_nothing_happens(lab, running):
    assert lab.runtime.wait(0.05) is False
    running()
    assert lab.runtime.wait(0.05) is False


@pytest.mark.parametrize("lab", ["memory", "process"], indirect=True)
def test_the_metrics_of_each_port_have_an_address_of_their_own(lab):
    places = [lab.runtime.place(port, "") for port in (1, 255, 256, 2443, 65535)]
    assert len({place.metrics for place in places}) == 5
    assert all(place.metrics.startswith("127.") for place in places)


def test_a_workload_is_reached_at_the_address_it_is_bound_to(lab):
    place = lab.runtime.place(2443, "127.0.0.1")
    assert (place.publish or place.listen) == "127.0.0.1:2443"


@pytest.mark.parametrize("lab", ["process", "docker"], indirect=True)
def test_what_is_no_address_is_refused_with_its_value(lab):
    with pytest.raises(RuntimeFailure, match="nowhere"):
        lab.runtime.place(2443, "nowhere")


def test_a_runtime_that_saw_nothing_unasked_has_no_notices(lab, running):
    workload = running()
    lab.runtime.wait(0.05)
    lab.runtime.stop(workload.name)
    assert lab.runtime.notices() == []
