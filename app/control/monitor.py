"""The background thread: sample, account, reset, enforce, reconcile, every tick."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.actions.fleet import Fleet
from app.control.errors import Refused
from app.control.strangers import Watch
from app.lib.filelock import FileLock

log = logging.getLogger(__name__)


class Monitor:
    """Runs in every worker that starts it, and acts in exactly one: the one that holds the
    lock on data/monitor.lock. When that one goes away, another takes over within a tick.

    tick: seconds between two rounds; the setting monitor_seconds, if not given."""

    def __init__(self, fleet: Fleet, tick: float | None = None, clock: Callable[[], float] = time.monotonic):
        self.fleet = fleet
        self._tick = tick
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._watch = Watch(fleet)
        self._beside: dict[str, threading.Thread] = {}

    @property
    def tick_seconds(self) -> float:
        return self._tick or self.fleet.config().monitor_seconds

    def start(self) -> Monitor:
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the current tick; proxies keep running."""
        self._stopping.set()
        self._thread.join()

    def tick(self) -> None:
        """One round. What goes wrong is logged, and tried again in the next round."""
        fleet = self.fleet
        for step in (fleet.sample, fleet.carry_out_resets, lambda: fleet.reconcile(respect_backoff=True)):
            _try(step)
        if fleet.port443.edge:
            _try(fleet.look_for_slow_proxies)
        self._do_beside("the server's name", fleet.look_at_server)
        if fleet.port443.certificates:
            self._do_beside("certificates", fleet.renew_certificates)
        if fleet.port443.addresses:
            self._do_beside("strangers", self._watch.look)
        if fleet.clock.due:
            self._do_beside("clock", lambda: fleet.clock.look(fleet.config()))

    def _do_beside(self, name: str, step: Callable[[], object]) -> None:
        """In a thread of its own: others may take minutes to answer, and traffic is counted meanwhile."""
        if name not in self._beside or not self._beside[name].is_alive():
            self._beside[name] = threading.Thread(target=_try, args=(step,), name=name, daemon=True)
            self._beside[name].start()

    def _run(self) -> None:
        with FileLock(self.fleet.data_dir / "monitor.lock") as lock:
            if not self._take(lock):
                return
            # Watch from before the first look: no end between the two is missed.
            _try(lambda: self.fleet.runtime.wait(0))
            while not self._stopping.is_set():
                self.tick()
                if not _try(self._rest):
                    self._stopping.wait(1.0)

    def _take(self, lock: FileLock) -> bool:
        """Wait until this monitor is the one that acts; False if it is stopped before."""
        while not self._stopping.is_set():
            if lock.try_take():
                return True
            self._stopping.wait(self.tick_seconds)
        return False

    def _rest(self) -> None:
        """Sleep until the next tick, a change among the workloads, or the end."""
        began = self._clock()
        while not self._stopping.is_set() and (left := began + self.tick_seconds - self._clock()) > 0:
            # Short naps: neither stop() nor a shorter tick has to wait for the whole of this one.
            if self.fleet.runtime.wait(min(left, 1.0)):
                return


def _try(step: Callable[[], object]) -> bool:
    try:
        step()
    except Refused as refused:
        log.warning("%s", refused)
    except Exception:
        # The thread must outlive any fault of one tick: it is what repairs the rest.
        log.exception("a monitor step failed; the next tick tries again")
    else:
        return True
    return False
