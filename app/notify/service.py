"""The thread that tells people: looks for news, sends it, and listens to the bots. It acts in one process at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.control.errors import Refused
from app.control.system import System
from app.lib.filelock import FileLock
from app.notify.bot import Bots
from app.notify.delivery import Delivery
from app.notify.watch import Watch

log = logging.getLogger(__name__)

#: Seconds between two looks at what is new, and at what waits to be sent.
LOOK, ROUND = 20.0, 2.0


class Notifier:
    """Acts where it holds the lock on data/notify.lock, as the monitor does with its own."""

    def __init__(self, system: System, look: float = LOOK, every: float = ROUND) -> None:
        self.system, self._look, self._every = system, look, every
        self.watch, self.delivery, self.bots = Watch(system), Delivery(system), Bots(system)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)

    def start(self) -> Notifier:
        self._thread.start()
        return self

    def stop(self, patience: float = 5.0) -> None:
        """End, within so many seconds. What somebody has asked a bot for is finished, and so is what is being sent: it
        would be sent again. Who hangs is not waited for; what they were to get stays in the ledger."""
        until = time.monotonic() + patience
        self._stopping.set()
        self.bots.stop(patience)
        self._thread.join(max(0.0, until - time.monotonic()))
        self.delivery.wait(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        with FileLock(self.system.data_dir / "notify.lock") as lock:
            while not lock.try_take():
                if self._stopping.wait(self._look):
                    return
            left = 0.0
            while not self._stopping.is_set():
                if left <= 0:
                    left = self._look
                    _try(self.watch.look)
                _try(self.delivery.round)
                _try(self.bots.keep)
                left -= self._every
                self._stopping.wait(self._every)


def _try(step: Callable[[], object]) -> None:
    try:
        step()
    except Refused as refused:
        log.warning("%s", refused)
    except Exception:
        # The thread must outlive any fault of one step, and the other steps are not to wait for it.
        log.exception("a step of the notifications failed; the next one tries again")
