"""The background thread: sample, account, enforce, reconcile, every tick."""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Callable

from app.fleet.errors import Refused
from app.fleet.fleet import Fleet

TICK = 10.0

log = logging.getLogger(__name__)


class Monitor:
    """Runs in every worker that starts it, and acts in exactly one: the one that holds the
    lock on data/monitor.lock. When that one goes away, another takes over within a tick."""

    def __init__(self, fleet: Fleet, tick: float = TICK, clock: Callable[[], float] = time.monotonic):
        self.fleet = fleet
        self.tick_seconds = tick
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def start(self) -> Monitor:
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the current tick; proxies keep running."""
        self._stopping.set()
        self._thread.join()

    def tick(self) -> None:
        """One round. What goes wrong is logged, and tried again in the next round."""
        for step in (self.fleet.sample, lambda: self.fleet.reconcile(patient=True)):
            try:
                step()
            except Refused as refused:
                log.warning("%s", refused)
            except Exception:
                # The thread must outlive any fault of one tick: it is what repairs the rest.
                log.exception("a monitor step failed; trying again in %g s", self.tick_seconds)

    def _run(self) -> None:
        with open(self.fleet.data_dir / "monitor.lock", "a") as handle:
            while not self._stopping.is_set():
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._stopping.wait(self.tick_seconds)
                    continue
                self.tick()
                self._rest(self._clock() + self.tick_seconds)

    def _rest(self, until: float) -> None:
        """Sleep until the next tick, a change among the workloads, or the end."""
        while not self._stopping.is_set() and (left := until - self._clock()) > 0:
            # Short naps: stop() must not have to wait for a whole tick.
            if self.fleet.runtime.wait(min(left, 1.0)):
                return
