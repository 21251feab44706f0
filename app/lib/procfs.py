"""What the kernel says about processes: who runs, since when, and how one ended.

A bare pid says nothing: after the process ended the number is given to another.
A process is known here by pid, kernel start time and boot. Whose it is, its log tells:
the file that it writes to stays the same when folders are renamed, moved or reached by
another way, and is another one in a copy. Only where that can't be seen, its arguments do.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

#: What a workload's standard output goes to, in the folder with its config file.
LOG = "proxy.log"

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_LAST_THREAD = 1.0  # seconds
_DELETED = " (deleted)"  # what the kernel appends to a path, proc_pid_fd(5)
_DEAD = "ZX"  # states of a process that only waits to be reaped, proc(5)


@dataclass(frozen=True)
class Process:
    """One run of a program. ticks: kernel start time in clock ticks since boot,
    field 22 of /proc/<pid>/stat (proc(5)). boot: the boot id those ticks count from."""

    pid: int
    ticks: int
    boot: str

    @property
    def run_id(self) -> str:
        """Identity of this run, as in base.Observed."""
        return f"{self.pid}-{self.ticks}-{self.boot[:8]}"

    def age(self) -> float:
        """Seconds since it started, dead or alive; no jump of the wall clock disturbs it."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.ticks / _TICKS_PER_SECOND


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    terminal: int
    ticks: int
    exit_code: int


@functools.cache
def boot_id() -> str:
    """The id of this boot of the machine (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, and may itself hold ") ".
    fields = text[text.rindex(")") + 2:].split()
    return _Stat(fields[0], int(fields[3]), int(fields[4]), int(fields[19]), int(fields[49]))


def identify(pid: int) -> Process | None:
    """The process that has this pid now, a zombie too; None if there is none."""
    stat = _stat(pid)
    return Process(pid, stat.ticks, boot_id()) if stat else None


def begun(pid: int) -> Process:
    """The process that was started with this pid just now, as a run that has ended if nothing is left of it: where
    this program was told to ignore SIGCHLD by its parent, the dead leave no zombies."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return identify(pid) or Process(pid, int(now * _TICKS_PER_SECOND), boot_id())


def command_line(pid: int) -> list[str]:
    """The program's arguments, its own name first; [] for a zombie or a kernel thread."""
    return [os.fsdecode(part) for part in _raw_command_line(pid).split(b"\0")[:-1]]


def _raw_command_line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            return file.readall()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def alive(process: Process, config: Path) -> bool:
    """True while exactly this run is there, and is one that works for the folder of `config`.

    process: as found here or as recorded in that folder, which may be a copy of another's.
    """
    stat = _stat(process.pid)
    return bool(stat and stat.state not in _DEAD and _is_ours(process, config))


def lives(process: Process) -> bool:
    """True while exactly this run is there, whoever it works for."""
    stat = _stat(process.pid)
    return bool(stat and stat.state not in _DEAD and identify(process.pid) == process)


def _is_ours(process: Process, config: Path) -> bool:
    # Without arguments it is just being executed, or just ending with its sockets still open. Read once: what
    # loses them between two looks would be taken for somebody else's.
    arguments = command_line(process.pid)
    if identify(process.pid) != process:
        return False
    if not arguments:
        return True
    if not _is_detached(process.pid):
        return False
    log = _log(process.pid)
    if log and log.file:
        return log.file == _file(config.with_name(LOG))
    if log and log.path == str(config.with_name(LOG)):
        return True
    named = [Path(argument) for argument in arguments if argument.endswith(f"/{config.parent.name}/{config.name}")]
    # Moved to another disk it names what is no more: nobody else can have a record of it.
    return any(path == config or not path.exists() or path.samefile(config) for path in named)


def find(root: Path, filename: str) -> dict[str, list[Process]]:
    """All processes that work for root/<name>/<filename>, by name: also those that nobody
    has a record of, because whoever started them was killed before writing it."""
    found: dict[str, list[Process]] = {}
    logs = _logs(root)
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        name = _name(int(entry), root, filename, logs)
        process = identify(int(entry)) if name and _is_detached(int(entry)) else None
        # Another user's program could bear any arguments it likes.
        if process and os.geteuid() in (0, _user(process.pid)):
            found.setdefault(name, []).append(process)
    return found


