"""Containers of an older installation, and the logs of many."""

from __future__ import annotations

import fcntl
import tempfile
import threading
from pathlib import Path

import pytest

from app.config.model import User
from app.mtproto.secret import Secret
from app.runtimes.base import Place, RuntimeFailure, Workload
from app.runtimes.docker import spec as docker_spec
from tests.docker import images
from tests.docker.conftest import passes
from tests.support import docker_lab
from tests.support.cover import free_port
from tests.support.docker_lab import eventually


@pytest.fixture
def older(lab, image):
    """Call it with a name and a user for a running container as an older panel made it."""
    made, volumes = [], []
    # An engine has the name mtg-proxy only once, and somebody else may run these tests on it, too.
    lock = (Path(tempfile.gettempdir()) / "mtproto-test-older.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)

    def make(name: str, user: User) -> None:
        place = Place("0.0.0.0:3128", "0.0.0.0:3129", f"127.0.0.1:{user.port}")
        workload = lab.fleet.engine.workload(user, lab.fleet.config(), place)
        body = docker_spec.container(workload, "", "bridge")
        del body["NetworkingConfig"]  # of a network of one's own
        body["Labels"] = {}
        made.append(lab.hands.create_container_from_config(body, name)["Id"])
        lab.hands.put_archive(made[-1], "/config", docker_spec.archive(workload.files))
        lab.hands.start(made[-1])
        volumes.extend(mount["Name"] for mount in lab.hands.inspect_container(made[-1])["Mounts"])

    yield make
    for each in made:
        docker_lab.forget(lab.hands, each)
    left = {volume["Name"] for volume in lab.hands.volumes()["Volumes"] or []}
    for each in left.intersection(volumes):  # a takeover removes no volume that is not ours
        lab.hands.remove_volume(each)
    lock.close()


def declare(lab, name: str) -> User:
    """A user in the declaration whose proxy nobody has started."""
    user = User(id=f"id-{name.lower()}", name=name, port=free_port(),
                secret=Secret.generate("www.example.com").hex)
    with lab.fleet.file.edit() as config:
        config.users.append(user)
    return user


def test_older_containers_are_found_with_name_and_port(lab, older):
    alice, bob = declare(lab, "Alice"), declare(lab, "Bob")
    older(f"mtg-proxy-{alice.port}", alice)
    older("mtg-proxy", bob)
    mine = {alice.port, bob.port}
    assert [(f.name, f.port, f.running) for f in lab.runtime.foreign() if f.port in mine] == [
        ("mtg-proxy", bob.port, True), (f"mtg-proxy-{alice.port}", alice.port, True)]


def test_older_containers_are_taken_over_and_links_stay_as_they_are(lab, older):
    alice, bob = declare(lab, "Alice"), declare(lab, "Bob")
    older(f"mtg-proxy-{alice.port}", alice)
    older("mtg-proxy", bob)
    links = [v.tg_link for v in lab.fleet.users()]
    outcomes = lab.fleet.reconcile()
    assert sorted((o.action, o.ok, o.reason) for o in outcomes) == [("adopt", True, "")] * 2
    assert [v.tg_link for v in lab.fleet.users()] == links and all(map(passes, links))
    assert not {alice.port, bob.port} & {f.port for f in lab.runtime.foreign()}
    assert lab.fleet.reconcile() == []


def test_an_older_container_runs_on_when_ours_does_not_start(lab, older):
    alice = declare(lab, "Alice")
    older(f"mtg-proxy-{alice.port}", alice)
    lab.fleet.file.path.write_text(lab.fleet.file.path.read_text().replace(
        lab.fleet.config().proxy_image, images.ensure_base()))
    (outcome,) = lab.fleet.reconcile()
    assert not outcome.ok and {"docker.left_as_it_was", "docker.no_program"} <= set(outcome.reason.codes)
    (old,) = [f for f in lab.runtime.foreign() if f.port == alice.port]
    assert old.running and old.name == f"mtg-proxy-{alice.port}" and lab.runtime.observe() == []


def test_a_foreign_container_with_a_users_name_is_not_removed_by_create(lab, older, image):
    alice = declare(lab, "Alice")
    older(f"mtg-proxy-{alice.port}", alice)
    name, place = f"mtg-proxy-{alice.port}", lab.runtime.place(alice.port, "127.0.0.1")
    with pytest.raises(RuntimeFailure, match="take it over"):
        lab.runtime.create(Workload(name, alice.id, "mtg", image, ("run",), {}, alice.port, place))


def _serving(lines: list[str]) -> list[str]:
    """With which each engine begins; before it, the built-in one may say what it misses in a container."""
    return [line for line in lines if " serving " in line]


def test_logs_are_merged_with_names_filtered_by_user_and_followed(lab):
    alice, bob = lab.fleet.add_user("Alice"), lab.fleet.add_user("Bob")
    # Docker writes a line down a moment after the proxy has said it.
    eventually(lambda: len(_serving(lab.runtime.merged_logs())) == 2, "both have said that they serve")
    both = _serving(lab.runtime.merged_logs())
    assert [line.split("]")[0] for line in both] == [f"[mtg-proxy-{v.port}" for v in (alice, bob)]
    assert _serving(lab.runtime.merged_logs([bob.id])) == both[1:] and lab.runtime.merged_logs(tail=1) == both[1:]
    following = lab.runtime.followed_logs([alice.id], tail=1)
    assert next(following) == both[0]
    timer = threading.Timer(0.2, lab.fleet.rotate, [alice.id])
    timer.start()
    fresh = next(following)
    assert fresh.startswith(f"[mtg-proxy-{alice.port}] ") and fresh != both[0]
    following.close()
    timer.join()
