"""What people and machines do to containers, and how the next rounds of the monitor repair it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest
from docker import APIClient
from docker.errors import APIError, NotFound

from app.engines.mtg.engine import MtgImage
from app.messages import Problem
from app.runtimes.base import EXITED, IMAGE_FOLDER, RUNNING, ImageMissing, RuntimeFailure, RuntimeUnavailable
from app.runtimes.docker import spec
from app.runtimes.docker.containers import Containers
from app.runtimes.docker.runtime import DockerRuntime
from app.runtimes.docker.spec import INSTANCE
from tests.docker import images
from tests.docker.conftest import passes
from tests.runtimes.conftest import DockerLab
from tests.support.cover import free_port
from tests.support.docker_lab import eventually
from tests.support.fleet import Fleet
from tests.support.problems import codes


@pytest.fixture
def alice(lab):
    return lab.fleet.add_user("Alice")


def name_of(view) -> str:
    return f"mtg-proxy-{view.port}"


def told(runtime: DockerRuntime, count: int) -> list[str]:
    """That many notices, all of them of Alice, as soon as they are there."""
    notices, deadline = [], time.monotonic() + 60
    while len(notices) < count and time.monotonic() < deadline:
        runtime.wait(0.2)
        notices += runtime.notices()
    assert len({(n.name, n.user_id) for n in notices}) == 1 and all(n.user_id and n.name for n in notices)
    return [n.detail.code if n.detail else n.code for n in notices]


def test_a_new_user_is_served(lab, alice):
    assert alice.state == RUNNING and passes(alice.tg_link)


def test_a_container_killed_by_hand_runs_again(lab, alice):
    lab.hands.kill(name_of(alice))
    seen = lab.seen(name_of(alice))
    assert seen.state == EXITED and "ended.sigkill" in codes(seen.reason)
    assert lab.heals(alice.id)


def test_a_program_that_dies_is_started_by_docker_itself_counted_and_told(lab, alice):
    lab.runtime.wait(0.01)
    before = lab.seen(name_of(alice))
    os.kill(lab.hands.inspect_container(name_of(alice))["State"]["Pid"], signal.SIGKILL)
    assert lab.runtime.wait(60)
    assert lab.heals(alice.id)
    seen = lab.seen(name_of(alice))
    assert seen.run_id != before.run_id and seen.crashes == 1
    assert "ended.sigkill" in str([event.problem.code for event in lab.fleet.ledger.events.recent()])


@pytest.mark.parametrize("left", ("none", "empty"))
def test_a_container_that_lost_its_files_is_made_again(lab, alice, left: str):
    """As after a loss of power; a panel that was killed after making it, and before filling it, leaves the same."""
    name = name_of(alice)
    before = lab.hands.inspect_container(name)
    lab.hands.kill(name)
    if left == "empty":
        assert lab.hands.put_archive(name, IMAGE_FOLDER, spec.archive(dict.fromkeys(("config.toml",), "")))
    else:
        volume = Path(next(mount["Source"] for mount in before["Mounts"] if mount["Destination"] == IMAGE_FOLDER))
        for file in volume.iterdir():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    after = DockerRuntime(lab.runtime.instance, lab.runtime.network)  # the panel is another process then
    seen = next(each for each in after.observe() if each.name == name)
    after.close()
    assert seen.spec == "" and "docker.files_lost" in codes(seen.reason) and "config.toml" in str(seen.reason)
    assert lab.heals(alice.id)
    assert lab.hands.inspect_container(name)["Id"] != before["Id"] and passes(alice.tg_link)


def test_a_container_that_its_panel_had_no_time_to_fill_is_made_again(lab, monkeypatch: pytest.MonkeyPatch):
    class Killed(BaseException):
        pass

    monkeypatch.setattr(Containers, "put", Mock(side_effect=Killed))
    with pytest.raises(Killed):
        lab.fleet.add_user("Bob")
    monkeypatch.undo()
    bob = lab.fleet.user("Bob")
    left = lab.hands.inspect_container(name_of(bob))
    after = DockerRuntime(lab.runtime.instance, lab.runtime.network)
    assert [each.spec for each in after.observe() if each.name == name_of(bob)] == [""]
    after.close()
    assert lab.heals(bob.id)
    assert lab.hands.inspect_container(name_of(bob))["Id"] != left["Id"]


def test_a_container_removed_by_hand_is_made_again_and_its_secret_is_not_left_behind(lab, alice):
    lab.runtime.wait(0.01)
    lab.hands.remove_container(name_of(alice), force=True)  # without -v: the volume stays
    assert "container.removed" in told(lab.runtime, 2)
    assert lab.heals(alice.id)
    volumes = lab.hands.volumes(filters={"label": f"{INSTANCE}={lab.runtime.instance}"})["Volumes"]
    assert len(volumes) == 1


def test_a_paused_container_goes_on_with_its_counters(lab, alice):
    before = lab.seen(name_of(alice))
    lab.hands.pause(name_of(alice))
    assert lab.seen(name_of(alice)).reason == Problem("docker.paused")
    assert lab.heals(alice.id)
    assert lab.seen(name_of(alice)).run_id == before.run_id


def test_a_renamed_container_gets_its_name_back_and_nobody_notices(lab, alice):
    before = lab.seen(name_of(alice))
    lab.hands.rename(name_of(alice), f"renamed-{alice.port}")
    assert lab.heals(alice.id)
    assert lab.seen(name_of(alice)) == before


def test_a_look_while_a_container_is_replaced_does_not_keep_the_new_one_from_starting(lab, alice, monkeypatch):
    containers = lab.runtime._containers
    destroy = containers.destroy

    def and_look(*which):
        destroy(*which)
        lab.runtime.observe()  # a page of the panel: it gives the replacement its name before we do

    monkeypatch.setattr(containers, "destroy", and_look)
    lab.fleet.set_settings({"proxy_concurrency": "128"})
    view = lab.fleet.user(alice.id)
    assert (view.state, view.reason) == (RUNNING, "")


def test_a_look_at_a_container_that_is_just_being_removed_fails_nobody(lab, alice, monkeypatch):
    def refuse(*_, **__):
        raise APIError("409 Client Error", response=Mock(status_code=409),
                       explanation="can not get logs from container which is dead or marked for removal")

    lab.hands.kill(name_of(alice))
    monkeypatch.setattr(APIClient, "logs", refuse)
    assert lab.seen(name_of(alice)).state == EXITED
    assert lab.runtime.logs(name_of(alice)) == "" and lab.runtime.merged_logs() == []


def test_a_container_cut_off_from_a_removed_network_is_made_again(lab, alice):
    lab.hands.disconnect_container_from_network(name_of(alice), lab.runtime.network, force=True)
    lab.hands.remove_network(lab.runtime.network)
    assert lab.seen(name_of(alice)).reason.code == "docker.cut_off"
    for _ in range(2):
        lab.monitor.tick()
    # The test's DC was on the old network's address; that there is a proxy again is what counts.
    seen = lab.seen(name_of(alice))
    assert seen.state == RUNNING and lab.runtime.samples()


def test_a_removed_image_is_told_and_forgotten_when_it_is_back(lab, alice, private_image, image):
    lab.fleet.set_settings({"proxy_image": private_image})
    assert lab.heals(alice.id)
    lab.hands.remove_image(private_image, force=True)
    lab.hands.remove_container(name_of(alice), force=True, v=True)
    lab.monitor.tick()
    view = lab.fleet.user(alice.id)
    assert view.state == "failed" and private_image in view.reason
    assert "docker.image_missing" in view.reason.codes
    lab.hands.tag(image, *private_image.rsplit(":", 1))
    assert lab.heals(alice.id)


def test_a_port_taken_in_the_meantime_is_told_and_taken_back_when_it_is_free(lab, alice):
    lab.fleet.disable(alice.id)
    thief = lab.occupy(alice.port)
    view = lab.fleet.enable(alice.id)
    assert view.state == "failed" and "port.taken" in view.reason.codes and str(alice.port) in view.reason
    thief.close()
    assert lab.heals(alice.id)


def test_an_image_without_a_proxy_program_is_told_with_its_name(lab, alice):
    lab.fleet.set_settings({"proxy_image": images.ensure_base()})
    view = lab.fleet.user(alice.id)
    assert view.state == "failed"
    assert images.ensure_base() in view.reason and "docker.no_program" in view.reason.codes


def test_two_panels_on_one_data_folder_make_one_container_for_each_user(lab, image):
    other = DockerRuntime(lab.runtime.instance, lab.runtime.network)
    beside = Fleet(lab.fleet.data_dir, other, MtgImage())
    with ThreadPoolExecutor(6) as pool:
        views = list(pool.map(lambda n: (lab.fleet, beside)[n % 2].add_user(f"user {n}"), range(6)))
    assert [v.state for v in views] == [RUNNING] * 6
    assert sorted(o.name for o in other.observe()) == sorted(name_of(v) for v in views)
    assert beside.reconcile() == [] == lab.fleet.reconcile()
    other.close()


def test_a_container_that_uses_too_much_memory_is_an_event_that_names_its_user(runtime, stand_in_image):
    lab = DockerLab(runtime, stand_in_image)
    workload = lab.workload(user="alice", hungry=200)
    runtime.wait(0.01)
    runtime.create(workload)
    runtime.start(workload.name)
    with socket.create_connection(("127.0.0.1", workload.port), 30) as client:
        client.sendall(b"eat")
    assert told(runtime, 1) == ["ended.memory"]
    lab.close()


class Cable:
    """A Unix socket that leads to Docker's, until it is cut; then nobody listens there, or nobody answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[socket.socket] = []
        self.plug()

    def plug(self, deaf: bool = False) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(100)
        self._serving = threading.Thread(target=self._serve, args=(self._listener, deaf), daemon=True)
        self._serving.start()

    def cut(self) -> None:
        self.path.unlink()
        self._cut(self._listener)
        self._serving.join()  # whom it has taken by now is among the open ones
        while self._open:
            self._cut(self._open.pop())

    @staticmethod
    def _cut(end: socket.socket) -> None:
        with contextlib.suppress(OSError):  # its other end was closed first
            end.shutdown(socket.SHUT_RDWR)
        end.close()

    def _serve(self, listener: socket.socket, deaf: bool) -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            self._open.append(client)
            if not deaf:
                engine = socket.socket(socket.AF_UNIX)
                engine.connect("/var/run/docker.sock")
                self._open.append(engine)
                for pair in ((client, engine), (engine, client)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # cut, or closed


def test_an_engine_that_goes_away_is_told_and_found_again(lab, alice, tmp_path):
    cable = Cable(tmp_path / "docker.sock")
    far = DockerRuntime(lab.runtime.instance, lab.runtime.network, f"unix://{cable.path}")
    fleet = Fleet(lab.fleet.data_dir, far, MtgImage())
    assert not far.wait(0.1) and fleet.reconcile() == []
    eventually(lambda: far._watcher.connected, "it listens to the engine's events")
    cable.cut()
    assert far.wait(30)  # the end of the events is a reason to look
    with pytest.raises(RuntimeUnavailable, match="there is no Docker engine"):
        far.observe()
    assert passes(alice.tg_link)  # the proxies do not care
    assert "Docker engine" in str(fleet.status().problems)
    lab.hands.kill(name_of(alice))
    cable.plug()
    assert far.wait(60)
    fleet.reconcile()
    assert passes(alice.tg_link)
    far.close()
    cable.cut()


def test_an_engine_that_hangs_is_told_as_one_that_does_not_answer(tmp_path, engine_answers, monkeypatch):
    monkeypatch.setattr("app.runtimes.docker.client.QUICK", 0.5)
    cable = Cable(tmp_path / "docker.sock")
    cable.cut()
    cable.plug(deaf=True)
    with pytest.raises(RuntimeUnavailable, match="does not answer"):
        DockerRuntime("nobody", "nowhere", f"unix://{cable.path}").observe()
    cable.cut()


def test_a_socket_that_is_missing_is_told_with_what_to_do(tmp_path):
    with pytest.raises(RuntimeUnavailable, match="DOCKER_HOST"):
        DockerRuntime("nobody", "nowhere", f"unix://{tmp_path}/none.sock").observe()


def test_a_stopped_container_stays_stopped_for_docker_too(lab, alice):
    lab.runtime.stop(name_of(alice))
    policy = lab.hands.inspect_container(name_of(alice))["HostConfig"]["RestartPolicy"]["Name"]
    assert policy == "no"
    lab.runtime.start(name_of(alice))
    policy = lab.hands.inspect_container(name_of(alice))["HostConfig"]["RestartPolicy"]["Name"]
    assert policy == "unless-stopped" and passes(alice.tg_link)


def test_an_image_that_can_not_be_had_is_asked_for_once(runtime, stand_in_image):
    lab = DockerLab(runtime, "127.0.0.1:1/none:1")
    with ThreadPoolExecutor(4) as pool:
        attempts = [pool.submit(runtime.create, lab.workload()) for _ in range(4)]
    assert all(isinstance(a.exception(), ImageMissing) for a in attempts)
    assert len({str(a.exception()) for a in attempts}) == 1
    lab.close()


def test_another_installations_containers_are_never_touched(lab, alice, stand_in_image):
    other = DockerRuntime("somebody-else", lab.runtime.network)
    assert other.observe() == []
    with pytest.raises(RuntimeFailure, match="did not make"):
        other.create(DockerLab(other, stand_in_image).workload(port=alice.port))
    other.stop(name_of(alice))
    other.remove(name_of(alice))
    assert other.logs(name_of(alice)) == "" and passes(alice.tg_link)
    other.close()


def test_what_a_container_may_do(lab, alice):
    inspected = lab.hands.inspect_container(name_of(alice))
    host = inspected["HostConfig"]
    assert host["CapDrop"] == ["ALL"] and host["ReadonlyRootfs"] and host["PidsLimit"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"] and not host["Privileged"]
    assert host["Memory"] == host["MemorySwap"] == 256 << 20
    assert host["Binds"] is None and inspected["Config"]["User"] == "65534:65534"
    assert host["LogConfig"]["Config"] == {"max-size": "5m", "max-file": "2"}
    assert list(inspected["NetworkSettings"]["Ports"]) == ["3128/tcp"]  # and no metrics
    status = Path(f"/proc/{inspected['State']['Pid']}/status").read_text()
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status


def test_a_port_is_reached_by_ipv4_and_ipv6_when_bound_to_all(lab):
    lab.fleet.set_settings({"proxy_bind": ""})
    alice = lab.fleet.add_user("Alice")
    for address in ("127.0.0.1", "::1"):
        socket.create_connection((address, alice.port), 30).close()
    lab.fleet.set_settings({"server_ip": "::1"})
    assert passes(lab.fleet.user(alice.id).tg_link)


def test_a_removed_users_container_is_gone(lab, alice):
    lab.fleet.remove(alice.id)
    with pytest.raises(NotFound):
        lab.hands.inspect_container(name_of(alice))
    assert free_port() and lab.runtime.observe() == []
