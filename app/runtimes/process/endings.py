"""How a local process ended, in words, and what memory it may take before it does."""

from __future__ import annotations

import os
import re
import resource
import signal
from pathlib import Path

from app.lib import procfs
from app.lib.procfs import Process

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


def ending(status: int | None, last_lines: str, memory_mb: int) -> str:
    """status: as from procfs.reap(). last_lines: what it wrote at last. memory_mb: what it was allowed."""
    lines = [line.strip() for line in last_lines.splitlines() if line.strip()]
    last_line = lines[-1][:300] if lines else ""
    said = f"{_status(status)}; its last line: {last_line}" if last_line else _status(status)
    if memory_mb and status and status not in (-signal.SIGTERM, -signal.SIGINT) and _OUT_OF_MEMORY.search(last_lines):
        return f"it ran out of memory: {memory_mb} MB are allowed (proxy_memory_mb); {said}"
    return said


def _status(status: int | None) -> str:
    if status is None:
        return "it ended; its exit code is not known, as an earlier panel had started it"
    if status < 0:
        name = signal.Signals(-status).name
        hint = " (by hand, or by the kernel for want of memory)" if name == "SIGKILL" else ""
        return f"it was killed by {name}{hint}"
    return f"it exited with code {status}"


def copied(process: Process) -> str:
    """What to say where a record names a process that works for another folder."""
    where = procfs.log_path(process.pid)
    return (f"this folder is a copy: the process that it names (pid {process.pid}) works for "
            f"{Path(where).parent if where else 'another one'} and still runs; to end it: kill {process.pid}")
