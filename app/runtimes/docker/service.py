"""A container of the compose stack that the panel works with: nginx, or certbot."""

from __future__ import annotations

from collections.abc import Sequence

from docker.errors import APIError, NotFound

from app.runtimes.base import RuntimeFailure
from app.runtimes.docker.client import Connection

#: The label that docker-compose.yml gives to such a container, with its role as the value.
ROLE = "mtproto.role"


class ServiceMissing(RuntimeFailure):
    """No container of this role runs in the proxies' network."""


class Service:
    """One running container, found anew each time by its role and its network.

    role: "nginx" or "certbot". url: the Docker engine's address, "" for the usual one.
    """

    def __init__(self, role: str, network: str, url: str = "") -> None:
        self.role = role
        self.network = network
        self._engine = Connection(url)

    def find(self) -> str:
        """Its container id. Raises ServiceMissing."""
        with self._engine.api() as api:
            found = api.containers(filters={"label": [f"{ROLE}={self.role}"], "network": [self.network],
                                            "status": ["running"]})
        # Docker matches parts of a network's name, too.
        for container in found:
            if self.network in container["NetworkSettings"]["Networks"]:
                return container["Id"]
        raise ServiceMissing("docker.no_service", role=self.role, network=self.network)

    def run(self, command: Sequence[str], seconds: float = 60.0) -> tuple[int, str]:
        """(exit code, what it printed on both outputs) of a command inside it. Raises RuntimeFailure."""
        identity = self.find()
        with self._engine.api(seconds) as api:
            try:
                made = api.exec_create(identity, list(command))["Id"]
                printed = api.exec_start(made)
                code = api.exec_inspect(made)["ExitCode"]
            except (NotFound, APIError) as error:
                raise RuntimeFailure("docker.not_run", program=command[0],
                                     role=self.role, reason=str(error.explanation or error)) from error
        return code if code is not None else -1, printed.decode(errors="replace")

    def signal(self, name: str) -> None:
        """Send a signal, such as SIGHUP, to its first process. Raises RuntimeFailure."""
        with self._engine.api() as api:
            api.kill(self.find(), name)
