"""A change of one user that restarts what serves many waits until no other change has come for a moment: so twenty
users who are added one after the other are one restart."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from pathlib import Path

from app.control.plan import REPLACE, Action
from app.lib.filelock import FileLock
from app.runtimes.base import Workload

#: Seconds without a change of the declaration, and at most from the first change on.
QUIET, LONGEST = 2.0, 10.0


class Collecting:
    """Of the installation in this folder. Only where a monitor runs that does later what is left now."""

    def __init__(self, data_dir: Path) -> None:
        self._declaration, self._monitor = data_dir / "config.json", data_dir / "monitor.lock"
        #: When the first change was left for later, in monotonic seconds; None if nothing is.
        self._since: float | None = None
        #: Of the declaration, when the last pass acted on it; None if that wanted no such workload.
        self._passed: float | None = None

    def left_for_later(self, actions: Iterable[Action], wanted: Iterable[Workload], running: Collection[str]
                       ) -> set[str]:
        """The names of what is to be replaced in a later pass. wanted: what should run. running: names of what does."""
        collected = {each.name for each in wanted if each.shared and not each.live_files} & set(running)
        self._passed = self._changed_at() if collected else None
        costly = {a.name for a in actions if a.kind == REPLACE and a.name in collected}
        if not costly or not self._monitor_runs():
            self._since = None
            return set()
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if self._age() >= QUIET or now - self._since >= LONGEST:
            self._since = None
            return set()
        return costly

    def is_due(self) -> bool:
        """Whether what was left for later can be done by now, here or by another process, such as a command."""
        if self._since is not None and time.monotonic() - self._since >= LONGEST:
            return True
        waits = self._since is not None or (self._passed is not None and self._changed_at() != self._passed)
        return waits and self._age() >= QUIET

    def _age(self) -> float:
        """Seconds since the last change of the declaration; a file from the future is as good as quiet."""
        age = time.time() - self._changed_at()
        return age if age >= 0 else QUIET

    def _changed_at(self) -> float:
        try:
            return self._declaration.stat().st_mtime
        except OSError:
            return 0.0

    def _monitor_runs(self) -> bool:
        try:
            with FileLock(self._monitor, make=False) as lock:
                return not lock.try_take()
        except OSError:
            return False
