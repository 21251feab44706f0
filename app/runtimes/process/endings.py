"""How a local process ended, and what memory it may take before it does."""

from __future__ import annotations

import os
import re
import resource
import signal
from pathlib import Path

from app.lib import procfs
from app.lib.procfs import Process
from app.messages import Problem

#: Address space of one thread's stack: counted whole, though hardly any of it is used.
_STACK_BYTES = 8 << 20
#: What programs write when the kernel gives them no more.
_OUT_OF_MEMORY = re.compile(r"\bMemoryError\b|out of memory|cannot allocate memory", re.IGNORECASE)


def limit_memory(pid: int, megabytes: int) -> None:
    """Let it take this much memory (MB of 1024^2 bytes) beside the stacks of its threads; 0 is no limit.

    RLIMIT_DATA, setrlimit(2): heap and anonymous memory, so neither files nor the program itself.
    OSError if it has just ended or the machine has a lower limit already, which then holds.
    """
    if megabytes:
        threads = min(32, (os.cpu_count() or 1) + 4)  # as many as Python keeps for looking up names
        wanted = (megabytes << 20) + threads * _STACK_BYTES
        resource.prlimit(pid, resource.RLIMIT_DATA, (wanted, wanted))


def ending(status: int | None, last_lines: str, memory_mb: int) -> Problem:
    """status: as from procfs.reap(). last_lines: what it wrote at last. memory_mb: what it was allowed."""
    lines = [line.strip() for line in last_lines.splitlines() if line.strip()]
    said = with_last_line(_status(status), lines[-1] if lines else "")
    if memory_mb and status and status not in (-signal.SIGTERM, -signal.SIGINT) and _OUT_OF_MEMORY.search(last_lines):
        return Problem("ended.no_memory_left", {"megabytes": memory_mb, "how": said})
    return said


def with_last_line(how: Problem, last_line: str) -> Problem:
    """How it ended, with what it wrote at last, if that is anything."""
    return Problem("ended.last_line", {"how": how, "line": last_line[:300]}) if last_line else how


def _status(status: int | None) -> Problem:
    if status is None:
        return Problem("ended.code_unknown")
    if status < 0:
        name = signal.Signals(-status).name
        return Problem("ended.sigkill") if name == "SIGKILL" else Problem("ended.by_signal", {"signal": name})
    return Problem("ended.exited", {"exit_code": status})


def copied(process: Process) -> Problem:
    """What to say where a record names a process that works for another folder."""
    where = procfs.log_path(process.pid)
    if not where:
        return Problem("ended.copied", {"pid": process.pid})
    return Problem("ended.copied_from", {"pid": process.pid, "folder": Path(where).parent})
