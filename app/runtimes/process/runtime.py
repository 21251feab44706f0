"""Workloads as processes of this machine: no root, no Docker, and they outlive the panel."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.lib import portmap, procfs
from app.lib.procfs import LOG, Process
from app.messages import Problem
from app.runtimes import ports
from app.runtimes.base import (CREATED, EXITED, NAME_PREFIX, RUNNING, STOPPED, LegacyContainer, NoDoor, Notice,
                               Observed, Place, RuntimeFailure, Sample, SpeedFile, Workload, live_hash)
from app.runtimes.process import commands, speed
from app.runtimes.process.endings import copied, ending, limit_memory, with_last_line
from app.runtimes.process.folder import CONFIG, OLD_LOG, RECORD, Folder, Record, hashed, locked, valid_name
from app.runtimes.process.logs import ProcessLogs
from app.runtimes.scrape import ScrapeFailure, scrape, scrape_all


#: A folder of this name is a workload's even when its record is lost.
_OWN_NAME = re.compile(re.escape(NAME_PREFIX) + "[0-9]+")

log = logging.getLogger(__name__)


class ProcessRuntime(NoDoor):
    """Runtime whose workloads live in data_dir/proxies/<name>/.

    Panels and CLIs may share a folder: list, logs, samples and throttled at any time; the verbs that change
    something only one caller at a time per workload. speed_file: how its programs limit their speed, if they can.
    """

    name = "process"
    start_timeout = 10.0  # seconds until a new process must accept connections
    stop_timeout = 10.0  # seconds until a killed process must be gone
    scrape_timeout = 2.0  # seconds
    throttle_timeout = 3.0  # seconds until the engine must say that it keeps a new limit
    settled_after = 60.0  # seconds; an exit before this age is a crash
    rotate_above = 5 << 20  # bytes of proxy.log

    def __init__(self, data_dir: Path, speed_file: SpeedFile | None = None) -> None:
        self._root = Path(data_dir).resolve() / "proxies"
        # A number of the installation, so two of them on one machine don't share addresses.
        self._network = 64 + zlib.crc32(os.fsencode(self._root.parent)) % 128
        self._wildcard = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
        self._speed_file = speed_file
        self._ends_told: set[str] = set()
        self._logs = ProcessLogs(self._folders_of)
        self._replacing = threading.Lock()

    def place(self, port: int, bind: str) -> Place:
        try:
            ip = str(ipaddress.ip_address(bind.strip("[]"))) if bind else self._wildcard
        except ValueError:
            raise RuntimeFailure("runtime.bind_here", bind=bind) from None
        metrics = f"127.{self._network}.{port >> 8}.{port & 255}"
        return Place(ports.join(ip, port), ports.join(metrics, portmap.METRICS))

    def port_taken(self, port: int, bind: str) -> Problem | None:
        return ports.bind_error(self.place(port, bind).listen)

    def port_free(self, port: int, bind: str) -> bool:
        return ports.is_free(self.place(port, bind).listen)

    def observe(self) -> list[Observed]:
        """As in base.Runtime. Records the ends it notices, and rotates logs that have grown
        too long: it is the verb that every tick calls and that looks at every folder."""
        running = procfs.find(self._root, CONFIG)
        observed = []
        for name in sorted(self._names() | set(filter(valid_name, running))):
            folder = self._folder(name)
            strays = running.get(name, [])
            record = self._update(folder, strays)
            if record or strays or (_OWN_NAME.fullmatch(name) and folder.path.exists()):
                observed.append(self._observed(name, record, strays))
            if folder.log_size() > self.rotate_above:
                self._rotate(folder)
        return observed

    def create(self, workload: Workload, last_look: Callable[[str], None] | None = None) -> None:
        folder = self._folder(workload.name)
        ours = {RECORD, LOG, OLD_LOG, *workload.keeps, *([self._speed_file.name] if self._speed_file else [])}
        for name in (*workload.files, *workload.live_files):
            if not valid_name(name) or name in ours:
                raise RuntimeFailure("runtime.file_name", name=workload.name, file=name)
        if "{config}" not in workload.command:
            raise RuntimeFailure("runtime.no_config", name=workload.name)
        self.stop(workload.name, last_look)
        try:
            with locked(self._root):
                folder.renew(workload.keeps)
                for name, text in (*workload.files.items(), *workload.live_files.items()):
                    folder.put(name, text)
                folder.write(Record(
                    name=workload.name, user_id=workload.user_id, spec=workload.spec, engine=workload.engine,
                    command=commands.made(folder, workload.command),
                    env=dict(workload.env), listen=workload.place.listen, metrics=workload.place.metrics,
                    metrics_path=workload.metrics_path, memory_mb=workload.memory_mb, links=workload.settled_links,
                    live_files=tuple(workload.live_files),
                    files={name: hashed(text.encode()) for name, text in workload.files.items()}))
        except (OSError, UnicodeError) as error:
            raise RuntimeFailure("runtime.not_laid_out", name=folder.name,
                                 folder=str(folder.path), reason=str(error)) from error

    def replace(self, workload: Workload, last_look: Callable[[str], None]) -> None:
        """As in base.Runtime. Two processes can't have one port: between them, nobody is served. So they follow each
        other one by one, as all that is done beside them here makes that time longer."""
        with self._replacing:
            self.create(workload, last_look)
            self.start(workload.name, strays=[])  # they have just ended; to look again would be time without a proxy

    def start(self, name: str, strays: list[Process] | None = None) -> None:
        """As in base.Runtime. strays: None if they have to be looked for."""
        folder = self._folder(name)
        with self._records(name):
            record = folder.read()
            if record is None:
                raise RuntimeFailure("runtime.no_workload", name=name, folder=str(self._root))
            process = self._process(record)
            if not process:
                if self._settle(record, self._strays(name) if strays is None else strays):
                    folder.write(record)
                process = record.process or self._spawn(folder, record)
        self._await_accepting(folder, record, process)

    def update(self, name: str, live_files: Mapping[str, str]) -> None:
        folder = self._folder(name)
        with self._records(name):
            record = folder.read()
            if record is None or set(record.live_files) != set(live_files):
                raise RuntimeFailure("runtime.no_live_files", name=name, files=sorted(live_files))
            for file, text in live_files.items():
                folder.put(file, text)

    def held(self, name: str) -> Mapping[str, str]:
        folder = self._folder(name)
        record = folder.read()
        return folder.held(record.live_files) if record else {}

    def address(self, name: str) -> str:
        record = self._folder(name).read()
        if not record or not self._process(record):
            raise RuntimeFailure("runtime.no_address", name=name)
        ip, port = ports.split(record.listen)
        return ports.join("127.0.0.1" if ip in ("0.0.0.0", "::") else ip, port)

    def sample(self, name: str) -> Sample | None:
        record = self._folder(name).read()
        process = self._process(record) if record else None
        if not record or not process:
            return None
        try:
            text = scrape(record.metrics, record.metrics_path, self.scrape_timeout)
        except ScrapeFailure:
            return None
        return Sample(name, process.run_id, text) if self._process(record) else None

    def stop(self, name: str, last_look: Callable[[str], None] | None = None) -> None:
        folder = self._folder(name)
        # Written down first, so that no observe() beside us takes the end for a crash.
        record = self._record_stop(folder)
        known = [record.process] if record and record.process else []
        # To look for others takes a while: where another one is to follow at once, it is done beforehand.
        strays = self._strays(name) if last_look else []
        if last_look:
            last_look(name)
        for process in known:
            self._kill(folder, process)
        for process in strays if last_look else self._strays(name):
            if process not in known:
                self._kill(folder, process)
        self._record_stop(folder)

    def remove(self, name: str) -> None:
        folder = self._folder(name)
        self.stop(name)
        with self._records(name):
            folder.clear()

    def logs(self, name: str, tail: int = 200) -> str:
        try:
            return self._folder(name).tail(tail)
        except OSError as error:
            raise RuntimeFailure("runtime.log_unreadable", name=name, reason=str(error)) from error

    def merged_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> list[str]:
        return self._logs.merged(users, tail)

    def followed_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> Iterator[str]:
        return self._logs.followed(users, tail)

    def samples(self) -> list[Sample]:
        before = self._alive()
        targets = {name: (record.metrics, record.metrics_path) for name, (record, _) in before.items()}
        texts = scrape_all(targets, self.scrape_timeout)
        # Still the same process: then the text is of that start, and of no other.
        return [Sample(name, before[name][1].run_id, text) for name, text in texts.items()
                if procfs.alive(before[name][1], self._folder(name).config)]

    def throttle(self, name: str, bits_per_second: int | None) -> None:
        folder = self._folder(name)
        record = folder.read()
        if not record or not self._process(record):
            raise RuntimeFailure("runtime.speed_not_running", name=name)
        speed.put(folder, record, self._speed_file, bits_per_second or None, self.scrape_timeout, self.throttle_timeout)

    def throttled(self, name: str) -> int | None:
        folder = self._folder(name)
        record = folder.read()
        if not record or not self._process(record):
            return None
        return speed.in_force(record, self._speed_file, self.scrape_timeout)[1]

    def foreign(self) -> list[LegacyContainer]:
        """None: an older installation ran containers."""
        return []

    def adopt(self, workload: Workload, old: LegacyContainer) -> None:
        raise RuntimeFailure("runtime.no_takeover", name=old.name)

    def wait(self, timeout: float) -> bool:
        watched = []
        for name in self._names():
            folder = self._folder(name)
            record = folder.read()
            process = record.process if record else None
            if process and procfs.alive(process, folder.config):
                watched.append(process)
            elif process and process.run_id not in self._ends_told:
                # It ended between the last observe() and now. Told once: observe() may be unable to record it.
                self._ends_told.add(process.run_id)
                return True
        return procfs.wait_for_any(watched, timeout)

    def notes(self) -> list[Problem]:
        return [] if os.geteuid() else [Problem("process.as_root")]

    def notices(self) -> list[Notice]:
        """None: what a process ended with is its Observed.reason."""
        return []

    # -- the parts of the verbs ------------------------------------------------------------------

    def _folder(self, name: str) -> Folder:
        return Folder(self._root, name)

    def _folders_of(self, users: set[str] | None) -> dict[str, Folder]:
        """Folders of the workloads of these users (ids), by name; of all for None."""
        folders = {name: self._folder(name) for name in self._names()}
        if users is None:
            return folders
        return {name: folder for name, folder in folders.items()
                if (record := folder.read()) and record.user_id in users}

    def _names(self) -> set[str]:
        try:
            return {e.name for e in os.scandir(self._root) if valid_name(e.name) and e.is_dir()}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise RuntimeFailure("runtime.folders_unreadable", reason=str(error)) from error

    @contextmanager
    def _records(self, name: str) -> Iterator[None]:
        """The lock of the records; what the disk refuses becomes a RuntimeFailure."""
        try:
            with locked(self._root):
                yield
        except OSError as error:
            raise RuntimeFailure("runtime.folder_unusable", name=name,
                                 folder=str(self._root), reason=str(error)) from error

    def _strays(self, name: str) -> list[Process]:
        """All processes that work for this workload. All of the machine are looked at."""
        return procfs.find(self._root, CONFIG).get(name, [])

    def _alive(self) -> dict[str, tuple[Record, Process]]:
        """The workloads whose recorded process runs."""
        found = {}
        for name in self._names():
            record = self._folder(name).read()
            if record and (process := self._process(record)):
                found[name] = (record, process)
        return found

    def _process(self, record: Record) -> Process | None:
        process = record.process
        return process if process and procfs.alive(process, self._folder(record.name).config) else None

    def _update(self, folder: Folder, strays: list[Process]) -> Record | None:
        """The record, brought up to date: an end that nobody recorded, a process that nobody knows."""
        record = folder.read()
        if record is None or self._process(record) or not (record.process or strays):
            return record
        try:
            with locked(self._root):
                record = folder.read()
                if record and self._settle(record, strays):
                    folder.write(record)
        except OSError as error:
            log.warning("%s: what was seen could not be recorded: %s", folder.name, error)
        return record

    def _record_stop(self, folder: Folder) -> Record | None:
        """Record that the end is asked for, and the end itself once it is there.

        A full disk does not keep a proxy running: what can't be recorded is only logged.
        """
        record = None
        try:
            with locked(self._root):
                record = folder.read()
                if record:
                    record.stopped = True
                    self._settle(record, [])
                    if record.exited_at and not record.process:
                        record.crashes, record.why = 0, STOPPED
                    folder.write(record)
        except OSError as error:
            log.warning("%s: its stop could not be recorded: %s", folder.name, error)
        return record

    def _settle(self, record: Record, strays: list[Process]) -> bool:
        """Note the end of the recorded run, and adopt a stray process; True if the record changed.

        Call it with the lock held: only one may reap, and a process between its start
        and its record is no stray.
        """
        folder, changed = self._folder(record.name), False
        if record.process and not self._process(record):
            self._note_end(folder, record, record.process)
            changed = True
        for stray in strays:
            if not record.process and procfs.alive(stray, folder.config):
                record.pid, record.ticks, record.boot = stray.pid, stray.ticks, stray.boot
                record.started_at, record.stopped, record.why = time.time() - stray.age(), False, None
                changed = True
        return changed

    def _note_end(self, folder: Folder, record: Record, process: Process) -> None:
        if procfs.lives(process):
            record.pid, record.exited_at, record.crashes = 0, time.time(), 0
            record.why = copied(process)
            return
        status = procfs.reap(process)
        record.pid, record.exited_at = 0, time.time()
        if record.stopped:
            record.crashes, record.why = 0, STOPPED
        elif process.boot != procfs.boot_id():
            record.crashes, record.why = 0, Problem("ended.machine_restarted")
        else:
            record.crashes = record.crashes + 1 if process.age() < self.settled_after else 0
            record.why = ending(status, folder.last_lines(record.log_from), record.memory_mb)

    def _spawn(self, folder: Folder, record: Record) -> Process:
        """Start the program and record it. The lock is held."""
        bind_error = ports.bind_error(record.listen) or ports.bind_error(record.metrics)
        if bind_error:
            record.why = bind_error
            folder.write(record)
            raise RuntimeFailure("runtime.not_started", name=record.name, reason=record.why)
        record.log_from = folder.log_size()
        child = commands.begin(folder, record)
        child.returncode = 0  # procfs.reap() takes it away; subprocess would lose how it ended
        try:
            limit_memory(child.pid, record.memory_mb)
        except OSError as error:
            log.warning("%s: its memory could not be limited: %s", folder.name, error)
        process = procfs.begun(child.pid)
        record.pid, record.ticks, record.boot = process.pid, process.ticks, process.boot
        record.started_at, record.stopped, record.why = time.time(), False, None
        try:
            folder.write(record)
        except OSError:
            procfs.kill(process, folder.config, self.stop_timeout)
            procfs.reap(process)
            raise
        return process

    def _await_accepting(self, folder: Folder, record: Record, process: Process) -> None:
        deadline = time.monotonic() + self.start_timeout
        # The metrics too: without them it can be neither billed nor throttled.
        while not all(ports.listens(process.pid, address) for address in (record.listen, record.metrics)):
            late = time.monotonic() > deadline
            if late:
                self._kill(folder, process)
            if late or not procfs.alive(process, folder.config):
                with self._records(folder.name):
                    record = folder.read() or record
                    self._settle(record, [])
                    if late:
                        record.why = with_last_line(Problem("ended.not_accepting", {
                            "listen": record.listen, "metrics": record.metrics, "seconds": self.start_timeout}),
                            folder.last_line(record.log_from))
                    if folder.path.exists():
                        folder.write(record)
                raise RuntimeFailure("runtime.start_failed", name=folder.name, reason=record.why)
            time.sleep(0.01)

    def _kill(self, folder: Folder, process: Process) -> None:
        try:
            gone = procfs.kill(process, folder.config, self.stop_timeout)
        except PermissionError:
            raise RuntimeFailure("runtime.foreign_process", name=folder.name, pid=process.pid) from None
        if not gone:
            raise RuntimeFailure("runtime.not_ended", name=folder.name, pid=process.pid, seconds=self.stop_timeout)

    def _rotate(self, folder: Folder) -> None:
        try:
            with locked(self._root):
                if folder.log_size() > self.rotate_above:
                    folder.rotate()
        except OSError as error:
            log.warning("%s: its log could not be rotated: %s", folder.name, error)

    def _observed(self, name: str, record: Record | None, strays: list[Process]) -> Observed:
        if record is None:
            stray = strays[0] if strays else None
            return Observed(name, user_id="", spec="", state=RUNNING if stray else CREATED,
                            run_id=stray.run_id if stray else "",
                            started_at=time.time() - stray.age() if stray else 0.0,
                            reason=None if stray else Problem("ended.no_record"))
        process = record.process
        crashes = 0 if process and process.age() >= self.settled_after else record.crashes
        state = RUNNING if process else EXITED if record.exited_at else CREATED
        # What runs has read its files. What does not could not be started from damaged ones, and is made anew.
        spec = record.spec if process or self._folder(name).is_whole(record) else ""
        return Observed(name, record.user_id, spec, state, process.run_id if process else "",
                        record.started_at, record.exited_at, crashes, record.why, links=record.links,
                        live=live_hash(self._folder(name).held(record.live_files)), engine=record.engine)
