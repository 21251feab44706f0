"""A short-lived container that works in the network of another one, or of many, which keep no capability themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass

from docker import APIClient
from docker.errors import APIError

from app.messages import Problem, text
from app.runtimes.base import RuntimeFailure
from app.runtimes.docker.state import ContainerInfo


class NoShell(Exception):
    """The image of the container holds no shell, so none of its tools either."""


@dataclass(frozen=True)
class Done:
    """How the commands ended: their exit code, and what they wrote."""

    code: int
    out: str
    err: str

    def reason(self, no_tool: str, failed: str) -> Problem:
        """Why they failed. no_tool, failed: the codes of the problems that a program is missing, and that one ended
        with a code and said nothing."""
        if "not found" in self.err:
            return Problem(no_tool)
        # Which of several lines tells it is the first one that names an error; most programs write one line only.
        lines = self.err.strip().splitlines()
        told = next((line for line in lines if "rror:" in line), lines[-1] if lines else "")
        return text(told[:300]) if told else Problem(failed, {"code": self.code})


@dataclass(frozen=True)
class Troubles:
    """The codes of what can go wrong: that the image has no shell, that a program is missing in it, that one ended with
    a code and said nothing; and of the whole, with the name and the reason."""

    no_shell: str
    no_tool: str
    failed: str
    whole: str


def ask(api: APIClient, container: ContainerInfo, commands: str, troubles: Troubles) -> str:
    """What these shell commands print, see run(). Raises RuntimeFailure, APIError."""
    try:
        done = run(api, container.image, f"container:{container.id}", commands)
    except NoShell as error:
        raise RuntimeFailure(troubles.no_shell, name=container.name, image=container.image) from error
    if done.code:
        reason = done.reason(troubles.no_tool, troubles.failed)
        raise RuntimeFailure(troubles.whole, name=container.name, reason=reason)
    return done.out


def run(api: APIClient, image: str, network: str, commands: str, namespaces: str = "") -> Done:
    """Run shell commands in this network (as Docker names one of a container, "container:ID"), by this image: they have
    NET_ADMIN there, and nothing else. About 0.1 s. Raises NoShell, APIError.

    namespaces: a folder of the machine with network namespaces, which they find as /netns and may go into.
    """
    made = api.create_container_from_config({
        "Image": image, "User": "0:0", "Entrypoint": ["/bin/sh", "-c"], "Cmd": [commands],
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": network, "CapDrop": ["ALL"],
            "CapAdd": ["NET_ADMIN", *(["SYS_ADMIN"] if namespaces else [])],
            "Binds": [f"{namespaces}:/netns:ro"] if namespaces else [],
            "ReadonlyRootfs": True, "SecurityOpt": ["no-new-privileges:true"], "PidsLimit": 32,
            "Memory": 64 << 20, "MemorySwap": 64 << 20,
        },
    })["Id"]
    try:
        api.start(made)
        code = api.wait(made)["StatusCode"]
        return Done(code, *(api.logs(made, stdout=not errors, stderr=errors).decode(errors="replace")
                            for errors in (False, True)))
    except APIError as error:
        if re.search("no such file or directory|executable file not found", str(error.explanation)):
            raise NoShell from error
        raise
    finally:
        api.remove_container(made, force=True, v=True)
