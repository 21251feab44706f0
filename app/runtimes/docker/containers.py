"""The small verbs on one installation's containers, its network and its volumes; each may be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from docker import APIClient
from docker.errors import APIError, ImageNotFound, NotFound

from app.runtimes.base import IMAGE_FOLDER, RuntimeFailure, RuntimeUnavailable, Workload
from app.runtimes.docker import logs as docker_logs
from app.runtimes.docker import spec as docker_spec
from app.runtimes.docker.client import Connection
from app.runtimes.docker.events import Watcher
from app.runtimes.docker.images import Images
from app.runtimes.docker.spec import FILES, INSTANCE, LIVE, MANAGED, USER
from app.runtimes.docker.state import ContainerInfo, container_info

#: Added to the name of a replacement; it takes the workload's name when the old one is gone.
BEING_MADE = ".new"
#: Added to the name of one whose replacement has taken it, until it ends.
BEING_LEFT = ".old"


class Containers:
    """instance, network: as in DockerRuntime. What ends here is told to the watcher as asked for."""

    live_good_for = 300.0  # seconds in which the live files of one user's container are not read again
    gone_timeout = 10.0  # seconds in which a container that somebody else removes must be gone

    def __init__(self, connection: Connection, watcher: Watcher, instance: str, network: str) -> None:
        self._engine = connection
        self._watcher = watcher
        self._images = Images(connection)
        self._live: dict[str, tuple[float, dict[str, str]]] = {}
        self._whole: dict[str, tuple[str, float]] = {}
        self.instance = instance
        self.network = network

    def summaries(self) -> list[dict[str, Any]]:
        """All of them, in Docker's short form, by one call."""
        with self._engine.api() as api:
            return api.containers(all=True, filters=docker_spec.label_filter(self.instance))

    def inspect(self, identity: str) -> dict[str, Any] | None:
        """Any container by id or name, in Docker's long form; None if there is none."""
        with self._engine.api() as api:
            try:
                return api.inspect_container(identity)
            except NotFound:
                return None

    def find(self, name: str) -> ContainerInfo | None:
        """The container of this name if it is of this installation."""
        inspected = self.inspect(name)
        container = container_info(inspected) if inspected else None
        return container if container and container.labels.get(INSTANCE) == self.instance else None

    def publishing(self, port: int, bind: str) -> str:
        """The name of any container that publishes this port of the machine, "" if none does."""
        with self._engine.api() as api:
            publishing = api.containers(filters={"publish": f"{port}/tcp"})
        return next((name_of(container) for container in publishing for published in container["Ports"]
                     if (published.get("PublicPort"), published["Type"]) == (port, "tcp")
                     and _meet(bind, published.get("IP", ""))), "")

    def image_id(self, image: str) -> str:
        """The id of the image that has this name now; "" if none has."""
        with self._engine.api() as api:
            try:
                return str(api.inspect_image(image)["Id"])
            except ImageNotFound:
                return ""

    def last_line(self, container: ContainerInfo) -> str:
        """The last line it logged that says something."""
        with self._engine.api() as api:
            lines = docker_logs.text(api, container.id, tail=5).split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def the_network(self) -> dict[str, Any]:
        """The proxies' network, made if it is missing."""
        with self._engine.api() as api:
            # Docker matches parts of names, too.
            found = [n for n in api.networks(names=[self.network]) if n["Name"] == self.network]
            if found:
                return found[0]
            try:
                # check_duplicate: two panels that start at once make one network.
                api.create_network(self.network, driver="bridge", check_duplicate=True, labels={MANAGED: "1"})
            except APIError as error:
                if error.status_code != 409:
                    raise
            return api.inspect_network(self.network)

    def make(self, api: APIClient, workload: Workload, name: str) -> str:
        """The id of a new container with its files, not started. APIError 409 if the name is taken."""
        body = docker_spec.container(workload, self.instance, self.network)
        try:
            made = api.create_container_from_config(body, name)["Id"]
        except ImageNotFound:
            self._images.fetch(workload.image)
            made = api.create_container_from_config(body, name)["Id"]
        try:
            self.put(api, made, workload.name, {**workload.files, **workload.live_files})
        except (APIError, RuntimeFailure):
            self.destroy(api, made)
            raise
        self._whole[workload.name] = made, 0.0
        return made

    def lost_files(self, container: ContainerInfo, name: str) -> list[str]:
        """Names of files that it was made with and has not, or has with another text: a panel that was killed between
        making it and filling it leaves such a one behind, and so does a machine that loses its power. Docker is asked
        once for each run of a container (name: of its workload); what it doesn't tell is taken for there."""
        hashes = dict(entry.split("=") for entry in container.labels.get(FILES, "").split())
        run = container.id, container.started_at
        if not hashes or self._whole.get(name) == run:
            return []
        try:
            with self._engine.api() as api:
                packed = b"".join(api.get_archive(container.id, IMAGE_FOLDER)[0])
        except RuntimeUnavailable:
            raise
        except RuntimeFailure:
            return []  # it is being removed
        there = docker_spec.unpacked(packed, hashes)
        lost = [name for name, known in hashes.items() if docker_spec.hashed(there.get(name, "")) != known]
        if not lost:
            self._whole[name] = run
        return lost

    def put(self, api: APIClient, identity: str, name: str, files: Mapping[str, str]) -> None:
        """Write these files where the container finds its own; it may run, as they are in a volume."""
        self._live.pop(identity, None)
        if not api.put_archive(identity, IMAGE_FOLDER, docker_spec.archive(files)):
            raise RuntimeFailure("docker.files_not_put", name=name)

    def live_files(self, container: ContainerInfo) -> dict[str, str]:
        """What the container's live files hold; one that is missing is left out. Asks Docker only if it has any."""
        names = container.labels.get(LIVE, "").split()
        if not names:
            return {}
        at, known = self._live.get(container.id, (0.0, {}))
        if known and time.monotonic() - at < self.live_good_for:
            return known
        try:
            with self._engine.api() as api:
                packed = b"".join(api.get_archive(container.id, IMAGE_FOLDER)[0])
        except RuntimeUnavailable:
            raise
        except RuntimeFailure:
            return {}  # it is being removed
        found = docker_spec.unpacked(packed, names)
        if container.labels.get(USER):
            # One of hundreds, each with a file of two lines: they are not all read in every pass.
            self._live[container.id] = time.monotonic(), found
        return found

    def replace(self, api: APIClient, workload: Workload, last_look: Callable[[str], None]) -> str:
        """make(), in the place of a container of ours that has the name already. last_look: as in base.Runtime.

        That one ends only when the new one is made: an image that is missing costs nobody a connection.
        """
        try:
            return self.make(api, workload, workload.name)
        except APIError as error:
            if error.status_code != 409:
                raise
            old = self.find(workload.name)
            if old is None and self.inspect(workload.name) is not None:
                raise RuntimeFailure("docker.name_taken", name=workload.name) from error
        made = self.make_beside(api, workload)
        if old:
            last_look(workload.name)
            self.destroy(api, old.id)
        self.rename(api, made, workload.name)
        return made

    def take_name(self, api: APIClient, made: str, old: str, name: str) -> None:
        """Give the container `made` the name that the container `old` has, which gets a provisional one (ids): who
        asks Docker for the name is led to the new one from now on."""
        for tries_left in (2, 1, 0):
            self.rename(api, old, name + BEING_LEFT)
            try:
                self.rename(api, made, name)
                return
            except APIError:
                # A look beside us has given the old one its name back in between.
                if not tries_left:
                    raise

    def rename(self, api: APIClient, identity: str, name: str) -> None:
        """Give a container its name. A look beside us, which gives names back, may have done it just now."""
        try:
            api.rename(identity, name)
        except APIError:
            inspected = self.inspect(identity)
            if inspected is None or inspected["Name"].lstrip("/") != name:
                raise

    def make_beside(self, api: APIClient, workload: Workload) -> str:
        """make() under a provisional name."""
        name = workload.name + BEING_MADE
        if left := self.find(name):  # by a panel that was killed in between
            self.destroy(api, left.id)
        return self.make(api, workload, name)

    def end(self, api: APIClient, container: ContainerInfo) -> None:
        """Kill it if it runs, and return when it has ended."""
        if container.status not in ("running", "paused", "restarting"):
            return
        self._watcher.expect_end(container.id)
        try:
            api.kill(container.id)
            if container.status == "restarting":
                api.stop(container.id, timeout=0)  # kill() does not wait for one between two runs
        except APIError as error:
            if error.status_code not in (404, 409):  # gone, or ended just now
                raise

    def destroy(self, api: APIClient, identity: str) -> None:
        """Kill and remove a container with its volume."""
        self._watcher.expect_end(identity)
        self._live.pop(identity, None)
        for name in [name for name, (whole, _) in self._whole.copy().items() if whole == identity]:
            self._whole.pop(name, None)
        try:
            api.remove_container(identity, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != 409:
                raise
            # Somebody else is removing it: gone in a moment.
            deadline = time.monotonic() + self.gone_timeout
            while self.inspect(identity) is not None:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def sweep(self, api: APIClient, name: str) -> None:
        """Remove volumes left behind by a container that was removed by hand: they hold a secret."""
        left = api.volumes(filters={"dangling": True, **docker_spec.label_filter(self.instance, name)})
        for volume in left["Volumes"] or []:
            try:
                api.remove_volume(volume["Name"])
            except APIError as error:
                if error.status_code not in (404, 409):
                    raise


def cut_off(summary: Mapping[str, Any], network: str, current: str) -> bool:
    """Whether the container hangs on no network of this name, or on one that is no more.

    current: the id of the network that has the name now.
    """
    there = summary["NetworkSettings"]["Networks"].get(network)
    # Before its first start Docker has not looked the network up, and tells no id.
    return there is None or (there["NetworkID"] or current) != current


def name_of(summary: Mapping[str, Any]) -> str:
    """The name of a container in Docker's short form."""
    # One that is linked to has the links' names, too: "/other/alias".
    return min(summary["Names"], key=lambda name: name.count("/")).lstrip("/")


def _meet(bind: str, ip: str) -> bool:
    """Whether two listeners would be in each other's way: on the same address, or one on all."""
    everywhere = ("", "0.0.0.0", "::")
    return bind in everywhere or ip in everywhere or ip == bind