def _name(pid: int, root: Path, filename: str, logs: dict[tuple[int, int], str]) -> str:
    """The folder in `root` that the process works for; "" if none, or if it is just ending."""
    log = _log(pid)
    if log and not command_line(pid):
        return ""
    if log and log.file:
        return logs.get(log.file, "")
    prefix = f"{root}/"
    if log and log.path.startswith(prefix):  # deleted: the kernel still says where it would be now
        return log.path[len(prefix):].removesuffix(f"/{LOG}")
    if os.fsencode(prefix) not in _raw_command_line(pid):
        return ""
    return next((argument[len(prefix):-len(filename) - 1] for argument in command_line(pid)[1:]
                 if argument.startswith(prefix) and argument.endswith(f"/{filename}")), "")


@dataclass(frozen=True)
class _Log:
    """What a process writes to. path: where the kernel says it is. file: device and inode; None: deleted."""

    path: str
    file: tuple[int, int] | None


def _log(pid: int) -> _Log | None:
    """None if its standard output is no such file, or may not be seen."""
    output = f"/proc/{pid}/fd/1"
    try:
        path = os.readlink(output)
        if not path.removesuffix(_DELETED).endswith(f"/{LOG}"):
            return None
        stat = os.stat(output)
    except OSError:  # another user's, or it has just ended
        return None
    return _Log(path.removesuffix(_DELETED), (stat.st_dev, stat.st_ino) if stat.st_nlink else None)


def _file(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _logs(root: Path) -> dict[tuple[int, int], str]:
    """Device and inode of each folder's log -> the folder's name."""
    try:
        names = os.listdir(root)
    except OSError:
        return {}
    return {file: name for name in names if (file := _file(root / name / LOG))}


def _is_detached(pid: int) -> bool:
    """Whether it runs as a runtime starts it: an editor or `less` has our files open and among its
    arguments too, but it has a terminal or is not the leader of a session of its own."""
    stat = _stat(pid)
    return bool(stat and stat.session == pid and not stat.terminal)


def log_path(pid: int) -> str:
    """Where the log is that the process writes to, for people; "" if that can't be seen."""
    log = _log(pid)
    return log.path if log else ""


def _user(pid: int) -> int:
    """Effective user id; read from `status`, as the owner of /proc/<pid> is root for
    a program with file capabilities (an mtg allowed to bind port 443)."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[2])
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has just ended
    return -1


def kill(process: Process, config: Path, timeout: float) -> bool:
    """SIGKILL exactly this run, and wait until its sockets are closed.

    False if it is still there after `timeout` seconds. Nothing is signalled when the
    pid belongs to another run or program. PermissionError if it is another user's.
    """
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        # Looked at with the handle open: from here on a reused pid can't be hit.
        if not _is_ours(process, config):
            return True
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        except ProcessLookupError:
            return True
        # Readable once its last thread is gone, and the files and sockets with it.
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(timeout * 1000))
    finally:
        os.close(handle)


def reap(process: Process) -> int | None:
    """How a dead process ended: exit code, or minus the signal; None when nobody can know.

    Takes the zombie away if it is a child of this process.
    """
    stat = _stat(process.pid)
    if stat is None or stat.ticks != process.ticks or stat.state not in _DEAD:
        return None
    # The first thread of a program can be a zombie before the last one has ended.
    wait_for_any([process], _LAST_THREAD)
    try:
        result = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:  # another panel's child, not yet reaped there
        return -(stat.exit_code & 0x7F) or stat.exit_code >> 8
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def wait_for_any(processes: list[Process], timeout: float) -> bool:
    """Sleep until one of them has ended; False after `timeout` seconds."""
    poller = select.poll()
    handles = []
    try:
        for process in processes:
            try:
                handle = os.pidfd_open(process.pid)
            except ProcessLookupError:
                return True
            except OSError:  # out of file descriptors: the rest is noticed at the next tick
                break
            handles.append(handle)
            if identify(process.pid) != process:
                return True
            poller.register(handle, select.POLLIN)
        return bool(poller.poll(max(0.0, timeout) * 1000))
    finally:
        for handle in handles:
            os.close(handle)
