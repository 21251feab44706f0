"""What Docker says of a container, as ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.messages import Problem
from app.runtimes.base import CREATED, EXITED, RUNNING, STOPPED
from app.runtimes.docker.spec import MEMORY, STAY_STOPPED

#: Seconds. An exit before this age is a crash.
SETTLED_AFTER = 60.0

_LONGEST = 300  # characters of a foreign message that are shown


@dataclass(frozen=True)
class ContainerInfo:
    """One inspected container. Times are Unix seconds, 0.0 for never; restarts: by Docker itself.

    status: created, running, restarting, paused, exited, removing or dead. code: its exit
    code. wanted: false once a stop was asked for. trouble: why the last start failed. netns: where the machine has its
    network namespace as a file, "" while it has none.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    status: str
    started_at: float
    started: str
    exited_at: float
    code: int
    oom: bool
    restarts: int
    wanted: bool
    trouble: str
    image: str
    pid: int
    netns: str

    @property
    def state(self) -> str:
        """As in base.Observed. Paused, or waiting for Docker to start it again, is not running."""
        if self.status == "running":
            return RUNNING
        return EXITED if self.exited_at or self.status == "paused" else CREATED

    @property
    def run_id(self) -> str:
        return f"{self.id[:12]}-{self.started}" if self.state == RUNNING else ""

    @property
    def stopped(self) -> bool:
        """Ended, and that was asked for."""
        return not self.wanted and self.status in ("exited", "created", "dead")


@dataclass
class CrashState:
    """What Docker does not remember of a container.

    before: crashes before its last start by us. settled: how many of its ends since then
    don't count any more. refused: why that start failed, in more words than Docker's.
    """

    id: str
    before: int = 0
    settled: int = 0
    refused: Problem | None = None


def crashes(container: ContainerInfo, run: CrashState, now: float) -> int:
    """Observed.crashes: the ends that Docker has repaired itself, and those before our last start.

    Keeps `run` up to date: what happened before a run of SETTLED_AFTER seconds is forgotten.
    """
    if container.stopped:
        run.before, run.settled = 0, container.restarts
    if container.stopped or container.trouble or container.status in ("created", "paused"):
        return run.before
    ended = container.status != "running"
    # Docker counts a restart when it decides on it: a container that waits for one is counted already.
    ends = container.restarts + (ended and container.status != "restarting")
    lived = container.exited_at - container.started_at if ended else now - container.started_at
    if lived >= SETTLED_AFTER:
        run.before, run.settled = 0, ends
    return run.before + max(0, ends - run.settled)


def container_info(inspected: Mapping[str, Any]) -> ContainerInfo:
    """From GET /containers/<id>/json."""
    state = inspected["State"]
    host = inspected["HostConfig"]
    return ContainerInfo(
        id=inspected["Id"], name=inspected["Name"].lstrip("/"), labels=inspected["Config"]["Labels"] or {},
        status=state["Status"], started_at=moment(state["StartedAt"]), started=state["StartedAt"],
        exited_at=moment(state["FinishedAt"]), code=state["ExitCode"], oom=state["OOMKilled"],
        restarts=inspected["RestartCount"], wanted=host["RestartPolicy"]["Name"] != STAY_STOPPED,
        trouble=state["Error"], image=inspected["Config"]["Image"], pid=state["Pid"],
        netns=(inspected.get("NetworkSettings") or {}).get("SandboxKey") or "")


def moment(text: str) -> float:
    """Docker's time as Unix seconds; 0.0 for its "never", the year 1."""
    return 0.0 if text.startswith("0001-") else datetime.fromisoformat(text).timestamp()


def ending(code: int, oom: bool, memory_mb: str) -> Problem:
    """How a container ended."""
    if oom:
        return Problem("ended.memory", {"memory_mb": memory_mb})
    if code == 137:
        return Problem("ended.sigkill")
    if code > 128:
        return Problem("ended.signal", {"signal": code - 128})
    return Problem("ended.exited", {"exit_code": code})


def reason(container: ContainerInfo, last_line: str) -> Problem | None:
    """Observed.reason: why the container does not run, None if it does."""
    if container.state == RUNNING:
        return None
    if container.status == "paused":
        return Problem("docker.paused")
    if container.trouble:
        return refusal(container.trouble, container.image)
    if container.stopped and container.state == EXITED:
        return STOPPED
    if container.state == CREATED:
        return None
    how = ending(container.code, container.oom, container.labels.get(MEMORY, "?"))
    return Problem("ended.last_line", {"how": how, "line": last_line[:_LONGEST]}) if last_line else how


def busy_port(trouble: str) -> int | None:
    """The port that a start failed for, when it failed for that: both of Docker's ways to say so."""
    taken = re.search(r"[:.](\d+) failed: port is already allocated", trouble) \
        or re.search(r":(\d+): bind: address already in use", trouble) \
        or re.search(r"failed to bind host port .*?:(\d+)\S*: address already in use", trouble)
    return int(taken[1]) if taken else None


def refusal(trouble: str, image: str) -> Problem:
    """Why Docker could not start a container; trouble: in Docker's words."""
    port = busy_port(trouble)
    if port is not None:
        return Problem("port.taken", {"port": port, "owner": Problem("port.owner_untold")})
    if "executable file not found" in trouble or ("no such file or directory" in trouble and "exec" in trouble):
        return Problem("docker.no_program", {"image": image})
    if "no space left on device" in trouble:
        return Problem("docker.disk_full")
    if "cannot assign requested address" in trouble:
        return Problem("docker.no_such_address")
    return Problem("docker.start_refused", {"reason": trouble[:_LONGEST]})
