"""The doctor's look, for a page that can't wait for it: done beside, kept until the next one."""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from app.control.doctor import PROBLEM, RANKS, Finding, examine
from app.control.errors import Refused
from app.control.system import System
from app.messages import Problem, text

log = logging.getLogger(__name__)

#: What only the server around the panel can see is written here by host/doctor.sh.
OF_THE_HOST = "host.json"
_BYTES = 1024**2


@dataclass(frozen=True)
class Look:
    """findings, in the order in which one thing needs another. at: Unix seconds."""

    findings: tuple[Finding, ...]
    at: float

    @property
    def iso(self) -> str:
        return datetime.fromtimestamp(self.at, timezone.utc).isoformat()

    @property
    def wrong(self) -> int:
        return sum(finding.state == PROBLEM for finding in self.findings)


class Checkup:
    """One look at a time, in a thread of its own. failed: why the last one came to nothing, None if it did not."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.last: Look | None = None
        self.failed: Problem | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Look now; of two who ask at the same time, both get the same look."""
        with self._lock:
            if not self.running:
                self._thread = threading.Thread(target=self._look, name="checkup", daemon=True)
                self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until it is done, or so long."""
        if self._thread:
            self._thread.join(seconds)

    def _look(self) -> None:
        try:
            self.last, self.failed = Look(tuple(examine(self._system)), time.time()), None
        except Refused as refused:
            self.failed = refused.problem
        except Exception:
            # It asks everything there is; what surprises it is a finding, and no end of the page.
            log.exception("the installation could not be looked at")
            self.failed = Problem("doctor.broken")


def of_the_host(data_dir: Path) -> Look | None:
    """What the server has told of itself last, by `sudo mtproto doctor`; None if it never did, or not readably."""
    try:
        with open(data_dir / OF_THE_HOST, "rb") as file:
            told = json.loads(file.read(_BYTES))
        found = tuple(Finding(str(one["about"]), str(one["state"]), text(str(one["text"])), str(one["command"]))
                      for one in told["findings"])
        look = Look(tuple(one for one in found if one.state in RANKS), float(told["at"]))
        return look if look.iso else None
    except (OSError, OverflowError, ValueError, KeyError, TypeError, RecursionError):
        return None
