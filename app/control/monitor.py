"""The background thread: sample, account, reset, enforce, reconcile, every tick."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from app.control import passes
from app.control.backups import BackupSchedule
from app.control.errors import Refused
from app.control.moving import Moving
from app.control.offenders import Offenders
from app.control.strangers import Watch
from app.control.system import System
from app.control.telegram_files import Renewal
from app.lib.clock import STEADY, Clock
from app.lib.filelock import FileLock

log = logging.getLogger(__name__)


class Monitor:
    """Runs in every worker that starts it, and acts in exactly one: the one that holds the
    lock on data/monitor.lock. When that one goes away, another takes over within a tick.

    tick: seconds between two rounds; the setting monitor_seconds, if not given."""

    def __init__(self, system: System, tick: float | None = None, clock: Clock = STEADY):
        self.system = system
        self._tick = tick
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._watch = Watch(system)
        self._moving = Moving(system)
        self._backups = BackupSchedule(system)
        self._telegram_files = Renewal(system)
        self._offenders = Offenders(system)
        self._beside: dict[str, threading.Thread] = {}

    @property
    def tick_seconds(self) -> float:
        return self._tick or self.system.declaration.last_good().monitor_seconds

    def start(self) -> Monitor:
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the current tick; proxies keep running."""
        self._stopping.set()
        self._thread.join()

    def tick(self) -> None:
        """One round. What goes wrong is logged, and tried again in the next round."""
        system = self.system
        _try(lambda: passes.sample(system))
        _try(lambda: passes.note_time(system))
        _try(lambda: passes.carry_out_resets(system))
        _try(lambda: passes.end_debug_logs(system))
        _try(lambda: passes.forget_deleted(system))
        _try(lambda: passes.reconcile(system, respect_backoff=True))
        if system.port443.edge:
            _try(lambda: passes.look_for_slow_proxies(system))
        self._do_beside("moves", self._moving.step)
        self._do_beside("the server's name", lambda: passes.look_at_server(system))
        if system.certificate_reconciler.manager:
            self._do_beside("certificates", lambda: passes.renew_certificates(system))
        if system.port443.addresses:
            self._do_beside("strangers", self._watch.look)
        if system.clock.due:
            self._do_beside("clock", lambda: passes.look_at_clock(system))
        self._do_beside("offenders", self._offenders.look)
        self._do_beside("backups", self._backups.look)
        self._do_beside("Telegram's files", self._telegram_files.step)
        self._do_beside("links of MTProxy", system.mtproxy_export.follow_links)

    def _do_beside(self, name: str, step: Callable[[], object]) -> None:
        """In a thread of its own: others may take minutes to answer, and traffic is counted meanwhile."""
        if name not in self._beside or not self._beside[name].is_alive():
            self._beside[name] = threading.Thread(target=_try, args=(step,), name=name, daemon=True)
            self._beside[name].start()

    def _run(self) -> None:
        with FileLock(self.system.data_dir / "monitor.lock") as lock:
            if not self._take(lock):
                return
            # Watch from before the first look: no end between the two is missed.
            _try(lambda: self.system.runtime.wait(0))
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
            if self.system.runtime.wait(min(left, 1.0)) or self.system.reconciler.collecting.is_due():
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
